"""What a back end is asked, so that it costs nothing and still tells whether the key is good: a list or a handshake, no model's work."""

import json
from dataclasses import dataclass

from gateway.address import Address, parse_address
from gateway.agents import CUSTOM_AGENT, DIFY, MODEL_STUDIO, app_of
from gateway.mcp import SSE, initialize
from gateway.models import AgentService, McpService, Service


@dataclass(frozen=True, slots=True)
class Question:
    """`sure`: its answer says whether the key is accepted, where it is a 2xx or a 401; else only that somebody answers."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    sure: bool = True

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def question(service: Service, place: str = "") -> Question:
    """`place` is the path of the reference whose key is shown: of an agent with apps it says which app."""
    address = parse_address(service.address)
    if isinstance(service, McpService):
        return _of_mcp(service)
    if isinstance(service, AgentService):
        return _of_agent(service, address, place)
    return Question("GET", f"{address.path}/models", (*service.shape.extra_headers, ("Accept", "application/json")))


def _of_mcp(service: McpService) -> Question:
    if service.transport == SSE:
        return Question("GET", service.path, (("Accept", "text/event-stream"),))
    return Question("POST", service.path, (("Accept", "application/json, text/event-stream"), _JSON), _packed(initialize("latchkey")))


def _of_agent(service: AgentService, address: Address, place: str) -> Question:
    if service.supplier == DIFY:
        return Question("GET", f"{address.path}/parameters", (("Accept", "application/json"),))
    if service.supplier == MODEL_STUDIO:
        # Without a prompt: a good key is answered 400, a wrong one 401.
        return Question("POST", f"{address.path}/apps/{app_of(place)}/completion", (_JSON,), b"{}")
    assert service.supplier == CUSTOM_AGENT
    return Question("GET", address.path or "/", (("Accept", "*/*"),), sure=False)


_JSON = ("Content-Type", "application/json")


def _packed(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
