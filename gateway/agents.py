"""Agents: where each kind answers and what it asks for. Model suppliers stand in providers.py; a new agent is one more row."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

MODEL_STUDIO, DIFY, CUSTOM_AGENT = "model-studio", "dify", "custom"


@dataclass(frozen=True, slots=True)
class Agent:
    """`address` is the preset service address, empty where each customer has one of their own.

    `apps`: one or more {App ID, API Key} instead of the one key. `bot_types` and `own_header` are fields that this kind asks for.
    """

    id: str
    label: str | Promise
    address: str
    address_hint: str = ""
    apps: bool = False
    bot_types: bool = False
    own_header: bool = False


AGENTS: dict[str, Agent] = {
    agent.id: agent
    for agent in (
        Agent(MODEL_STUDIO, _("Model Studio app"), "https://dashscope-intl.aliyuncs.com/api/v1", apps=True),
        Agent(DIFY, "Dify", "https://api.dify.ai/v1", "https://dify.example.com/v1", bot_types=True),
        Agent(CUSTOM_AGENT, _("Custom"), "", "https://agent.example.com", own_header=True),
    )
}

# As Dify names its kinds of app. The key belongs to one app, and with it to one of these.
BOT_TYPES: dict[str, Promise] = {
    "chatbot": _("Chatbot"),
    "agent": _("Agent"),
    "chatflow": _("Chatflow"),
    "workflow": _("Workflow"),
    "completion": _("Text generation"),
}


def app_of(path: str) -> str:
    """The App ID that stands in the path of a reference; empty where none does."""
    return path.removeprefix("apps[").removesuffix("]") if path.startswith("apps[") else ""
