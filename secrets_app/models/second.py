"""The second person of a reveal. Who asks, who approves or denies, and what it was used for are entries of the audit log and nothing
else: there is no row beside it that could say otherwise, and the control plane reads the same.

A request is known by the operation of its entry; the operation of the decision on it follows from that, so there is one at most, and
nobody can name it before.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from secrets_app.actor import Actor
from secrets_app.errors import Conflict, NotFound
from secrets_app.models.audit import OK, AppendOnly, AuditEntry
from secrets_app.models.deeds import deed
from secrets_app.models.reasons import AN_HOUR, REFUSALS, check_reason, why_not
from secrets_app.models.region import REVEAL_TWO, Deployment, Region
from secrets_app.operations import following

if TYPE_CHECKING:
    from secrets_app.models.key import Key

OPEN_FOR = timedelta(minutes=15)  # to be decided on, and to be used
ASK, APPROVE, DENY = "key.ask_reveal", "key.approve_reveal", "key.deny_reveal"

WAITING, APPROVED, DENIED, EXPIRED, USED = "waiting", "approved", "denied", "expired", "used"


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody asks to be shown a version of a key."""

    asked: AuditEntry
    decision: AuditEntry | None
    used: bool

    @classmethod
    def of(cls, asked: AuditEntry, *, before: int | None = None) -> Self:
        """Two queries. `before`: of uses only those that came earlier in the log."""
        assert asked.operation
        decision = AuditEntry.objects.filter(operation=decision_on(asked.operation), outcome=OK, action__in=(APPROVE, DENY)).first()
        uses = AuditEntry.objects.filter(target_kind="key", target_id=asked.target_id, action="key.reveal", outcome=OK, seq__gt=asked.seq)
        uses = uses.filter(seq__lt=before) if before else uses
        used = any(facts.get("approval") == str(asked.operation) for facts in uses.values_list("facts", flat=True))
        return cls(asked, decision, used)

    @classmethod
    def find(cls, key: "Key", request: UUID) -> Self:
        """Raises NotFound."""
        asked = AuditEntry.objects.filter(operation=request, action=ASK, outcome=OK, target_id=str(key.pk)).first()
        if asked is None:
            raise NotFound()
        return cls.of(asked)

    @classmethod
    def own(cls, key: "Key", by: Actor) -> Self | None:
        """The newest that this person has made for the current version, while it is young enough to matter."""
        asked = _young().filter(target_kind="key", target_id=str(key.pk), actor_id=by.user_id).order_by("-seq").first()
        return cls.of(asked) if asked and asked.facts.get("version") == key.version else None

    @classmethod
    def waiting_for(cls, by: Actor, region: Region) -> list[Self]:
        """What others of the region wait for. One query where nobody does."""
        if by.user_id is None or not by.may(APPROVE, region):
            return []
        asked = _young().filter(region_id=region.pk).exclude(actor_id=by.user_id).order_by("seq")[:20]
        return [request for one in asked if (request := cls.of(one)).state == WAITING]

    @property
    def id(self) -> UUID:
        assert self.asked.operation
        return self.asked.operation

    @property
    def until(self) -> datetime:
        return self.asked.at + OPEN_FOR

    @property
    def state(self) -> str:
        if self.used:
            return USED
        if self.decision and self.decision.action == DENY:
            return DENIED
        if timezone.now() >= self.until:
            return EXPIRED
        return APPROVED if self.decision else WAITING

    def allows(self, by: Actor, version: int) -> bool:
        """This person, this version, and approved by another."""
        same = self.asked.actor_id == by.user_id and self.asked.facts.get("version") == version
        return same and self.state == APPROVED and self.decision is not None and self.decision.actor_id not in (None, by.user_id)


def decision_on(request: UUID) -> UUID:
    return following(b"decision", request.bytes)


def ask(key: "Key", reason: str, by: Actor, version: int, once: UUID) -> Request:
    """Raises Invalid (field "reason"), StaleEdit, and Conflict while an earlier one is open."""
    with deed(by, ASK, key, once=once) as entry:
        key._lock_version(version)
        if code := why_not(key, by, AN_HOUR - 1):
            raise Conflict(REFUSALS[code])
        if Deployment.here().reveal_policy() != REVEAL_TWO:
            raise Conflict(_("No second person is needed by now. Reload the page."))
        check_reason(reason)
        if (earlier := Request.own(key, by)) and earlier.state in (WAITING, APPROVED):
            raise Conflict(_("You asked for this value already, and that request is still open."))
        entry.facts = {"version": version, "reason": reason.strip()}
    return Request.find(key, once)


def decide(key: "Key", request: UUID, approve: bool, by: Actor) -> None:
    """Raises NotFound, and Conflict where it was decided on, ran out, or is the person's own."""
    with deed(by, APPROVE if approve else DENY, key) as entry:
        key._lock()
        found = Request.find(key, request)
        if found.asked.actor_id == by.user_id or by.user_id is None or by.only is not None:
            raise Conflict(_("This takes somebody else than the person who asked."))
        if found.state != WAITING:
            raise Conflict(_("This request was decided on already, or has run out. Nothing was changed."))
        if approve and key.version != found.asked.facts.get("version"):
            raise Conflict(_("The key was rotated meanwhile: what was asked for is not its value any more."))
        entry.facts = {"version": found.asked.facts.get("version"), "person": found.asked.actor, "entry": found.asked.seq}
        entry.operation = decision_on(request)


def _young() -> AppendOnly:
    return AuditEntry.objects.filter(action=ASK, outcome=OK, at__gt=timezone.now() - OPEN_FOR)
