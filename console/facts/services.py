"""What the instance and service pages show, as values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from django.db.models import Count, Q

from console.commands import run_gateway
from gateway.agents import app_of
from gateway.call import Call, call, shown_by
from gateway.delivery import Delivery, Effect
from gateway.models import SERVICE_HOLDERS, Authorization, Instance, Node, Problem, Service
from gateway.models.credential import REFERENCE
from gateway.models.service import MCP
from secrets_app.models import Key, Reference

BEHIND_NOTHING, AWAY, REFUSED, ON_ITS_WAY, NO_CONTROL_PLANE = "", "away", "refused", "moving", "down"


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """One line of the list of instances."""

    instance: Instance
    services: "Counted"
    effect: Effect  # of the region's last published state


def instance_rows(instances: Sequence[Instance], delivery: Delivery, published: int) -> list[InstanceRow]:
    """One query, however many there are."""
    services = counted(instances)
    return [InstanceRow(one, services[one.pk], delivery.effect(published, [one.pk])) for one in instances]


@dataclass(frozen=True, slots=True)
class Counted:
    """The services of an instance, by the lists they stand in."""

    here: int = 0  # AI and Agent
    mcp: int = 0

    @property
    def total(self) -> int:
        return self.here + self.mcp


def counted(instances: Sequence[Instance]) -> dict[UUID, Counted]:
    """One query."""
    rows = Service.objects.filter(instance__in=instances).order_by().values_list("instance")
    counts = rows.annotate(here=Count("pk", filter=~Q(kind=MCP)), mcp=Count("pk", filter=Q(kind=MCP)))
    return {one.pk: Counted() for one in instances} | {pk: Counted(here, mcp) for pk, here, mcp in counts}


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node: what it has in effect against what is published, and why it is behind if it is."""

    node: Node
    wanted: int
    behind: str

    @property
    def lag(self) -> int:
        """How many audit entries; not every one of them concerned this node."""
        return max(0, self.wanted - self.node.in_effect_seq)


def node_rows(instance: Instance, delivery: Delivery, published: int) -> list[NodeRow]:
    nodes = delivery.by_instance.get(instance.pk, ())
    return [NodeRow(node, published, _behind(node, published, up=delivery.control_plane_up)) for node in nodes]


def joining(instance: Instance, nodes: Sequence[Node], port: int) -> str:
    """The line that starts one more node, with a name and a port that are free as far as we know."""
    names, ports = {node.name for node in nodes}, Node.listen_ports()
    name = next(name for number in range(1, len(names) + 2) if (name := f"node-{number}") not in names)
    while port in ports:
        port += 1
    return run_gateway(instance.ref, name, port)


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One line of the list of services."""

    service: Service
    keys: list[Key]
    consumers: int
    problems: int
    effect: Effect


def service_rows(services: Sequence[Service], delivery: Delivery) -> list[ServiceRow]:
    """Three queries, however many there are."""
    ids = [service.pk for service in services]
    held: dict[int, list[Key]] = {pk: [] for pk in ids}
    for reference in Reference.objects.filter(holder_kind__in=SERVICE_HOLDERS, holder_id__in=ids).select_related("key").order_by("pk"):
        if reference.key not in held[reference.holder_id]:  # apps of one agent may share a key
            held[reference.holder_id].append(reference.key)
    consumers = dict(Authorization.objects.filter(service__in=ids).order_by().values_list("service").annotate(Count("pk")))
    failing = Problem.objects.filter(holder_kind__in=SERVICE_HOLDERS, holder_id__in=ids).order_by().values_list("holder_id")
    problems = dict(failing.annotate(Count("pk")))
    return [
        ServiceRow(one, held[one.pk], consumers.get(one.pk, 0), problems.get(one.pk, 0), _effect(one, held[one.pk], delivery))
        for one in services
    ]


@dataclass(frozen=True, slots=True)
class KeyUse:
    """One API key of a service."""

    number: int
    app: str  # the App ID that it belongs to; "" where there are none
    key: Key
    reason: str  # why it is not served, as in Problem; "" when it is
    effect: Effect


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    uses: tuple[KeyUse, ...]
    effect: Effect
    down: bool
    consumers: int  # authorized
    admitted: int  # of them those who authenticate in the way that the service asks for
    call: Call

    @classmethod
    def of(cls, service: Service, host: str) -> Self:
        """Seven queries."""
        delivery = Delivery.of(service.instance.region)
        nodes = delivery.by_instance.get(service.instance_id, ())
        reasons = dict(Problem.objects.filter(holder_kind=service.audit_kind, holder_id=service.pk).values_list("path", "reason"))
        uses = service.uses
        first = service.admitted.filter(enabled=True).select_related("jwt").order_by("name").first()
        return cls(
            uses=tuple(
                KeyUse(number, app_of(use.path), use.key, reasons.get(use.path, ""), _effect(service, [use.key], delivery))
                for number, use in enumerate(uses, 1)
            ),
            effect=_effect(service, [use.key for use in uses], delivery),
            down=not delivery.control_plane_up,
            consumers=service.authorizations.count(),
            admitted=service.admitted.count(),
            call=call(service, nodes[0] if nodes else None, host, shown_by(first) if first else None),
        )

    @property
    def moving(self) -> bool:
        """Worth another look in a moment."""
        return self.effect.total > 0 and not self.effect.everywhere and not self.down

    @property
    def failing(self) -> int:
        """How many of its keys no gateway shows."""
        return sum(bool(use.reason) for use in self.uses)

    @property
    def all_failing(self) -> bool:
        return 0 < self.failing == len(self.uses)


def shared_keys(service: Service) -> list[str]:
    return [use.key.name or "" for use in service.uses] if service.generation == REFERENCE else []


def _effect(service: Service, keys: Sequence[Key], delivery: Delivery) -> Effect:
    return delivery.effect(max([service.changed_seq, *(key.changed_seq for key in keys)]), [service.instance_id])


def _behind(node: Node, published: int, *, up: bool) -> str:
    if node.in_effect_seq >= published:
        return BEHIND_NOTHING
    if not up:
        return NO_CONTROL_PLANE
    if node.refused_seq > node.in_effect_seq:
        return REFUSED
    return ON_ITS_WAY if node.connected else AWAY
