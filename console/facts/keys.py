"""What the key pages show of keys, as values."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.http import QueryDict
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as now
from django.utils.translation import gettext_lazy as _

from console.facts import graph
from console.facts.audit import Sentence, tell
from console.facts.overview import service_page, to
from console.facts.plugins import rule_line
from gateway.delivery import Delivery, Effect
from gateway.holders import KINDS, Holder
from gateway.models import Instance
from gateway.uses import Census, Unserved, instances, named, number, unserved
from secrets_app.models import AuditEntry, Key, KeyVersion, Reference
from secrets_app.models.audit import OK

HOLDERS_SHOWN = 20  # of each kind, and as many more with each "Show more"
MOST_HOLDERS = 1000
NAMES_SHOWN = 3
EVERYWHERE = ""  # the instance of what belongs to none: every one of the region serves it
VERSIONS_SHOWN, ENTRIES_SHOWN = 6, 6

NOT_SERVED: dict[str, Promise] = {
    "disabled": _("The key is disabled"),
    "unreadable": _("The stored value cannot be opened"),
    "duplicate": _("Another consumer presents the same value"),
    "charset": _("The value cannot travel in a header"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list. `previous` is the version that callers may still present, if there is one."""

    key: Key
    url: str
    kinds: tuple[str, ...]
    previous: KeyVersion | None
    effect: Effect


def rows(keys: Sequence[Key], delivery: Delivery, list_url: str) -> list[Row]:
    """Two queries, however many keys there are and however many holders they have."""
    ids = [key.pk for key in keys]
    kinds = _kinds(ids)
    still = KeyVersion.objects.filter(key__in=ids, stage=KeyVersion.PREVIOUS, accepted_until__gt=timezone.now())
    previous = {version.key_id: version for version in still.only("key_id", "number", "accepted_until")}
    return [
        Row(key, f"{list_url}{key.name}/", kinds.get(key.pk, ()), previous.get(key.pk), delivery.effect(key.changed_seq)) for key in keys
    ]


@dataclass(frozen=True, slots=True)
class Place:
    """A use of the key as the holders' table and the drawer show it.

    `state` of the last change to it: "ok" where it is in effect, "moving", "waiting" for a control plane that is down, "refused" by a
    node, or "" where there is no node. `problem` says why no gateway serves it.
    """

    name: str
    place: str
    url: str
    instance: str
    instance_ref: str
    version: int
    state: str
    problem: str
    off: bool


@dataclass(frozen=True, slots=True)
class Group:
    kind: str
    holders: tuple[Place, ...]
    total: int
    more_url: str


class Places:
    """Turns uses of one key into what people read, with one look at the nodes and one at the problems."""

    def __init__(self, key: Key, delivery: Delivery) -> None:
        self._key, self._delivery = key, delivery
        # A key that was enabled just now is not served yet: that is a change on its way, and no trouble.
        self.unserved: tuple[Unserved, ...] = tuple(one for one in unserved(key) if one.reason != "disabled" or not key.enabled)
        self._problems = {(one.holder.kind, one.holder.id, one.holder.path): one.reason for one in self.unserved}

    def groups(self, census: Census, *, typed: str = "", address: QueryDict | None = None) -> list[Group]:
        """By kind, each as far as the address asks (?consumer=40). Three queries a kind, and a count where something is typed."""
        return [self._group(kind, total, typed, address) for kind, total in census.by_kind.items()]

    def tell(self, holders: Iterable[Holder]) -> tuple[Place, ...]:
        return tuple(self._place(holder) for holder in holders)

    def _group(self, kind: str, total: int, typed: str, address: QueryDict | None) -> Group:
        most = _most(address, kind)
        found = number(self._key, kind, typed) if typed else total
        more = ""
        if address is not None and found > most < MOST_HOLDERS:
            further = address.copy()
            further[kind] = str(min(most + HOLDERS_SHOWN, MOST_HOLDERS))
            more = f"?{further.urlencode()}"
        return Group(kind, self.tell(named(self._key, kind, typed, most=most)), found, more)

    def _place(self, holder: Holder) -> Place:
        key = self._key
        effect = self._delivery.effect(
            max(key.changed_seq, holder.changed_seq), None if holder.instance_id is None else [holder.instance_id]
        )
        reason = self._problems.get((holder.kind, holder.id, holder.path), "") if key.enabled else "disabled"
        return Place(
            name=holder.name,
            place=holder.place,
            url=holder_url(key, holder),
            instance=holder.instance_name,
            instance_ref=holder.instance_ref,
            version=key.version,
            state=self._state(effect),
            problem=str(NOT_SERVED.get(reason, reason)),
            off=not holder.enabled,
        )

    def _state(self, effect: Effect) -> str:
        if effect.refused:
            return "refused"
        if effect.everywhere or not effect.total:
            return "ok" if effect.total else ""
        return "moving" if self._delivery.control_plane_up else "waiting"


@dataclass(frozen=True, slots=True)
class Affected:
    """Holders of one kind: how many, and the first few by name."""

    kind: str
    count: int
    names: tuple[str, ...]

    @property
    def more(self) -> int:
        return self.count - len(self.names)


@dataclass(frozen=True, slots=True)
class Impact:
    """Whom a deed on the key reaches, before it is done. Callers have to act; senders do not, because the gateway holds the value."""

    holders: int
    callers: tuple[Affected, ...]
    senders: tuple[Affected, ...]
    nodes: int
    instances: int
    ending: KeyVersion | None  # the previous version, if it is still accepted: another rotation ends it

    @classmethod
    def of(cls, key: Key, census: Census) -> Self:
        """Five queries, and three more a kind of holder."""
        delivery = Delivery.of(key.region)
        reached = None if census.inbound else [instance.pk for instance in instances(key)] if census.outbound else []
        at = set(delivery.by_instance) if reached is None else set(reached)
        return cls(
            holders=census.total,
            callers=tuple(_affected(key, census.inbound)),
            senders=tuple(_affected(key, census.outbound)),
            nodes=sum(len(nodes) for pk, nodes in delivery.by_instance.items() if pk in at),
            instances=len(at),
            ending=key.versions.filter(stage=KeyVersion.PREVIOUS, accepted_until__gt=timezone.now()).first(),
        )


def _affected(key: Key, counted: dict[str, int]) -> Iterator[Affected]:
    for kind, count in counted.items():
        yield Affected(kind, count, tuple(dict.fromkeys(holder.name for holder in named(key, kind, most=NAMES_SHOWN))))


def _graph(key: Key, census: Census, serving: Sequence[Instance], delivery: Delivery) -> graph.Graph | None:
    """Three queries a kind that is drawn holder by holder."""
    nodes = {instance.ref: len(delivery.by_instance.get(instance.pk, ())) for instance in serving}
    places = {instance.ref: graph.Place(instance.name, nodes[instance.ref]) for instance in sorted(serving, key=str)}
    drawn: list[graph.Holder] = []
    for kind, count in census.by_kind.items():
        if count > graph.MOST_ALONE:
            refs = tuple(places) if kind != "consumer" else (EVERYWHERE,)
            drawn.append(graph.Holder(kind, str(KINDS[kind].many), to("key-references", key.region, name=key.audit_name), refs, count))
        else:
            found = named(key, kind, most=count)
            drawn += [graph.Holder(kind, holder.name, holder_url(key, holder), (holder.instance_ref,)) for holder in found]
    if any(EVERYWHERE in holder.places for holder in drawn):
        places[EVERYWHERE] = graph.Place(now("Every instance"), len(delivery.nodes))
    served = {ref for holder in drawn for ref in holder.places}
    return graph.draw(key.audit_name, drawn, {ref: place for ref, place in places.items() if ref in served}) if drawn else None


def holder_url(key: Key, holder: Holder) -> str:
    if holder.kind == "consumer":
        return to("consumer-detail", key.region, name=holder.name)
    if holder.kind == "plugin":
        return rule_line(key.region, holder)
    return service_page(key.region, holder.kind, holder.instance_ref, holder.name)


@dataclass(frozen=True, slots=True)
class Facts:
    """One key: who holds it and how, how far its last change has got, its versions, and what was done to it."""

    census: Census
    instances: int
    effect: Effect
    down: bool  # the control plane: nothing is on its way
    groups: list[Group]
    unserved: tuple[Place, ...]
    graph: graph.Graph | None
    versions: tuple[KeyVersion, ...]
    version_count: int
    stopped: bool  # disabled, and every node follows
    activity: list[Sentence]

    @classmethod
    def of(cls, key: Key, *, all_versions: bool) -> Self:
        """Twenty-one queries at most, however many holders there are."""
        delivery, census = Delivery.of(key.region), Census.of(key)
        places = Places(key, delivery)
        serving = list(instances(key)) if census.outbound else []
        entries = AuditEntry.objects.filter(target_kind=key.audit_kind, target_id=str(key.pk), outcome=OK).order_by("-seq")
        versions = key.versions.defer("body", "wrapped", "fingerprint").order_by("-number")
        return cls(
            census=census,
            instances=len(serving),
            effect=(effect := delivery.effect(key.changed_seq)),
            stopped=not key.enabled and effect.everywhere,
            down=not delivery.control_plane_up,
            groups=places.groups(census),
            unserved=places.tell(one.holder for one in places.unserved),
            graph=_graph(key, census, serving, delivery) if census.total else None,
            versions=tuple(versions if all_versions else versions[:VERSIONS_SHOWN]),
            version_count=key.versions.count(),
            activity=tell(entries[:ENTRIES_SHOWN]),
        )

    @property
    def moving(self) -> bool:
        """Worth another look in a moment: a change is on its way to a gateway that uses the key."""
        if self.down or not self.census.total:
            return False
        under_way = self.effect.done + len(self.effect.refused) < self.effect.total
        return under_way or any(place.state == "moving" for group in self.groups for place in group.holders)

    @property
    def current(self) -> KeyVersion:
        return self.versions[0]

    @property
    def shown(self) -> int:
        return sum(len(group.holders) for group in self.groups)

    @property
    def senders(self) -> int:
        return sum(self.census.outbound.values())


def _most(address: QueryDict | None, kind: str) -> int:
    asked = address.get(kind, "") if address is not None else ""
    wanted = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 0
    return max(HOLDERS_SHOWN, min(wanted, MOST_HOLDERS))


def _kinds(ids: Sequence[UUID]) -> dict[UUID, tuple[str, ...]]:
    """Which kinds of holder each key has, by one look at the index for each kind."""
    of_key = Reference.objects.filter(key=OuterRef("pk"))
    has = {f"has_{kind}": Exists(of_key.filter(holder_kind=kind)) for kind in KINDS}
    found = Key.objects.filter(pk__in=ids, reference_count__gt=0).annotate(**has).values_list("pk", *has)
    return {pk: tuple(kind for kind, present in zip(KINDS, flags, strict=True) if present) for pk, *flags in found}
