"""Why a value is not revealed: asked where somebody asks for it, and again by the control plane."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from secrets_app.actor import Actor
from secrets_app.errors import Invalid
from secrets_app.models.audit import OK, AuditEntry
from secrets_app.models.region import REVEAL_OFF, Deployment

if TYPE_CHECKING:
    from secrets_app.models.key import Key

SHORTEST_REASON, LONGEST_REASON = 10, 500  # characters
AN_HOUR = 3  # of each person

REFUSALS: dict[str, Any] = {
    "off": _("Revealing values is off. An owner can turn it on in Settings."),
    "disabled": _("This key is disabled. Enable it first."),
    "too_often": _("You asked for %(n)d values within the last hour, and that is the limit. Wait, or ask somebody else.") % {"n": AN_HOUR},
    "not_allowed": _("Your roles do not allow it any more. Ask an owner for a role that does."),
    "expired": _("The control plane saw the request too late. Nothing was opened. Try again."),
    "not_approved": _("A second person has to approve this first. Ask for it."),
    "already_done": _("This was already shown, and is not shown twice. Ask anew."),
}


def why_not(key: "Key", by: Actor, most: int) -> str:
    """A word of REFUSALS, or "". `most`: how often this person may have asked within the hour. Asked on both sides of the channel."""
    if Deployment.here().reveal_policy() == REVEAL_OFF:
        return "off"
    is_person = by.user_id is not None and by.only is None  # neither a process nor an API token
    if not is_person or key.is_inline or not by.may("key.reveal", key):
        return "not_allowed"
    if not key.enabled:
        return "disabled"
    asked = AuditEntry.objects.filter(actor_id=by.user_id, action="key.reveal", outcome=OK, at__gt=timezone.now() - timedelta(hours=1))
    return "too_often" if asked.count() > most else ""


def check_reason(reason: str) -> None:
    """Raises Invalid (field "reason")."""
    size = len(" ".join(reason.split()))
    if size < SHORTEST_REASON or len(reason) > LONGEST_REASON:
        text = _("Say in %(least)d to %(most)d characters why you need the value: it stands in the audit log.")
        raise Invalid({"reason": [text % {"least": SHORTEST_REASON, "most": LONGEST_REASON}]})
