"""What is configured so that it will go wrong, said at start (`manage.py check`; `--deploy` says more)."""

import sqlite3
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Caution

from console.caller import wrong_proxies
from console.oidc import mapping
from secrets_app import keyring
from secrets_app.errors import CannotSeal
from secrets_app.hardening import readable_by_others
from secrets_app.kms import builtin

_LOOPBACK = {"localhost", "127.0.0.1", "[::1]", "::1", ".localhost"}
_WAL_RESET_MENDED = (3, 51, 3)


@register(Tags.security)
def debug_stays_at_home(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Debug pages show settings and local variables, a key's value among them."""
    if not settings.DEBUG or not _public_hosts():
        return []
    hint = "Unset CONSOLE_DEBUG, or let CONSOLE_ALLOWED_HOSTS name this machine alone."
    return [Error(f"Debug pages would be shown to callers of {_public_hosts()[0]}.", hint=hint, id="latchkey.E001")]


@register(Tags.security)
def keyring_is_whole(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Told once a keyring was made. The web process needs the public half alone, the control plane both (README, "In production")."""
    folder = keyring.folder()
    if not folder.exists():
        return []
    found: list[CheckMessage] = []
    try:
        keyring.wrapper(keyring.BUILTIN)
        keyring.fingerprint_key()
    except CannotSeal as refused:
        found.append(Caution(f"No new value can be stored. {refused.message}", id="latchkey.W001"))
    try:
        builtin.load_sign_in_key(folder)
    except CannotSeal as refused:
        found.append(Caution(f"Nobody with an authenticator app or recovery codes can sign in. {refused.message}", id="latchkey.W007"))
    private = folder / builtin.PRIVATE
    if private.exists() and private.stat().st_mode & 0o077:
        found.append(Caution(f"Others on this machine may open {private}.", hint=f"chmod 600 {private}", id="latchkey.W002"))
    return found


@register(Tags.security)
def data_is_closed(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """`up` and `prepare` close it; a console that was set up by an older version, or restored from a backup, may lie open."""
    text = "Others on this machine may open {path}: the data folder and the database are for the user who runs the console alone."
    return [
        Caution(text.format(path=path), hint=f"chmod {700 if path.is_dir() else 600} {path}", id="latchkey.W005")
        for path in readable_by_others()
    ]


@register(Tags.security)
def public_hosts_are_secure(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    if settings.SECURE or not _public_hosts():
        return []
    hint = "Put TLS in front and set CONSOLE_SECURE=true and CONSOLE_TRUSTED_ORIGINS (README, In production)."
    return [
        Caution(f"The console answers to {_public_hosts()[0]}, and its cookies may travel in the clear.", hint=hint, id="latchkey.W003")
    ]


@register(Tags.security)
def callers_are_told_apart(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Behind a proxy that is not believed, all callers have its address: five wrong passwords close a name to everybody."""
    if wrong := wrong_proxies():
        text = f"CONSOLE_TRUSTED_PROXIES names “{wrong[0]}”, which is neither an address nor a network."
        return [Error(text, hint="Name addresses, such as 127.0.0.1, or networks, such as 10.0.0.0/8.", id="latchkey.E002")]
    if not settings.SECURE or settings.TRUSTED_PROXIES:
        return []
    text = "The console is served over TLS, and no proxy is trusted to say who calls: everybody seems to come from the proxy's address."
    hint = "Set CONSOLE_TRUSTED_PROXIES to the address that the proxy connects from (README, In production)."
    return [Caution(text, hint=hint, id="latchkey.W006")]


@register(Tags.security)
def single_sign_on_is_whole(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    if not settings.OIDC_ISSUER:
        return []
    found: list[CheckMessage] = []
    issuer = urlsplit(settings.OIDC_ISSUER)
    if issuer.scheme != "https" and issuer.hostname not in _LOOPBACK:
        text = "CONSOLE_OIDC_ISSUER is not served over TLS: whoever is on the way could sign anybody in."
        found.append(Error(text, hint="Name an https:// address.", id="latchkey.E003"))
    if not settings.OIDC_CLIENT_ID:
        found.append(Error("CONSOLE_OIDC_ISSUER is set, and CONSOLE_OIDC_CLIENT_ID is not.", hint="Set both.", id="latchkey.E004"))
    if settings.OIDC_TRUST_DAYS < 1:
        text = "CONSOLE_OIDC_TRUST_DAYS is less than 1: roles that single sign-on gives would never count."
        found.append(Error(text, hint="Name a number of days, such as 7.", id="latchkey.E006"))
    try:
        if not mapping(settings.OIDC_GROUPS):
            text = "CONSOLE_OIDC_GROUPS is empty: single sign-on lets nobody in."
            found.append(Caution(text, hint="Say which groups have which role: platform=owner, keys=key_manager@local", id="latchkey.W008"))
    except ValueError as part:
        text = f"CONSOLE_OIDC_GROUPS holds “{part}”, which is not a group, “=” and a role."
        found.append(Error(text, hint="Such as platform=owner, keys=key_manager@local", id="latchkey.E005"))
    return found


@register(Tags.security, deploy=True)
def sqlite_is_new_enough(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    if not settings.DATABASES["default"]["ENGINE"].endswith("sqlite3") or sqlite3.sqlite_version_info >= _WAL_RESET_MENDED:
        return []
    hint = "Back the database up, update SQLite, or use PostgreSQL (README, In production)."
    text = f"SQLite {sqlite3.sqlite_version} may, very rarely, corrupt a database in WAL mode after a checkpoint race (mended in 3.51.3)."
    return [Caution(text, hint=hint, id="latchkey.W004")]


def _public_hosts() -> list[str]:
    return [host for host in settings.ALLOWED_HOSTS if host not in _LOOPBACK and not host.startswith("127.")]
