"""What the consumer pages show of a consumer, as values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from django.db.models import Count

from gateway.call import Call, call
from gateway.delivery import Delivery, Effect
from gateway.holders import senders
from gateway.models import Authorization, Consumer, Node, Problem, Service
from gateway.models.service import MCP
from gateway.sources import Source
from secrets_app.models import Key, KeyVersion, Reference

SERVICES_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list."""

    consumer: Consumer
    key: Key
    services: int
    effect: Effect


def rows(consumers: Sequence[Consumer], delivery: Delivery) -> list[Row]:
    """Two queries, however many there are."""
    ids = [consumer.pk for consumer in consumers]
    references = Reference.objects.filter(holder_kind=Consumer.audit_kind, holder_id__in=ids).select_related("key")
    keys = {reference.holder_id: reference.key for reference in references}
    counts = Authorization.objects.filter(consumer__in=ids).order_by().values_list("consumer").annotate(Count("pk"))
    services: dict[int, int] = dict(counts)
    return [
        Row(consumer, keys[consumer.pk], services.get(consumer.pk, 0), _effect(consumer, keys[consumer.pk], delivery))
        for consumer in consumers
        if consumer.pk in keys  # deleted between the two queries
    ]


@dataclass(frozen=True, slots=True)
class Facts:
    """One consumer: what it presents, where, which services take it, and how far that has got."""

    key: Key
    versions: tuple[KeyVersion, ...]  # accepted now, newest first
    effect: Effect
    down: bool  # the control plane: nothing is on its way
    problem: Problem | None
    senders: int
    services: tuple[Service, ...]  # the first SERVICES_SHOWN by name
    service_count: int
    elsewhere: tuple[tuple[Source, list[str]], ...]
    call: Call | None

    @classmethod
    def of(cls, consumer: Consumer, host: str) -> Self:
        """Eleven queries at most."""
        key, delivery = consumer.reference.key, Delivery.of(consumer.region)
        authorized = Service.objects.filter(authorizations__consumer=consumer).exclude(kind=MCP)
        services = tuple(authorized.select_related("instance").order_by("name", "pk")[:SERVICES_SHOWN])
        return cls(
            key=key,
            versions=tuple(KeyVersion.accepted().filter(key=key).order_by("-number")),
            effect=_effect(consumer, key, delivery),
            down=not delivery.control_plane_up,
            problem=Problem.objects.filter(holder_kind=consumer.audit_kind, holder_id=consumer.pk).first(),
            senders=senders(key),
            services=services,
            service_count=authorized.count(),
            elsewhere=tuple(consumer.other_sources()),
            call=_call(services, consumer.source, delivery, host),
        )

    @property
    def moving(self) -> bool:
        """Worth another look in a moment."""
        return self.effect.total > 0 and not self.effect.everywhere and not self.down


def _effect(consumer: Consumer, key: Key, delivery: Delivery) -> Effect:
    return delivery.effect(max(consumer.changed_seq, key.changed_seq))


def _call(services: Sequence[Service], source: Source, delivery: Delivery, host: str) -> Call | None:
    """Of a service that a node serves, where there is one."""
    nodes: dict[object, Node] = {pk: nodes[0] for pk, nodes in delivery.by_instance.items()}
    service = next((one for one in services if one.instance_id in nodes), services[0] if services else None)
    return call(service, nodes.get(service.instance_id), host, source) if service else None
