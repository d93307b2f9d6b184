"""The audit log, and the deed that writes it: one transaction holds a change and its entry, so neither exists without the other.

Entries form a SHA-256 chain (secrets_app/chain.py). The one head row is locked last, so `seq` has no gaps and the chain cannot
fork. The log is also the outbox: the control plane follows `seq` and acts on entries that publish.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Never, Protocol
from uuid import UUID

from django.db import IntegrityError, models, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from secrets_app import chain
from secrets_app.access import ACTIONS
from secrets_app.actor import Actor
from secrets_app.db import locked, reading
from secrets_app.errors import AlreadyDone, Conflict, FormReused, NotAllowed, VaultError

OK, REFUSED = "ok", "refused"
APPEND_ONLY = "The audit log is append-only."

_TAKEN_OR_GONE = {"23505", "23503"}  # unique_violation, foreign_key_violation

Fact = str | int | bool | list[str] | None


class Subject(Protocol):
    """What a deed is done to: its kind, its name as people know it, and the region it lies in (None: all regions)."""

    @property
    def pk(self) -> Any: ...
    @property
    def audit_kind(self) -> str: ...
    @property
    def audit_name(self) -> str: ...
    @property
    def audit_region(self) -> "tuple[UUID, str] | None": ...


@dataclass(frozen=True, slots=True)
class Planned:
    """What a deed is about to make, while there is no row of it. `facts` are those its entry will state that tell it from its like.

    A refusal states no name: what was typed may be anything.
    """

    audit_kind: str
    name: str
    audit_region: tuple[UUID, str] | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    pk: str = ""
    audit_name: str = ""

    def was_made_by(self, entry: "AuditEntry") -> bool:
        within = self.audit_region is None or self.audit_region[0] == entry.region_id
        return within and (self.audit_kind, self.name) == (entry.target_kind, entry.target) and self.facts.items() <= entry.facts.items()


class AuditHead(models.Model):
    """One row: where the chain ends."""

    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default=chain.GENESIS)


class AppendOnly(models.QuerySet["AuditEntry"]):
    def update(self, **kwargs: Any) -> Never:
        raise TypeError(APPEND_ONLY)

    def bulk_update(self, *args: Any, **kwargs: Any) -> Never:
        raise TypeError(APPEND_ONLY)

    def delete(self) -> Never:
        raise TypeError(APPEND_ONLY)


class AuditEntry(models.Model):
    """Append-only. Names stand as text, so an entry outlives its subjects."""

    seq = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    region_id = models.UUIDField(null=True)
    region = models.CharField(max_length=32, blank=True)
    actor = models.CharField(max_length=150)
    actor_id = models.UUIDField(null=True)
    address = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=64)
    outcome = models.CharField(max_length=16)
    target_kind = models.CharField(max_length=32, blank=True)
    target_id = models.CharField(max_length=64, blank=True)
    target = models.CharField(max_length=200, blank=True)
    facts = models.JSONField(default=dict)
    operation = models.UUIDField(null=True, unique=True)  # the form's token: the same post twice is one deed
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    objects = AppendOnly.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["region_id", "seq"]),
            models.Index(fields=["target_kind", "target_id", "seq"]),
            models.Index(fields=["action", "seq"]),
            models.Index(fields=["actor", "seq"]),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError(APPEND_ONLY)
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> Never:
        raise TypeError(APPEND_ONLY)

    def digest(self) -> str:
        """The hash this entry must carry, from its own content and `prev_hash`."""
        return chain.digest({name: getattr(self, name) for name in chain.FIELDS}, self.prev_hash)

    @classmethod
    def verify(cls) -> chain.Verdict:
        """The whole log, in one consistent view of the database; memory does not grow with it."""
        with reading():
            head = AuditHead.objects.filter(pk=1).first() or AuditHead()
            entries = cls.objects.order_by("seq").values(*chain.FIELDS, "hash", "prev_hash")
            return chain.verify(entries.iterator(chunk_size=1000), head.seq, head.hash)


class RefusalTally(models.Model):
    """Refusals of one actor, address, action and minute after the first, until one entry states their number."""

    actor = models.CharField(max_length=150)
    address = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=64)
    minute = models.DateTimeField()
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["actor", "address", "action", "minute"], name="one_tally_a_minute")]


class Draft:
    """The entry of a deed under way. The deed sets `facts`, and `target` once a new subject exists."""

    def __init__(self, by: Actor, action: str, target: Subject | None, operation: UUID | None) -> None:
        self.by, self.action, self.target, self.operation = by, action, target, operation
        self.facts: dict[str, Fact] = {}
        self._stamped: list[models.Model] = []

    def stamp(self, *rows: models.Model) -> None:
        """These rows changed with this entry: their `changed_seq` becomes its seq, which tells when a node has caught up with them."""
        self._stamped += rows

    def repeats(self, done: AuditEntry) -> bool:
        """Whether that entry is of this very deed: same action, same person, same target."""
        if (self.action, self.by.name, self.by.user_id) != (done.action, done.actor, done.actor_id):
            return False
        if isinstance(self.target, Planned):
            return self.target.was_made_by(done)
        return self.target is None or (self.target.audit_kind, str(self.target.pk)) == (done.target_kind, done.target_id)

    def write(self, outcome: str = OK) -> AuditEntry:
        """Append to the chain. The head row is locked here, last, just before the commit."""
        allowed = ACTIONS[self.action].facts | ({"reason"} if outcome == REFUSED else frozenset())
        if strange := self.facts.keys() - allowed:
            raise ValueError(f"{self.action} may not state {sorted(strange)}")
        target, region = self.target, self.target.audit_region if self.target else None
        head, _new = locked(AuditHead.objects.all()).get_or_create(pk=1)
        entry = AuditEntry(
            seq=head.seq + 1,
            at=timezone.now(),
            region_id=region[0] if region else None,
            region=region[1] if region else "",
            actor=self.by.name,
            actor_id=self.by.user_id,
            address=self.by.address,
            request_id=self.by.request_id,
            action=self.action,
            outcome=outcome,
            target_kind=target.audit_kind if target else "",
            target_id=str(target.pk) if target else "",
            target=target.audit_name[:200] if target else "",
            facts=self.facts,
            operation=self.operation if outcome == OK else None,
            prev_hash=head.hash,
        )
        entry.hash = entry.digest()
        entry.save()
        AuditHead.objects.filter(pk=1).update(seq=entry.seq, hash=entry.hash)
        for row in self._stamped:
            type(row)._default_manager.filter(pk=row.pk).update(changed_seq=entry.seq)
            row.changed_seq = entry.seq  # type: ignore[attr-defined]
        return entry


@contextmanager
def deed(by: Actor, action: str, target: Subject | None = None, *, once: UUID | None = None) -> Iterator[Draft]:
    """One permission check, one transaction, one entry; the entry is written last and a failure to write it undoes the change.

    `once` names the operation: a repeat of the same action by the same person on the same target raises AlreadyDone, anything else
    under that name FormReused, and both change nothing. A deed that makes something takes it as Planned.
    A refusal rolls back and is audited by itself. Deeds never nest. Raises NotAllowed, and whatever VaultError the body raises.
    """
    draft = Draft(by, action, target, once)
    try:
        by.require(action)
        with _lost_races(draft), transaction.atomic(durable=True):
            _check_once(draft)
            yield draft
            draft.write()
    except VaultError as refusal:
        if isinstance(refusal, NotAllowed | Conflict) and not isinstance(refusal, AlreadyDone):
            _record_refusal(draft, refusal.code)
        raise


@contextmanager
def _lost_races(draft: Draft) -> Iterator[None]:
    """On PostgreSQL two deeds may pass the same check and meet at a constraint: for the second that is a conflict, not a failure.

    The driver's own error is let go: it quotes what was to be stored. SQLite's deeds follow one another.
    """
    try:
        yield
    except IntegrityError as broken:
        if getattr(broken.__cause__, "sqlstate", "") not in _TAKEN_OR_GONE:
            raise
    else:
        return
    _check_once(draft)
    raise Conflict(
        _("Someone else made a change at the same moment. Nothing was saved: look at what is there now, then try again.")
    ) from None


def _check_once(draft: Draft) -> None:
    if draft.operation and (done := AuditEntry.objects.filter(operation=draft.operation).first()):
        raise AlreadyDone(done.target) if draft.repeats(done) else FormReused()


def record_refusal(by: Actor, action: str, target: Subject | None = None, *, reason: str = NotAllowed.code) -> None:
    """For what is refused before any deed began: at the door, for want of the permission, or by a page that sees it cannot be done.

    `reason` is the code of the VaultError that says so.
    """
    _record_refusal(Draft(by, action, target, None), reason)


def _record_refusal(draft: Draft, reason: str) -> None:
    now = timezone.now()
    key = {
        "actor": draft.by.name,
        "address": draft.by.address,
        "action": draft.action,
        "minute": now.replace(second=0, microsecond=0),
    }
    with transaction.atomic(durable=True):
        locked(AuditHead.objects.filter(pk=1)).first()  # one at a time, also where rows are locked one by one
        _settle_tallies(now)
        if RefusalTally.objects.filter(**key).update(count=F("count") + 1):
            return
        RefusalTally.objects.create(**key)
        draft.facts = {"reason": reason}
        draft.write(REFUSED)


def _settle_tallies(now: datetime) -> None:
    """State how often each earlier minute's refusal was repeated, once that minute is over."""
    over = now.replace(second=0, microsecond=0) - timedelta(minutes=1)
    for tally in RefusalTally.objects.filter(minute__lte=over):
        if tally.count:
            repeat = Draft(Actor(name=tally.actor, roles=frozenset(), address=tally.address), "audit.repeat", None, None)
            repeat.facts = {"action": tally.action, "count": tally.count, "minute": tally.minute.astimezone(UTC).isoformat()}
            repeat.write()
        tally.delete()
