"""Refusals in the audit log: the first of a kind in a minute as an entry, its repeats as a number that a later entry states."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from django.db import DatabaseError, models, transaction
from django.utils import timezone

from secrets_app.actor import Actor
from secrets_app.db import locked
from secrets_app.errors import NotAllowed
from secrets_app.models.audit import REFUSED, AuditHead, Draft, Fact, Subject

LISTED = 20  # targets that one entry names

log = logging.getLogger(__name__)


class RefusalTally(models.Model):
    """Refusals of one actor, address, action and minute after the first, until one entry states their number and what they were about.

    It stays small however many there are: behind the first targets the rest are a number.
    """

    actor = models.CharField(max_length=150)
    address = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=64)
    minute = models.DateTimeField()
    count = models.PositiveIntegerField(default=0)
    targets = models.JSONField(default=list)  # as people read them, each once, in the order they came
    unlisted = models.PositiveIntegerField(default=0)  # refusals about others than these

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["actor", "address", "action", "minute"], name="one_tally_a_minute")]

    def add(self, target: str) -> None:
        self.count += 1
        if target and target not in self.targets:
            if len(self.targets) < LISTED:
                self.targets.append(target)
            else:
                self.unlisted += 1
        self.save()

    def facts(self) -> dict[str, Fact]:
        told: dict[str, Fact] = {"action": self.action, "count": self.count, "minute": self.minute.astimezone(UTC).isoformat()}
        if self.targets:
            told["targets"] = self.targets
        return told | ({"unlisted": self.unlisted} if self.unlisted else {})


def record_refusal(by: Actor, action: str, target: Subject | None = None, *, reason: str = NotAllowed.code) -> None:
    """For what is refused before any deed began: at the door, for want of the permission, or by a page that sees it cannot be done.

    `reason` is the code of the VaultError that says so.
    """
    record(Draft(by, action, target, None), reason)


def record(draft: Draft, reason: str) -> None:
    """The first of a minute is an entry; its repeats are counted, so that nobody can fill the log by being refused.

    A log that takes no entry makes no refusal a failure: nothing was done, and whoever was refused is told so as ever.
    """
    try:
        _record(draft, reason)
    except (DatabaseError, OSError):
        log.exception("%s was refused %s (%s), and no entry of the audit log says so.", draft.by.name, draft.action, reason)


def _record(draft: Draft, reason: str) -> None:
    now = timezone.now()
    key: dict[str, Any] = {
        "actor": draft.by.name,
        "address": draft.by.address,
        "action": draft.action,
        "minute": now.replace(second=0, microsecond=0),
    }
    with transaction.atomic(durable=True):
        locked(AuditHead.objects.filter(pk=1)).first()  # one at a time, also where rows are locked one by one
        _settle_tallies(now)
        tally, first = RefusalTally.objects.get_or_create(**key)
        if not first:
            tally.add(_told(draft.target))
            return
        draft.facts = {"reason": reason}
        draft.write(REFUSED)


def _settle_tallies(now: datetime) -> None:
    """State how often each earlier minute's refusal was repeated, once that minute is over."""
    over = now.replace(second=0, microsecond=0) - timedelta(minutes=1)
    for tally in RefusalTally.objects.filter(minute__lte=over):
        if tally.count:
            repeat = Draft(Actor(name=tally.actor, address=tally.address), "audit.repeat", None, None)
            repeat.facts = tally.facts()
            repeat.write()
        tally.delete()


def _told(target: Subject | None) -> str:
    """ "key openai_prod (local)", or nothing where there is no name to tell."""
    if target is None or not target.audit_name:
        return ""
    where = f" ({target.audit_region[1]})" if target.audit_region else ""
    return f"{target.audit_kind} {target.audit_name[:200]}{where}"
