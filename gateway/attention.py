"""What is wrong in a region, or open wider than most would want: the places that no gateway serves, and what people should look at."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, Q

from gateway.holders import KINDS, Holder, describe
from gateway.models import Authorization, Problem, Rule, Service
from gateway.models.service import AGENT, AI, MCP
from secrets_app.actor import Actor
from secrets_app.models import Key, Reference, Region

AT_MOST = 20  # of each sort: a page that lists more is not read


_RIGHTS = {AI: "service.view", AGENT: "service.view", MCP: "mcp.view"}


@dataclass(frozen=True, slots=True)
class Unserved:
    """A holder whose key could not be served; it fails closed, and it alone. `reason` as in Problem; `key` is "" for an inline one."""

    holder: Holder
    key: str
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Attention:
    """At most AT_MOST of each, and only what this actor may know of."""

    unserved: tuple[Unserved, ...]
    disabled_keys: tuple[Key, ...]  # that somebody still refers to
    open_services: tuple[Service, ...]  # anybody who reaches the gateway may call them
    unauthorized_services: tuple[Service, ...]  # nobody may: they answer 403

    @classmethod
    def of(cls, region: Region, actor: Actor) -> "Attention":
        """Seven queries at most, whatever the size of the region."""
        services = Service.objects.filter(_seen(region, actor), instance__region=region).select_related("instance").order_by("name")
        authorized = Exists(Authorization.objects.filter(service=OuterRef("pk"), consumer__method=OuterRef("authentication_method")))
        return cls(
            unserved=tuple(_unserved(region, actor)) if actor.may("key.view", region) else (),
            disabled_keys=tuple(
                Key.visible_to(actor, region).filter(enabled=False, reference_count__gt=0).order_by("name_folded")[:AT_MOST]
            ),
            open_services=tuple(services.filter(consumer_authentication=False)[:AT_MOST]),
            unauthorized_services=tuple(services.filter(~authorized, consumer_authentication=True)[:AT_MOST]),
        )


def _seen(region: Region, actor: Actor) -> Q:
    """The services that the actor may open: of some kinds, and of some instances or all."""
    seen = Q(pk__in=())
    for kind, right in _RIGHTS.items():
        among = actor.instances_with(right, region)
        seen |= Q(kind=kind) if among is None else Q(kind=kind, instance__in=among)
    return seen


def _unserved(region: Region, actor: Actor) -> Iterable[Unserved]:
    """A disabled key stands in `disabled_keys` already, once for all its holders."""
    problems = Problem.objects.filter(region=region).exclude(reason="disabled").order_by("-since", "pk")[:AT_MOST]
    at = {(problem.holder_kind, problem.holder_id, problem.path): problem for problem in problems}
    ids = {holder_id for _kind, holder_id, _path in at}
    kinds = [name for name, kind in KINDS.items() if actor.may_within(kind.view, region)]
    references = Reference.objects.filter(holder_kind__in=kinds, holder_id__in=ids).select_related("key")
    found = {place: reference for reference in references if (place := (reference.holder_kind, reference.holder_id, reference.path)) in at}
    # What names a missing key refers to none, and yet stands somewhere.
    for kind, holder_id, path in at.keys() - found.keys():
        if kind == Rule.audit_kind and kind in kinds:
            found[kind, holder_id, path] = Reference(holder_kind=kind, holder_id=holder_id, path=path, inbound=False)
    for holder in describe(found.values()):
        if not actor.may(KINDS[holder.kind].view, holder.scope_in(region.pk)):
            continue
        place = (holder.kind, holder.id, holder.path)
        yield Unserved(holder, found[place].key.audit_name if found[place].key_id else "", at[place].reason, at[place].since)
