"""Which keys an instance or a service uses, and with which version in effect: the references seen from the other side."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, OuterRef, QuerySet, Subquery

from console.facts.landing import field_of, to
from console.facts.places import NOT_SERVED, lines_of, may_open, state_of
from gateway.delivery import Delivery
from gateway.holders import KINDS, Holder, describe
from gateway.models import Instance, Problem, Rule, Service
from gateway.uses import of_service, within
from secrets_app.actor import Actor
from secrets_app.models import Key, Reference, Region

NAMED = 3  # holders told by name; of more, how many of each kind


@dataclass(frozen=True, slots=True)
class At:
    """One place where the key is used."""

    kind: str
    name: str
    place: str
    line: int
    url: str
    hidden: bool


@dataclass(frozen=True, slots=True)
class Used:
    """A key that is used here. `at` names the places, or `kinds` says how many holders of which kind. `state` and `problem` as in Place."""

    key: Key
    url: str
    at: tuple[At, ...]
    kinds: tuple[tuple[str, int], ...]
    state: str
    problem: str

    @property
    def version(self) -> int:
        return self.key.version

    @property
    def off(self) -> bool:
        return False


def used_on(instance: Instance, keys: Sequence[Key], delivery: Delivery, actor: Actor) -> list[Used]:
    """Of these keys, what the instance does with each. Six queries at most, however many holders there are."""
    uses = within(instance).filter(key__in=keys)
    kinds: dict[UUID, dict[str, int]] = defaultdict(dict)
    counted = uses.order_by().values_list("key", "holder_kind").annotate(Count("holder_id", distinct=True))
    for key, kind, count in counted:
        kinds[key][kind] = count
    many = {key: of_key for key, of_key in kinds.items() if sum(of_key.values()) > NAMED}
    places = _places(uses.exclude(key__in=many), instance.region, actor)
    problems = _problems(uses)
    return [_used(key, places[key.pk], many.get(key.pk, {}), problems, instance, delivery) for key in keys]


def used_by(service: Service, delivery: Delivery, actor: Actor) -> list[Used]:
    """By it and by the rules for it; a value of its own is none. Five queries at most."""
    uses, region = of_service(service), service.instance.region
    keys = Key.visible_to(actor, region).filter(pk__in=uses.values("key")).order_by("name_folded")
    places, problems = _places(uses, region, actor), _problems(uses)
    return [_used(key, places[key.pk], {}, problems, service.instance, delivery) for key in keys]


def _used(
    key: Key, places: Sequence[tuple[Holder, At]], kinds: dict[str, int], problems: dict[UUID, str], instance: Instance, delivery: Delivery
) -> Used:
    changed = max([key.changed_seq, *(holder.changed_seq for holder, _at in places)])
    reason = problems.get(key.pk, "") if key.enabled else "disabled"
    return Used(
        key=key,
        url=to("key-detail", instance.region, name=key.audit_name),
        at=tuple(at for _holder, at in places),
        kinds=tuple((kind, kinds[kind]) for kind in KINDS if kind in kinds),
        state=state_of(delivery.effect(changed, [instance.pk]), control_plane_up=delivery.control_plane_up),
        problem=str(NOT_SERVED.get(reason, reason)),
    )


def _places(uses: QuerySet[Reference], region: Region, actor: Actor) -> dict[UUID, list[tuple[Holder, At]]]:
    """By key. A query for the references, one for each kind that occurs, and one for the texts of rules."""
    references = list(uses.order_by("holder_kind", "holder_id", "path"))
    holders = describe(references)
    lines = lines_of(holder for holder in holders if holder.kind == Rule.audit_kind and may_open(holder, region, actor))
    told = {(holder.kind, holder.id, holder.path): (holder, _at(holder, lines, region, actor)) for holder in holders}
    found: dict[UUID, list[tuple[Holder, At]]] = defaultdict(list)
    for use in references:
        if one := told.get((use.holder_kind, use.holder_id, use.path)):
            found[use.key_id].append(one)
    return found


def _at(holder: Holder, lines: Mapping[tuple[int, str], int], region: Region, actor: Actor) -> At:
    hidden = not may_open(holder, region, actor)
    return At(
        kind=holder.kind,
        name="" if hidden else holder.name,
        place=str(KINDS[holder.kind].place) if hidden else holder.place,
        line=lines.get((holder.id, holder.path), 0),
        url=field_of(region, holder, actor),
        hidden=hidden,
    )


def _problems(uses: QuerySet[Reference]) -> dict[UUID, str]:
    """Of each key one reason why some place is not served with it."""
    same = {name: OuterRef(name) for name in ("holder_kind", "holder_id", "path")}
    reason = Subquery(Problem.objects.filter(**same).exclude(reason="disabled").values("reason")[:1])
    return dict(uses.annotate(reason=reason).filter(reason__isnull=False).order_by().values_list("key", "reason"))
