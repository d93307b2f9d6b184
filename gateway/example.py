"""A call that a person can make right now, written as a curl line from what the region really holds, or the first thing missing for it."""

import json
from dataclasses import dataclass

from django.db.models import Exists, OuterRef

from gateway.models import Authorization, Consumer, Node, Service
from gateway.providers import NATIVE
from gateway.sources import Source
from secrets_app.models import Region

VALUE = "$LATCHKEY_API_KEY"  # the caller's credential; the shell fills it in, so no value stands in the line
MODEL = "MODEL"

SERVICE, AUTHORIZATION, NODE = "service", "authorization", "node"


@dataclass(frozen=True, slots=True)
class Example:
    """`missing` is the first of "service", "authorization" and "node" that is not there yet, or "" when the line works."""

    missing: str
    service: Service | None = None
    consumer: Consumer | None = None  # None where the service asks for no credential
    node: Node | None = None

    @classmethod
    def of(cls, region: Region) -> "Example":
        """At most four queries. Prefers a service with a node and an authorized consumer."""
        joined = Exists(Node.objects.filter(instance=OuterRef("service__instance")))
        authorized = (
            Authorization.objects.filter(service__instance__region=region, consumer__enabled=True, service__consumer_authentication=True)
            .select_related("service__instance", "consumer")
            .order_by(joined.desc(), "pk")
            .first()
        )
        services = Service.objects.filter(instance__region=region).select_related("instance")
        service = authorized.service if authorized else services.order_by("consumer_authentication", "pk").first()
        if service is None:
            return cls(SERVICE)
        if authorized is None and service.consumer_authentication:
            return cls(AUTHORIZATION, service)
        node = Node.objects.filter(instance=service.instance).order_by("-connected", "pk").first()
        return cls("" if node else NODE, service, authorized.consumer if authorized else None, node)

    def curl(self, host: str) -> str:
        """`host` stands for a node that listens on every address of its machine. Raises nothing; empty while something is missing."""
        if self.missing or self.service is None or self.node is None:
            return ""
        path, body = _asking(self.service)
        address = f"http://{_reachable(self.node, host)}/ai/{self.service.name}{path}"
        lines = [f'-H "{header}"' for header in ("Content-Type: application/json", *_credential(self.consumer))]
        if self.consumer and self.consumer.source.kind == "query":
            address = f'"{address}?{self.consumer.source.name}={VALUE}"'
        return " \\\n  ".join([f"curl {address}", *lines, f"-d '{json.dumps(body)}'"])


def _asking(service: Service) -> tuple[str, dict[str, object]]:
    """The path below the service address, and the shortest question its protocol knows."""
    messages = [{"role": "user", "content": "Hello"}]
    if service.protocol != NATIVE:
        return "/chat/completions", {"model": MODEL, "messages": messages}
    if service.supplier == "claude":
        return "/messages", {"model": MODEL, "max_tokens": 100, "messages": messages}
    return f"/models/{MODEL}:generateContent", {"contents": [{"parts": [{"text": "Hello"}]}]}


def _credential(consumer: Consumer | None) -> list[str]:
    source = consumer.source if consumer else Source("query", "")
    return {"bearer": [f"Authorization: Bearer {VALUE}"], "header": [f"{source.name}: {VALUE}"]}.get(source.kind, [])


def _reachable(node: Node, host: str) -> str:
    listen = node.listen_host
    if listen in ("0.0.0.0", "::"):  # noqa: S104 (compared, not bound)
        listen = host
    elif listen in ("127.0.0.1", "::1"):
        listen = "localhost"
    return f"[{listen}]:{node.listen_port}" if ":" in listen else f"{listen}:{node.listen_port}"
