"""Which version of a key is handed out: a new value in place of the current one, or an earlier one again.

At most two versions are accepted at any time: the current one, and for its overlap the one that it replaced.
"""

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from secrets_app.actor import Actor
from secrets_app.errors import Conflict, Invalid, NotFound
from secrets_app.models.version import KeyVersion, unusable
from secrets_app.plaintext import Plaintext

if TYPE_CHECKING:
    from secrets_app.models.key import Key

OVERLAPS = {0: timedelta(0), 1: timedelta(hours=1), 24: timedelta(hours=24), 168: timedelta(days=7)}


def rotated(key: "Key", value: Plaintext, overlap_hours: int, by: Actor) -> KeyVersion:
    """For a deed that holds the key. Raises Invalid (fields overlap, key)."""
    realms = _realms(key, overlap_hours)
    version = KeyVersion.sealed(key, value, by, number=next_number(key))
    _check(key, version, realms)
    _step_down(key, overlap_hours)
    version.save(force_insert=True)
    _put_in_force(key, version, by)
    return version


def rolled_back(key: "Key", number: int, overlap_hours: int, by: Actor) -> KeyVersion:
    """For a deed that holds the key. Raises NotFound, Conflict for the current version, Invalid (fields overlap, key)."""
    version = key.versions.filter(number=number).first()
    if version is None:
        raise NotFound()
    if version.stage == KeyVersion.CURRENT:
        raise Conflict(_("This version is the current one already."))
    _check(key, version, _realms(key, overlap_hours))
    _step_down(key, overlap_hours)
    version.stage, version.accepted_until = KeyVersion.CURRENT, None
    version.save(update_fields=["stage", "accepted_until"])
    _put_in_force(key, version, by)
    return version


def next_number(key: "Key") -> int:
    """Behind every version there ever was: after a rollback the current one is not the last."""
    return 1 + (key.versions.aggregate(last=Max("number"))["last"] or 0)


def _realms(key: "Key", overlap_hours: int) -> set[str]:
    """Where callers present the key."""
    if overlap_hours not in OVERLAPS:
        raise Invalid({"overlap": [_("Choose one of the periods listed.")]})
    realms = set(key.references.filter(inbound=True).order_by().values_list("realm", flat=True).distinct())
    if overlap_hours and not realms:
        raise Invalid({"overlap": [_("Nobody presents this key to the gateway, so there is no previous value to keep valid.")]})
    return realms


def _check(key: "Key", version: KeyVersion, realms: set[str]) -> None:
    current = key._current()
    if version.fingerprint and current.fingerprint and bytes(version.fingerprint) == bytes(current.fingerprint):
        raise unusable(_("This is the value in use already. Enter a new one."))
    if key.reference_count:
        version.check_usable(realms)


def _step_down(key: "Key", overlap_hours: int) -> None:
    """Accepted versions are two at most: a change during an overlap ends the older one."""
    now = timezone.now()
    key.versions.filter(stage=KeyVersion.PREVIOUS).update(stage=KeyVersion.RETIRED, accepted_until=now)
    stage = KeyVersion.PREVIOUS if overlap_hours else KeyVersion.RETIRED
    key.versions.filter(stage=KeyVersion.CURRENT).update(stage=stage, accepted_until=now + OVERLAPS[overlap_hours])


def _put_in_force(key: "Key", version: KeyVersion, by: Actor) -> None:
    key.version, key.rotated_at, key.rotated_by = version.number, timezone.now(), by.name
    key._save("version", "rotated_at", "rotated_by")
