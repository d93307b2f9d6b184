"""Whether a session saw just now who sits there."""

import time
from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from django.conf import settings
from django.http import HttpRequest

from secrets_app.models import User

PASSWORD, FACTOR, SSO = "password", "mfa", "socialaccount"  # as allauth notes them


def freshly_signed_in(request: HttpRequest) -> bool:
    """Whether this session saw a proof of who it is in the last five minutes, at sign-in or since.

    Of somebody with a second factor that one counts alone: who stole a password and found a browser open must not take it away.
    """
    if not isinstance(request.user, User):
        return False
    counting = {FACTOR} if request.user.has_second_factor else {PASSWORD, SSO}
    proofs = [record for record in get_authentication_records(request, request.user) if record["method"] in counting]
    return any(0 <= time.time() - _shown_at(record) < settings.FRESH_FOR for record in proofs)


def _shown_at(record: dict[str, Any]) -> float:
    """Who comes in through a provider may have shown it there hours ago: then nobody was asked."""
    asked = record["method"] != SSO or record.get("reauthenticated")
    return float(record["at"] if asked else record.get("shown_at") or 0)
