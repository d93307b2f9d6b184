from gateway.models.consumer import Consumer, NewCredential
from gateway.models.instance import Instance
from gateway.models.node import ControlPlane, Node, Problem, Publication
from gateway.models.service import Authorization, NewKeys, Service

__all__ = ["Authorization", "Consumer", "ControlPlane", "Instance", "NewCredential", "NewKeys", "Node", "Problem", "Publication", "Service"]
