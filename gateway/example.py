"""A call that a person can make right now, written as a curl line from what the region really holds, or the first thing missing for it."""

from dataclasses import dataclass

from django.db.models import Exists, F, OuterRef

from gateway.call import call, shown_by
from gateway.models import AiService, Authorization, Consumer, Node, Service
from gateway.models.service import AI
from secrets_app.models import Region

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
            Authorization.objects.filter(
                service__kind=AI,
                service__instance__region=region,
                service__consumer_authentication=True,
                service__authentication_method=F("consumer__method"),
                consumer__enabled=True,
            )
            .select_related("service__instance", "consumer__jwt")
            .order_by(joined.desc(), "pk")
            .first()
        )
        services = AiService.objects.filter(instance__region=region).select_related("instance")
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
        return call(self.service, self.node, host, shown_by(self.consumer) if self.consumer else None).curl
