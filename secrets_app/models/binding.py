"""All references of one holder at once: what Key._bind and Key._unbind do to one place, in a fixed number of queries."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db.models import F
from django.utils.translation import gettext_lazy as _

from secrets_app.db import locked
from secrets_app.errors import Invalid
from secrets_app.models.key import Key
from secrets_app.models.reference import Reference
from secrets_app.models.version import GONE, KeyVersion, taken


@dataclass(frozen=True, slots=True)
class Place:
    """Where a holder shall refer to a key, and whether callers present it there."""

    path: str
    key_id: UUID
    inbound: bool


@dataclass(frozen=True, slots=True)
class Rebound:
    """Keys that the holder referred to nowhere before, and the names of those that it does not refer to any more."""

    bound: frozenset[UUID]
    released: tuple[str, ...]


class Unusable(Invalid):
    """`keys` cannot be referred to, each for its reason."""

    def __init__(self, keys: Mapping[UUID, str]) -> None:
        super().__init__({"key": list(dict.fromkeys(keys.values()))})
        self.keys = dict(keys)


def refer(holder_kind: str, holder_id: int, places: Collection[Place], *, realm: str) -> Rebound:
    """Make the holder's references these and no others. For the deed of the holder; raises Unusable for keys that are new to it.

    `realm` is one that the holder shares with no other. A key that stays is not looked at, wherever its places move. An inline key
    ends with its last reference.
    """
    rows = list(Reference.objects.filter(holder_kind=holder_kind, holder_id=holder_id))
    wanted = {(place.path, place.key_id): place for place in places}
    before, after = {row.key_id for row in rows}, {place.key_id for place in places}
    keys = {key.pk: key for key in locked(Key.objects.filter(pk__in=before | after).order_by("pk"))}
    bound, released = after - before, before - after
    if gone := bound - keys.keys():
        raise Unusable(dict.fromkeys(gone, str(GONE)))
    inbound = {place.key_id for place in places if place.inbound}
    if refused := refusals([keys[pk] for pk in bound], inbound, realm):
        raise Unusable(refused)
    there = {(row.path, row.key_id): row for row in rows}
    Reference.objects.filter(pk__in=[row.pk for place, row in there.items() if place not in wanted]).delete()
    Reference.objects.bulk_create(
        Reference(
            key_id=place.key_id,
            holder_kind=holder_kind,
            holder_id=holder_id,
            path=place.path,
            inbound=place.inbound,
            realm=realm if place.inbound else "",
        )
        for where, place in wanted.items()
        if where not in there
    )
    Key.objects.filter(pk__in=bound).update(reference_count=F("reference_count") + 1)
    Key.objects.filter(pk__in=released).update(reference_count=F("reference_count") - 1)
    for pk in released:
        if keys[pk].is_inline and not keys[pk].references.exists():
            keys[pk]._erase()
    return Rebound(frozenset(bound), tuple(sorted(keys[pk].audit_name for pk in released if keys[pk].name)))


def repoint(holder_kind: str, holders: Collection[int], source: Key, target: Key, *, leaving_out: Collection[int]) -> None:
    """Make every reference of these holders to one key a reference to another; of those left out the reference just ends.

    For a deed that has looked whether the target can stand there. Both keys are locked. Four queries.
    """
    of_kind = Reference.objects.filter(holder_kind=holder_kind, holder_id__in=holders)
    had, have = (set(of_kind.filter(key=key).values_list("holder_id", flat=True)) for key in (source, target))
    of_kind.filter(key=source, holder_id__in=leaving_out).delete()
    of_kind.filter(key=source).update(key=target)
    source._count(-len(had))
    target._count(len(had - have))


def refusal(key: Key, *, inbound: bool) -> str:
    """Why no holder could refer to this key, whatever else it refers to; empty when one could. Two queries."""
    return refusals([key], {key.pk} if inbound else (), "").get(key.pk, "")


def refusals(keys: Collection[Key], inbound: Collection[UUID], realm: str) -> dict[UUID, str]:
    """Which of these cannot be bound, and why. `inbound`: all by which the holder will let callers in."""
    if not keys:
        return {}
    current = {version.key_id: version for version in KeyVersion.objects.filter(key__in=keys, stage=KeyVersion.CURRENT)}
    owners = _owners(inbound) if inbound else {}
    refused: dict[UUID, str] = {}
    for key in keys:
        version = current[key.pk]
        if not key.enabled:
            refused[key.pk] = str(_("This key is disabled. Enable it first, or choose another."))
        elif why := version.why_unusable(inbound=key.pk in inbound):
            refused[key.pk] = why
        elif key.pk in inbound and owners[bytes(version.fingerprint or b"")] - {key.pk}:
            refused[key.pk] = taken(realm).errors["key"][0]
    return refused


def _owners(keys: Collection[UUID]) -> dict[bytes, set[UUID]]:
    """By fingerprint, the keys of which some version that is accepted has it."""
    owners: dict[bytes, set[UUID]] = defaultdict(set)
    accepted = KeyVersion.accepted().filter(key__in=keys, fingerprint__isnull=False)
    for version in accepted.defer("body", "wrapped"):
        owners[bytes(version.fingerprint or b"")].add(version.key_id)
    return owners
