"""The sample content of `up --demo`: two regions with keys, services and consumers, made through the same deeds as a person's."""

import json
import secrets
import socket
from pathlib import Path

from django.conf import settings
from django.db import connection

from console.once import shown_once
from gateway.models import AiService, Consumer, Instance, NewCredential, NewKeys
from gateway.sources import Source
from secrets_app.actor import Actor
from secrets_app.files import write_private
from secrets_app.models import Key, Region
from secrets_app.plaintext import Plaintext

SUPPLIER_KEY_PREFIX = "sk-demo-"  # the local back end accepts a key that begins so, and no other

_BY = Actor.system("demo")


def backend_port() -> int:
    """The back end's port, chosen free once and kept: service addresses name it."""
    file = Path(settings.DATA_DIR) / "demo.json"
    if not file.exists():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            write_private(file, json.dumps({"backend_port": probe.getsockname()[1]}).encode())
    return int(json.loads(file.read_text())["backend_port"])


def seed(gateway_port: int) -> str:
    """Make what is missing; a curl line that works, with a value made for this start: yesterday's was not kept anywhere."""
    local = Region.objects.order_by("created_at").first()
    assert local is not None
    if not Consumer.objects.filter(region=local, name="demo-caller").exists():
        _local(local)
        _europe()
    caller = Consumer.objects.get(region=local, name="demo-caller")
    value = Plaintext.generate()
    caller.rotate(caller.credentials.order_by("number")[0].number, value, by=_BY)
    connection.close()
    return (
        f"curl http://localhost:{gateway_port}/ai/chat/chat/completions -H 'Authorization: Bearer {shown_once(value)}' "
        "-H 'Content-Type: application/json' "
        """-d '{"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}'"""
    )


def _local(region: Region) -> None:
    gateway = Instance.objects.filter(region=region).order_by("created_at").first()
    assert gateway is not None
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
        region, "demo-caller", NewCredential("system", Plaintext.generate()), by=_BY, description="The curl line that `up --demo` prints"
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
    chat.authorize(["demo-caller", "acme", "mobile"], by=_BY)
    batch.authorize(["acme"], by=_BY)


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
