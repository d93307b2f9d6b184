"""The deed: one transaction holds a change and its audit entry, so neither exists without the other."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils.translation import gettext_lazy as _

from secrets_app.actor import Actor
from secrets_app.errors import AlreadyDone, Conflict, FormReused, NotAllowed, VaultError
from secrets_app.models.audit import AuditEntry, Draft, Fact, Subject
from secrets_app.models.refusals import record
from secrets_app.scope import EVERYWHERE, Scope

_LOST = {"23505", "23503", "40P01"}  # unique_violation, foreign_key_violation, deadlock_detected


class Located(Protocol):
    @property
    def audit_region(self) -> tuple[UUID, str] | None: ...
    @property
    def scope(self) -> Scope: ...


@dataclass(frozen=True, slots=True)
class Planned:
    """What a deed is about to make at some place, while there is no row of it. `facts` are those its entry will state that tell it from
    its like.

    A refusal states no name: what was typed may be anything.
    """

    audit_kind: str
    name: str
    where: "Located | None" = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    pk: str = ""
    audit_name: str = ""

    @property
    def audit_region(self) -> tuple[UUID, str] | None:
        return self.where.audit_region if self.where else None

    @property
    def scope(self) -> Scope:
        return self.where.scope if self.where else EVERYWHERE

    def was_made_by(self, entry: AuditEntry) -> bool:
        within = self.audit_region is None or self.audit_region[0] == entry.region_id
        return within and (self.audit_kind, self.name) == (entry.target_kind, entry.target) and self.facts.items() <= entry.facts.items()


@contextmanager
def deed(
    by: Actor, action: str, target: Subject | None = None, *, once: UUID | None = None, facts: Mapping[str, Fact] | None = None
) -> Iterator[Draft]:
    """One permission check where the target lies, one transaction, one entry; that is written last, and a failure to write it undoes
    the change.

    `once` names the operation: a repeat of the same action by the same person on the same target raises AlreadyDone, anything else
    under that name FormReused, and both change nothing. A deed that makes something takes it as Planned. `facts` are those that tell
    the deed from its like on the same target.
    A refusal rolls back and is audited by itself. Deeds never nest. Raises NotAllowed, and whatever VaultError the body raises.
    """
    draft = Draft(by, action, target, once, facts)
    try:
        by.require(action, target or EVERYWHERE)
        with _lost_races(draft), transaction.atomic(durable=True):
            _check_once(draft)
            yield draft
            draft.write()
    except VaultError as refusal:
        if isinstance(refusal, NotAllowed | Conflict) and not isinstance(refusal, AlreadyDone):
            record(draft, refusal.code)
        raise


@contextmanager
def _lost_races(draft: Draft) -> Iterator[None]:
    """On PostgreSQL two deeds may pass the same check and meet at a constraint, or each wait for a row that the other holds: a deed of a
    holder takes the holder first, one of a key the key. For the second that is a conflict, not a failure.

    The driver's own error is let go: it quotes what was to be stored. And what a deed is refused for may be its own first post, done
    since it looked: the name that it wants is taken. SQLite's deeds follow one another.
    """
    try:
        yield
    except VaultError as refused:
        if connection.vendor == "postgresql" and not isinstance(refused, NotAllowed | AlreadyDone | FormReused):
            _check_once(draft)
        raise
    except (IntegrityError, OperationalError) as broken:
        if getattr(broken.__cause__, "sqlstate", "") not in _LOST and not _is_taken(draft, broken):
            raise
    else:
        return
    _check_once(draft)
    raise Conflict(
        _("Someone else made a change at the same moment. Nothing was saved: look at what is there now, then try again.")
    ) from None


def _is_taken(draft: Draft, broken: Exception) -> bool:
    """Whether an operation that the deed named only when it knew it stands in the log already. No engine says so in the same words."""
    return isinstance(broken, IntegrityError) and AuditEntry.objects.filter(operation=draft.operation or UUID(int=0)).exists()


def _check_once(draft: Draft) -> None:
    if draft.operation and (done := AuditEntry.objects.filter(operation=draft.operation).first()):
        raise AlreadyDone(done.target) if _repeats(draft, done) else FormReused()


def _repeats(draft: Draft, done: AuditEntry) -> bool:
    """Whether that entry is of this very deed: same action, same person, same target, and the same thing of it."""
    if (draft.action, draft.by.name, draft.by.user_id) != (done.action, done.actor, done.actor_id):
        return False
    if not draft.given.items() <= done.facts.items():
        return False
    if isinstance(draft.target, Planned):
        return draft.target.was_made_by(done)
    kind, pk = (draft.target.audit_kind, str(draft.target.pk)) if draft.target else ("", "")
    return (kind, pk) == (done.target_kind, done.target_id)
