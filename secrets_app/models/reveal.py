"""Revealing a value to a person: break-glass. What is asked here is asked again by the control plane (secrets_app/broker.py), which
trusts nothing of this process but the audit log's word."""

from typing import TYPE_CHECKING
from uuid import UUID

from secrets_app.actor import Actor
from secrets_app.channel import About, Asker
from secrets_app.errors import CannotOpen, Conflict, NoAnswer, TooOften, Withheld
from secrets_app.models.deeds import deed
from secrets_app.models.errand import Errand
from secrets_app.models.reasons import AN_HOUR, REFUSALS, check_reason, why_not
from secrets_app.models.refusals import record_refusal
from secrets_app.models.region import REVEAL_TWO, Deployment
from secrets_app.models.second import Request
from secrets_app.plaintext import Plaintext

if TYPE_CHECKING:
    from secrets_app.models.key import Key

SHOWN = 30  # seconds


def revealed(key: "Key", reason: str, by: Actor, version: int, once: UUID) -> Plaintext:
    """The value of that version, in the clear, for this one person and answer. The entry is committed before anything is opened; what
    came of it is an entry too.

    Where a second person is needed, the reason is that of the request which they approved.
    Raises Invalid (field "reason"), StaleEdit when another version is current by now, Withheld, TooOften, NoAnswer, CannotOpen.
    """
    asker, deployment = Asker(), Deployment.here()
    with deed(by, "key.reveal", key, once=once) as entry:
        if key._lock_version(version) and (code := why_not(key, by, AN_HOUR - 1)):
            raise TooOften(REFUSALS[code]) if code == "too_often" else Conflict(REFUSALS[code])
        entry.facts = {"version": version, **_approved(key, by, version)}
        if "approval" not in entry.facts:
            check_reason(reason)
            entry.facts |= {"reason": reason.strip()}
        Errand._send(once, asker, entry)
    about = About(deployment.pk, once, "key.reveal", str(key.pk), version)
    try:
        answer = Errand.fetch(about, asker)
    except (NoAnswer, CannotOpen) as failed:
        record_refusal(by, "key.reveal", key, reason=failed.code)
        raise
    if answer.served:
        return Plaintext(answer.content)
    code = answer.content.decode()
    raise Withheld(code, REFUSALS[code]) if code in REFUSALS else CannotOpen()


def _approved(key: "Key", by: Actor, version: int) -> dict[str, str | int]:
    """What the entry says of the second person. Raises Conflict where one is needed, and has not approved."""
    if Deployment.here().reveal_policy() != REVEAL_TWO:
        return {}
    request = Request.own(key, by)
    if request is None or not request.allows(by, version) or request.decision is None:
        raise Conflict(REFUSALS["not_approved"])
    return {"approval": str(request.id), "approved_by": request.decision.actor, "reason": str(request.asked.facts.get("reason", ""))}
