from gateway.models.agent_service import AgentService, NewAgent
from gateway.models.ai_service import AiService
from gateway.models.consumer import Consumer
from gateway.models.credential import Credential, NewCredential
from gateway.models.custom_plugin import CustomPlugin
from gateway.models.instance import Instance
from gateway.models.jwt import Jwt, NewJwt
from gateway.models.mcp_service import McpService
from gateway.models.node import ControlPlane, Node, Problem, Publication
from gateway.models.plugin import Plugin
from gateway.models.rule import Revision, Rule
from gateway.models.service import SERVICE_HOLDERS, Authorization, NewKeys, Service

__all__ = [
    "SERVICE_HOLDERS",
    "AgentService",
    "AiService",
    "Authorization",
    "Consumer",
    "ControlPlane",
    "Credential",
    "CustomPlugin",
    "Instance",
    "Jwt",
    "McpService",
    "NewAgent",
    "NewCredential",
    "NewJwt",
    "NewKeys",
    "Node",
    "Plugin",
    "Problem",
    "Publication",
    "Revision",
    "Rule",
    "Service",
]
