"""How to call a service, as lines to copy. They hold a placeholder where the credential goes, never a value."""

import json
from dataclasses import dataclass

from gateway.models import Node, Service
from gateway.providers import NATIVE
from gateway.sources import BEARER, Source

VARIABLE = "LATCHKEY_API_KEY"  # the environment variable that the lines read, and that "Download .env" writes
MODEL = "MODEL"

_MESSAGES = [{"role": "user", "content": "Hello"}]
_CONTENTS = [{"parts": [{"text": "Hello"}]}]
# What a supplier's own protocol is called with; everything else is called like OpenAI.
_NATIVE: dict[str, tuple[str, dict[str, object]]] = {
    "claude": ("/messages", {"model": MODEL, "max_tokens": 100, "messages": _MESSAGES}),
    "gemini": (f"/models/{MODEL}:generateContent", {"contents": _CONTENTS}),
}


@dataclass(frozen=True, slots=True)
class Call:
    base_url: str
    curl: str
    python: str  # empty where the openai package cannot make this call


def call(service: Service, node: Node | None, host: str, source: Source = BEARER) -> Call:
    """With the credential where this source wants it. `host` stands for a node that listens on every address of its machine."""
    base_url = f"http://{_reachable(node, host)}/ai/{service.name}"
    native = _NATIVE.get(service.supplier) if service.protocol == NATIVE else None
    path, body = native or ("/chat/completions", {"model": MODEL, "messages": _MESSAGES})
    shown = source if service.consumer_authentication else None
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


def _curl(url: str, body: dict[str, object], source: Source | None) -> str:
    headers = ["Content-Type: application/json"]
    if source and source.kind == "query":
        url = f'"{url}?{source.name}=${VARIABLE}"'
    elif source:
        headers.append(f"Authorization: Bearer ${VARIABLE}" if source.kind == "bearer" else f"{source.name}: ${VARIABLE}")
    return " \\\n  ".join([f"curl {url}", *(f'-H "{header}"' for header in headers), f"-d '{json.dumps(body)}'"])


def _python(base_url: str, source: Source | None) -> str:
    """The package always sends an Authorization of its own, so a credential that goes elsewhere is given beside it."""
    value = f'os.environ["{VARIABLE}"]'
    options = [f'base_url="{base_url}"', f"api_key={value}" if source and source.kind == "bearer" else 'api_key="unused"']
    if source and source.kind == "header":
        options.append(f'default_headers={{"{source.name}": {value}}}')
    if source and source.kind == "query":
        options.append(f'default_query={{"{source.name}": {value}}}')
    arguments = "".join(f"    {option},\n" for option in options)
    return (
        ("import os\n\n" if source else "")
        + f"import openai\n\nclient = openai.OpenAI(\n{arguments})\n"
        + f'answer = client.chat.completions.create(model="{MODEL}", messages={json.dumps(_MESSAGES)})\n'
        + "print(answer.choices[0].message.content)\n"
    )
