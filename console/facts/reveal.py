"""The policy on revealing values, in words."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from secrets_app.models import Deployment
from secrets_app.models.region import REVEAL_OFF, REVEAL_ON, REVEAL_TWO

POLICIES: dict[str, tuple[Promise, Promise]] = {
    REVEAL_OFF: (_("Off"), _("Nobody is shown a value, whatever their roles.")),
    REVEAL_ON: (_("On"), _("A key manager is shown a value after signing in anew and saying why.")),
    REVEAL_TWO: (_("On, with a second person"), _("Another key manager has to approve it first, within 15 minutes.")),
}


@dataclass(frozen=True, slots=True)
class Policy:
    off: bool
    label: Promise
    text: Promise

    @classmethod
    def of_now(cls) -> "Policy":
        """Two queries."""
        stands = Deployment.here().reveal_policy()
        return cls(stands == REVEAL_OFF, *POLICIES[stands])
