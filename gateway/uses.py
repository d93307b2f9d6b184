"""The uses of one key: how many, in which direction, and the first few by name. A key may have tens of thousands."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from gateway.holders import KINDS, Holder, describe
from gateway.models import SERVICE_HOLDERS, Instance, Problem, Rule, Service
from secrets_app.models import Key, Reference


@dataclass(frozen=True, slots=True)
class Census:
    """Holders by kind. Inbound: callers present the key to us. Outbound: we show it to a back end, and nobody else needs to know it."""

    inbound: dict[str, int]
    outbound: dict[str, int]

    @classmethod
    def of(cls, key: Key) -> Self:
        """One query."""
        rows = Reference.objects.filter(key=key).values_list("holder_kind", "inbound").annotate(Count("holder_id", distinct=True))
        counted = {(kind, inbound): count for kind, inbound, count in rows}
        inbound, outbound = ({kind: counted[kind, way] for kind in KINDS if (kind, way) in counted} for way in (True, False))
        return cls(inbound, outbound)

    @property
    def by_kind(self) -> dict[str, int]:
        return {kind: count for kind in KINDS if (count := self.inbound.get(kind, 0) + self.outbound.get(kind, 0))}

    @property
    def total(self) -> int:
        return sum(self.by_kind.values())

    @property
    def dual(self) -> bool:
        """Whoever is given the key as a caller could also go to the back end with it."""
        return bool(self.inbound and self.outbound)


@dataclass(frozen=True, slots=True)
class Unserved:
    """A holder that no gateway serves with this key, and why (Problem.reason)."""

    holder: Holder
    reason: str


def named(key: Key, kind: str, typed: str = "", *, most: int, among: Collection[UUID] | None = None) -> list[Holder]:
    """The first holders of a kind by name, of those whose name holds what was typed, on these instances or on all. Three queries."""
    references = Reference.objects.filter(key=key, holder_kind=kind)
    rows = _matching(references, kind, typed, among).order_by("name", "pk")[:most].values_list("pk", flat=True)
    order = {pk: place for place, pk in enumerate(rows)}
    found = sorted(references.filter(holder_id__in=order), key=lambda reference: (order[reference.holder_id], reference.path))
    return describe(found)


def number(key: Key, kind: str, typed: str, among: Collection[UUID] | None = None) -> int:
    """How many holders of a kind `named` would find without a limit."""
    return _matching(Reference.objects.filter(key=key, holder_kind=kind), kind, typed, among).count()


def instances(key: Key) -> QuerySet[Instance]:
    """Those whose services or plug-ins refer to the key. A consumer belongs to no instance: every one of its region takes its callers."""
    services = Reference.objects.filter(key=key, holder_kind__in=SERVICE_HOLDERS).values("holder_id")
    rules = Reference.objects.filter(key=key, holder_kind="plugin").values("holder_id")
    of_services, of_rules = Service.objects.filter(pk__in=services), Rule.objects.filter(pk__in=rules)
    return Instance.objects.filter(Q(pk__in=of_services.values("instance")) | Q(pk__in=of_rules.values("plugin__instance")))


def within(instance: Instance) -> QuerySet[Reference]:
    """The uses that services and rules of the instance make of named keys. Consumers belong to no instance."""
    services = Q(holder_kind__in=SERVICE_HOLDERS, holder_id__in=Service.objects.filter(instance=instance).values("pk"))
    rules = Q(holder_kind=Rule.audit_kind, holder_id__in=Rule.objects.filter(plugin__instance=instance).values("pk"))
    return Reference.objects.filter(services | rules, key__name__isnull=False)


def of_service(service: Service) -> QuerySet[Reference]:
    """The uses that a service and the rules for it make of named keys."""
    own = Q(holder_kind=service.audit_kind, holder_id=service.pk)
    rules = Q(holder_kind=Rule.audit_kind, holder_id__in=service.rules.values("pk"))
    return Reference.objects.filter(own | rules, key__name__isnull=False)


def by_instance(key: Key) -> dict[str, dict[UUID, int]]:
    """By kind and instance, how many holders. Consumers belong to no instance and are not in it. Two queries."""
    services = Reference.objects.filter(key=key, holder_kind__in=SERVICE_HOLDERS).values("holder_id")
    rules = Reference.objects.filter(key=key, holder_kind=Rule.audit_kind).values("holder_id")
    of_services = Service.objects.filter(pk__in=services).order_by().values_list("kind", "instance").annotate(Count("pk"))
    of_rules = Rule.objects.filter(pk__in=rules).order_by().values_list("plugin__instance").annotate(Count("pk"))
    found: dict[str, dict[UUID, int]] = defaultdict(dict)
    for kind, instance, count in of_services:
        found[f"{kind}_service"][instance] = count
    for instance, count in of_rules:
        found[Rule.audit_kind][instance] = count
    return found


def unserved(key: Key) -> Iterator[Unserved]:
    """Its places that the control plane could not serve. Problems are few, so they are what is looked through. Three queries at most."""
    place = {"key": key, "holder_kind": OuterRef("holder_kind"), "holder_id": OuterRef("holder_id"), "path": OuterRef("path")}
    problems = list(Problem.objects.filter(Exists(Reference.objects.filter(**place)), region_id=key.region_id).order_by("since", "pk"))
    at = {(problem.holder_kind, problem.holder_id, problem.path): problem.reason for problem in problems}
    ids = {problem.holder_id for problem in problems}
    for found in describe(Reference.objects.filter(key=key, holder_id__in=ids).order_by("holder_kind", "holder_id", "path") if ids else ()):
        if reason := at.get((found.kind, found.id, found.path)):
            yield Unserved(found, reason)


def _matching(references: QuerySet[Reference], kind: str, typed: str, among: Collection[UUID] | None) -> QuerySet[Any]:
    rows = KINDS[kind].among(KINDS[kind].rows.filter(pk__in=references.values("holder_id")), among)
    return rows.filter(name__contains=typed.lower()) if typed else rows
