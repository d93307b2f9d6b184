"""How to call a service, as lines to copy. They hold a placeholder where the credential goes, never a value."""

import json
from dataclasses import dataclass

from gateway.agents import MODEL_STUDIO, app_of
from gateway.mcp import SSE, initialize
from gateway.methods import JWT
from gateway.models import AgentService, Consumer, McpService, Node, Service
from gateway.providers import NATIVE
from gateway.sources import BEARER, Source

VARIABLE = "LATCHKEY_API_KEY"  # the environment variable that the lines read, and that "Download .env" writes
TOKEN_VARIABLE = "LATCHKEY_TOKEN"  # noqa: S105 (its name) for callers who present a token, signed with what stands in the other one
KEYS_VARIABLE = "LATCHKEY_JWKS"
MODEL = "MODEL"

_MESSAGES = [{"role": "user", "content": "Hello"}]
_CONTENTS = [{"parts": [{"text": "Hello"}]}]
# What a supplier's own protocol is called with; everything else is called like OpenAI.
_NATIVE: dict[str, tuple[str, dict[str, object]]] = {
    "claude": ("/messages", {"model": MODEL, "max_tokens": 100, "messages": _MESSAGES}),
    "gemini": (f"/models/{MODEL}:generateContent", {"contents": _CONTENTS}),
}
# By the kind of Dify's app; an Agent answers streams alone.
_CHAT: dict[str, object] = {"inputs": {}, "query": "Hello", "response_mode": "streaming", "user": "me"}
_DIFY: dict[str, tuple[str, dict[str, object]]] = {
    "chatbot": ("/chat-messages", _CHAT),
    "agent": ("/chat-messages", _CHAT),
    "chatflow": ("/chat-messages", _CHAT),
    "workflow": ("/workflows/run", {"inputs": {}, "response_mode": "streaming", "user": "me"}),
    "completion": ("/completion-messages", {"inputs": {"query": "Hello"}, "response_mode": "streaming", "user": "me"}),
}


@dataclass(frozen=True, slots=True)
class Call:
    base_url: str
    curl: str
    python: str  # empty where the openai package cannot make this call


@dataclass(frozen=True, slots=True)
class Shown:
    """What a caller puts where. `word` stands in front of it in a header; only an API key's Authorization has "Bearer" of itself."""

    source: Source = BEARER
    word: str = ""
    variable: str = VARIABLE

    @property
    def front(self) -> str:
        return f"{self.word} " if self.word else ""

    @property
    def header(self) -> str:
        return "Authorization" if self.source == BEARER else self.source.name


_KEY = Shown(word="Bearer")
_TOKEN = Shown(word="Bearer", variable=TOKEN_VARIABLE)


def shown_by(consumer: Consumer) -> Shown:
    """What this one's callers present, in the first of their places."""
    source = consumer.sources[0]
    if consumer.takes_tokens:
        return Shown(source, consumer.jwt.prefix, TOKEN_VARIABLE)
    return Shown(source, "Bearer" if source == BEARER else "")


def call(service: Service, node: Node | None, host: str, shown: Shown | None = None) -> Call:
    """With what its callers present, where they put it. `host` stands for a node that listens on every address of its machine.

    One query for an agent with apps.
    """
    base_url = f"http://{_reachable(node, host)}{service.entrance}"
    if not service.consumer_authentication:
        shown = None
    elif shown is None:
        shown = _TOKEN if service.authentication_method == JWT else _KEY
    if isinstance(service, McpService):
        if service.transport == SSE:
            return Call(base_url, _curl(base_url, None, shown), "")
        return Call(base_url, _curl(base_url, initialize("curl"), shown, "Accept: application/json, text/event-stream"), "")
    if isinstance(service, AgentService):
        return Call(base_url, _curl(base_url + _agents_path(service), _agents_body(service), shown), "")
    native = _NATIVE.get(service.supplier) if service.protocol == NATIVE else None
    path, body = native or ("/chat/completions", {"model": MODEL, "messages": _MESSAGES})
    return Call(base_url, _curl(base_url + path, body, shown), "" if native else _python(base_url, shown))


def _reachable(node: Node | None, host: str) -> str:
    if node is None:
        return "GATEWAY:PORT"
    listen = node.listen_host
    if listen in ("0.0.0.0", "::"):  # noqa: S104 (compared, not bound)
        listen = host
    elif listen in ("127.0.0.1", "::1"):
        listen = "localhost"
    return f"[{listen}]:{node.listen_port}" if ":" in listen else f"{listen}:{node.listen_port}"


def _agents_path(agent: AgentService) -> str:
    if agent.supplier == MODEL_STUDIO:
        first = agent.references.order_by("pk").first()
        return f"/apps/{app_of(first.path) if first else 'APP_ID'}/completion"
    return _DIFY.get(agent.bot_type, ("/PATH", {}))[0]


def _agents_body(agent: AgentService) -> dict[str, object]:
    if agent.supplier == MODEL_STUDIO:
        return {"input": {"prompt": "Hello"}, "parameters": {}}
    return _DIFY.get(agent.bot_type, ("", {"message": "Hello"}))[1]


def _curl(url: str, body: dict[str, object] | None, shown: Shown | None, *more: str) -> str:
    """Without a body it is a stream to listen to."""
    headers = [*(["Content-Type: application/json"] if body is not None else ["Accept: text/event-stream"]), *more]
    if shown and shown.source.kind == "query":
        url = f'"{url}?{shown.source.name}=${shown.variable}"'
    elif shown:
        headers.append(f"{shown.header}: {shown.front}${shown.variable}")
    data = [f"-d '{json.dumps(body)}'"] if body is not None else []
    return " \\\n  ".join([f"curl {'' if data else '-N '}{url}", *(f'-H "{header}"' for header in headers), *data])


def _python(base_url: str, shown: Shown | None) -> str:
    """The package always sends an Authorization of its own, so a credential that goes elsewhere is given beside it."""
    value = f'os.environ["{shown.variable}"]' if shown else ""
    as_usual = shown and shown.source == BEARER and shown.word == "Bearer"
    options = [f'base_url="{base_url}"', f"api_key={value}" if as_usual else 'api_key="unused"']
    if shown and shown.source.kind == "query":
        options.append(f'default_query={{"{shown.source.name}": {value}}}')
    elif shown and not as_usual:
        front = f'"{shown.front}" + ' if shown.word else ""
        options.append(f'default_headers={{"{shown.header}": {front}{value}}}')
    arguments = "".join(f"    {option},\n" for option in options)
    return (
        ("import os\n\n" if shown else "")
        + f"import openai\n\nclient = openai.OpenAI(\n{arguments})\n"
        + f'answer = client.chat.completions.create(model="{MODEL}", messages={json.dumps(_MESSAGES)})\n'
        + "print(answer.choices[0].message.content)\n"
    )
