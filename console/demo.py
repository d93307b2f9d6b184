"""The sample content of `up --demo`: two regions with keys, services of every kind and consumers, made by the deeds a person does."""

import json
import secrets
import socket
from pathlib import Path

from django.conf import settings
from django.db import connection

from console.once import shown_once
from gateway.mcp import STREAMABLE_HTTP
from gateway.models import AgentService, AiService, Consumer, Instance, McpService, NewAgent, NewCredential, NewKeys, Service
from gateway.sources import Source
from secrets_app.actor import Actor
from secrets_app.files import write_private
from secrets_app.models import Key, Region
from secrets_app.plaintext import Plaintext

SUPPLIER_KEY_PREFIX = "sk-demo-"  # the local back ends accept a key that begins so, and no other
TOOLS_HEADER = "x-api-key"  # where the one that speaks MCP looks for it
CALLER = "demo-caller"

_BY = Actor.system("demo")


def backend_port() -> int:
    """The back end's port, chosen free once and kept: service addresses name it."""
    file = Path(settings.DATA_DIR) / "demo.json"
    if not file.exists():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            write_private(file, json.dumps({"backend_port": probe.getsockname()[1]}).encode())
    return int(json.loads(file.read_text())["backend_port"])


def seed(gateway_port: int) -> list[str]:
    """Make what is missing; curl lines that work, with a value made for this start: yesterday's was not kept anywhere."""
    local = Region.objects.order_by("created_at").first()
    assert local is not None
    gateway = Instance.objects.filter(region=local).order_by("created_at").first()
    assert gateway is not None
    if not Consumer.objects.filter(region=local, name=CALLER).exists():
        _local(local, gateway)
        _europe()
    if not Service.objects.filter(instance=gateway, name__in=["helpdesk", "tools"]).exists():
        _agent_and_tools(local, gateway)
    caller = Consumer.objects.get(region=local, name=CALLER)
    value = Plaintext.generate()
    caller.rotate(caller.credentials.order_by("number")[0].number, value, by=_BY)
    connection.close()
    shown = shown_once(value)
    tool = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": "Hello"}}}
    return [
        _curl(gateway_port, "/ai/chat/chat/completions", shown, {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}),
        _curl(gateway_port, "/agents/helpdesk/chat-messages", shown, {"inputs": {}, "query": "Hello", "user": "me"}),
        _curl(gateway_port, "/mcp-servers/tools/mcp", shown, tool, "Accept: application/json, text/event-stream"),
    ]


def _curl(port: int, path: str, key: str, body: dict[str, object], *more: str) -> str:
    headers = " ".join(f"-H '{header}'" for header in (f"Authorization: Bearer {key}", "Content-Type: application/json", *more))
    return f"curl http://localhost:{port}{path} {headers} -d '{json.dumps(body)}'"


def _local(region: Region, gateway: Instance) -> None:
    _supplier_key(region, "openai_prod", "Production traffic to OpenAI")
    _supplier_key(region, "openai_batch", "Nightly jobs, a budget of its own")
    _supplier_key(region, "qwen_max", "Model Studio, shared by the research team")
    Key.create(region, "partner_acme", Plaintext.generate(), by=_BY, description="What Acme presents to call us", generated=True)
    Key.create(region, "mobile_app", Plaintext.generate(), by=_BY, description="Built into the mobile app", generated=True)
    Key.create(region, "legacy_2024", Plaintext.generate(), by=_BY, description="Kept until the audit in December", generated=True).disable(
        by=_BY
    )
    chat = _service(gateway, "chat", ["openai_prod"])
    batch = _service(gateway, "batch", ["openai_batch", "openai_prod"])
    _service(gateway, "research", ["qwen_max"])
    Consumer.create(
        region, CALLER, NewCredential("system", Plaintext.generate()), by=_BY, description="The curl lines that `up --demo` prints"
    )
    Consumer.create(
        region,
        "acme",
        NewCredential("reference", key_name="partner_acme"),
        (Source("header", "x-api-key"), Source("header", "api-key")),
        by=_BY,
        description="Partner integration",
    )
    Consumer.create(region, "mobile", NewCredential("reference", key_name="mobile_app"), by=_BY, description="iOS and Android")
    chat.authorize([CALLER, "acme", "mobile"], by=_BY)
    batch.authorize(["acme"], by=_BY)


def _agent_and_tools(region: Region, gateway: Instance) -> None:
    _supplier_key(region, "dify_helpdesk", "The helpdesk's app on Dify")
    _supplier_key(region, "tools_backend", "Shown to the server of our tools")
    address = f"http://127.0.0.1:{backend_port()}"
    keys = NewKeys("reference", key_names=["dify_helpdesk"])
    AgentService.create(gateway, "helpdesk", NewAgent("dify", f"{address}/dify/v1", "chatbot"), keys, by=_BY).authorize([CALLER], by=_BY)
    tools = McpService.create(gateway, "tools", address, STREAMABLE_HTTP, "/mcp", by=_BY)
    tools.configure_backend_auth(
        TOOLS_HEADER, NewCredential("reference", key_name="tools_backend"), lock_version=tools.lock_version, by=_BY
    )
    tools.authorize([CALLER], by=_BY)


def _europe() -> None:
    if Region.objects.filter(name="eu-demo").exists():
        return
    region = Region.create("eu-demo", "Europe (demo)", by=_BY)
    gateway = Instance.create(region, "Frankfurt", by=_BY)
    Instance.create(region, "Old gateway", "2.1.10", by=_BY)
    _supplier_key(region, "mistral_eval", "Evaluation sandbox")
    _service(gateway, "mistral", ["mistral_eval"])


def _supplier_key(region: Region, name: str, description: str) -> None:
    value = Plaintext(SUPPLIER_KEY_PREFIX + secrets.token_urlsafe(24))
    Key.create(region, name, value, by=_BY, description=description)


def _service(instance: Instance, name: str, keys: list[str]) -> AiService:
    address = f"http://127.0.0.1:{backend_port()}/v1"
    return AiService.create(instance, name, "custom", "OpenAI/v1", address, NewKeys("reference", key_names=keys), by=_BY)
