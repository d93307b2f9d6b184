"""The places where a key is used, as the holders' table, the drawer and the warnings show them to one person."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from console.facts.landing import field_of
from gateway.delivery import Delivery, Effect
from gateway.holders import KINDS, Holder
from gateway.models import Rule
from gateway.plugins.paths import written
from gateway.plugins.reading import read
from gateway.uses import Census, Unserved, named, number, unserved
from secrets_app.actor import Actor
from secrets_app.models import Key, Region

HOLDERS_SHOWN = 20  # of each kind, and as many more with each "Show more"
MOST_HOLDERS = 1000

NOT_SERVED: dict[str, Promise] = {
    "disabled": _("The key is disabled"),
    "unreadable": _("The stored value cannot be opened"),
    "duplicate": _("Another caller presents the same value"),
    "charset": _("The value cannot travel in a header"),
    "policy": _("The key's policy does not let it go there"),
    "text": _("The rule's text does not pass any more"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A use of the key as the holders' table and the drawer show it.

    `state` of the last change to it: "ok" where it is in effect, "moving", "waiting" for a control plane that is down, "refused" by a
    node, or "" where there is no node. `problem` says why no gateway serves it. `hidden`: of a holder that this person may not open,
    whose name, instance and place in it stay untold.
    """

    name: str
    place: str
    line: int  # of a rule's text; 0 elsewhere
    url: str
    instance: str
    instance_ref: str
    version: int
    state: str
    problem: str
    off: bool
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    kind: str
    holders: tuple[Place, ...]
    total: int
    more_url: str


class Places:
    """Turns uses of one key into what one person reads, with one look at the nodes and one at the problems."""

    def __init__(self, key: Key, delivery: Delivery, actor: Actor) -> None:
        self._key, self._delivery, self._actor = key, delivery, actor
        # A key that was enabled just now is not served yet: that is a change on its way, and no trouble.
        self.unserved: tuple[Unserved, ...] = tuple(one for one in unserved(key) if one.reason != "disabled" or not key.enabled)
        self._problems = {(one.holder.kind, one.holder.id, one.holder.path): one.reason for one in self.unserved}

    def groups(self, census: Census, *, typed: str = "", address: QueryDict | None = None) -> list[Group]:
        """By kind, each as far as the address asks (?consumer=40). Three queries a kind, one more of plug-ins, and a count where
        something is typed. What this person may not open is counted, and found by no search: that would tell its name."""
        kinds = census.by_kind.items()
        return [self._group(kind, total, typed, address) for kind, total in kinds if not typed or self._sees(kind)]

    def tell(self, holders: Iterable[Holder]) -> tuple[Place, ...]:
        """One query where there are rules among them."""
        holders = list(holders)
        region = self._key.region
        lines = lines_of(holder for holder in holders if holder.kind == Rule.audit_kind and may_open(holder, region, self._actor))
        return tuple(self._place(holder, lines.get((holder.id, holder.path), 0)) for holder in holders)

    def _group(self, kind: str, total: int, typed: str, address: QueryDict | None) -> Group:
        most = _most(address, kind)
        among = self._actor.instances_with(KINDS[kind].view, self._key) if typed else None
        found = number(self._key, kind, typed, among) if typed else total
        more = ""
        if address is not None and found > most < MOST_HOLDERS:
            further = address.copy()
            further[kind] = str(min(most + HOLDERS_SHOWN, MOST_HOLDERS))
            more = f"?{further.urlencode()}"
        return Group(kind, self.tell(named(self._key, kind, typed, most=most, among=among)), found, more)

    def _place(self, holder: Holder, line: int) -> Place:
        key, hidden = self._key, not may_open(holder, self._key.region, self._actor)
        effect = self._delivery.effect(
            max(key.changed_seq, holder.changed_seq), None if holder.instance_id is None else [holder.instance_id]
        )
        reason = self._problems.get((holder.kind, holder.id, holder.path), "") if key.enabled else "disabled"
        return Place(
            name="" if hidden else holder.name,
            place=str(KINDS[holder.kind].place) if hidden else holder.place,
            line=line,
            url=field_of(key.region, holder, self._actor),
            instance="" if hidden else holder.instance_name,
            instance_ref="" if hidden else holder.instance_ref,
            version=key.version,
            state=state_of(effect, control_plane_up=self._delivery.control_plane_up),
            problem=str(NOT_SERVED.get(reason, reason)),
            off=not holder.enabled,
            hidden=hidden,
        )

    def _sees(self, kind: str) -> bool:
        return self._actor.may_within(KINDS[kind].view, self._key)


def state_of(effect: Effect, *, control_plane_up: bool) -> str:
    """As Place has it."""
    if effect.refused:
        return "refused"
    if effect.everywhere or not effect.total:
        return "ok" if effect.total else ""
    return "moving" if control_plane_up else "waiting"


def may_open(holder: Holder, region: Region, actor: Actor) -> bool:
    return actor.may(KINDS[holder.kind].view, holder.scope_in(region.pk))


def lines_of(rules: Iterable[Holder]) -> dict[tuple[int, str], int]:
    """By rule and path, the line of its text. One query, if there is any rule."""
    ids = {rule.id for rule in rules}
    texts = Rule.objects.filter(pk__in=ids).values_list("pk", "text") if ids else ()
    return {(pk, written(placed.path)): placed.mark.line for pk, text in texts for placed in read(text).refs}


def _most(address: QueryDict | None, kind: str) -> int:
    asked = address.get(kind, "") if address is not None else ""
    wanted = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 0
    return max(HOLDERS_SHOWN, min(wanted, MOST_HOLDERS))
