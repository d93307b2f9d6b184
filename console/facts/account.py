"""What somebody's own page shows: second factors, recovery codes and sessions, in words."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from allauth.mfa.models import Authenticator
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console import factors, sessions
from secrets_app.models import User


@dataclass(frozen=True, slots=True)
class FactorRow:
    pk: int
    name: str
    kind: str
    icon: str
    added_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class SessionRow:
    ref: str
    browser: str
    address: str
    began_at: datetime
    seen_at: datetime
    here: bool


def factor_rows(user: User) -> list[FactorRow]:
    return [factor_row(factor) for factor in factors.of(user)]


def factor_row(factor: Authenticator) -> FactorRow:
    app = factor.type == factors.TOTP
    kind, icon = (_("Codes that change every 30 seconds"), "smartphone") if app else (_("Security key or passkey"), "fingerprint-pattern")
    return FactorRow(factor.pk, factors.name_of(factor), kind, icon, factor.created_at, factor.last_used_at)


def factors_told(user: User) -> str:
    """ "Authenticator app, 2 security keys", for whoever looks after people. One query."""
    types = list(factors.of(user).values_list("type", flat=True))
    keys = types.count(factors.KEY)
    told = [_("Authenticator app")] if factors.TOTP in types else []
    told += [ngettext("%(n)d security key", "%(n)d security keys", keys) % {"n": keys}] if keys else []
    return ", ".join(told) or _("None")


def session_rows(request: HttpRequest, user: User) -> list[SessionRow]:
    here = sessions.ref_of(request)
    rows = [session_row(row, here) for row in sessions.of(user)]
    return sorted(rows, key=lambda row: not row.here)


def session_row(row: Any, here: str = "") -> SessionRow:
    ref = str(row.ref)
    return SessionRow(ref, browser_of(row.browser), row.address, row.began_at, row.seen_at, ref == here)


def browser_of(agent: str) -> str:
    """ "Firefox on Linux", as far as the browser tells the truth about itself."""
    browser, system = _first(agent, _BROWSERS), _first(agent, _SYSTEMS)
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or _("Unknown browser")


_BROWSERS = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrom", "Chrome"), ("Safari/", "Safari"), ("curl/", "curl"))
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone|iPad", "iOS"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def _first(agent: str, known: Iterable[tuple[str, str]]) -> str:
    return next((name for mark, name in known if re.search(mark, agent)), "")


def keys_work_at(request: HttpRequest) -> bool:
    """Browsers offer security keys to a host with a name, over TLS or on this machine."""
    host = urlsplit(f"//{request.get_host()}").hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return request.is_secure() or host == "localhost" or host.endswith(".localhost")
    return False
