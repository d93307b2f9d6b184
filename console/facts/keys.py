"""What the key pages show of keys, as values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from console.facts import graph
from console.facts.audit import Sentence, tell
from console.facts.picture import picture
from console.facts.places import Group, Place, Places
from console.facts.policy import Told
from gateway.delivery import Delivery, Effect
from gateway.holders import KINDS
from gateway.models import Consumer
from gateway.uses import Census, instances, named
from secrets_app.actor import Actor
from secrets_app.models import AuditEntry, Key, KeyVersion, Reference
from secrets_app.models.audit import OK

NAMES_SHOWN = 3
VERSIONS_SHOWN, ENTRIES_SHOWN = 6, 6


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
    def of(cls, key: Key, census: Census, actor: Actor) -> Self:
        """Five queries, and three more a kind of holder. Whom this person may not see is counted and not named."""
        delivery = Delivery.of(key.region)
        reached = None if census.inbound else [instance.pk for instance in instances(key)] if census.outbound else []
        at = set(delivery.by_instance) if reached is None else set(reached)
        return cls(
            holders=census.total,
            callers=tuple(_affected(key, census.inbound, actor)),
            senders=tuple(_affected(key, census.outbound, actor)),
            nodes=sum(len(nodes) for pk, nodes in delivery.by_instance.items() if pk in at),
            instances=len(at),
            ending=key.versions.filter(stage=KeyVersion.PREVIOUS, accepted_until__gt=timezone.now()).first(),
        )


def _affected(key: Key, counted: dict[str, int], actor: Actor) -> Iterator[Affected]:
    for kind, count in counted.items():
        seen = actor.may_within(KINDS[kind].view, key)
        found = named(key, kind, most=NAMES_SHOWN, among=actor.instances_with(KINDS[kind].view, key)) if seen else ()
        yield Affected(kind, count, tuple(dict.fromkeys(holder.name for holder in found)))


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
    told: Told

    @classmethod
    def of(cls, key: Key, actor: Actor, *, all_versions: bool) -> Self:
        """Twenty-four queries at most, however many holders there are."""
        delivery, census = Delivery.of(key.region), Census.of(key)
        places = Places(key, delivery, actor)
        serving = list(instances(key)) if census.by_kind.keys() - {Consumer.audit_kind} else []
        entries = AuditEntry.objects.filter(target_kind=key.audit_kind, target_id=str(key.pk), outcome=OK).order_by("-seq")
        versions = key.versions.defer("body", "wrapped", "fingerprint").order_by("-number")
        shown = (
            versions if all_versions else versions.filter(Q(number__in=versions.values("number")[:VERSIONS_SHOWN]) | Q(number=key.version))
        )
        return cls(
            census=census,
            instances=len(serving),
            effect=(effect := delivery.effect(key.changed_seq)),
            stopped=not key.enabled and effect.everywhere,
            down=not delivery.control_plane_up,
            groups=places.groups(census),
            unserved=places.tell(one.holder for one in places.unserved),
            graph=picture(key, census, serving, delivery, actor),
            versions=tuple(shown),
            version_count=key.versions.count(),
            activity=tell(entries[:ENTRIES_SHOWN]),
            told=Told.of(key),
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
        return next(version for version in self.versions if version.stage == KeyVersion.CURRENT)

    @property
    def shown(self) -> int:
        return sum(len(group.holders) for group in self.groups)

    @property
    def senders(self) -> int:
        return sum(self.census.outbound.values())


def _kinds(ids: Sequence[UUID]) -> dict[UUID, tuple[str, ...]]:
    """Which kinds of holder each key has, by one look at the index for each kind."""
    of_key = Reference.objects.filter(key=OuterRef("pk"))
    has = {f"has_{kind}": Exists(of_key.filter(holder_kind=kind)) for kind in KINDS}
    found = Key.objects.filter(pk__in=ids, reference_count__gt=0).annotate(**has).values_list("pk", *has)
    return {pk: tuple(kind for kind, present in zip(KINDS, flags, strict=True) if present) for pk, *flags in found}
