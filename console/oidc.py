"""Single sign-on by OpenID Connect: the authorization code flow with PKCE, against the one provider that the environment names.

allauth has a client for this, which believes whatever issuer answers, sends no nonce and takes the algorithm from the token. This one
asks nobody but the issuer, follows no redirect, and believes a token that is signed, by the issuer, for this console, for this browser.
Sources: OpenID Connect Core 1.0 (3.1.2, 3.1.3.7), Discovery 1.0 (4.3), RFC 7636 (PKCE), RFC 9700 (2.1).
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt
import requests
from django.conf import settings
from django.utils.translation import gettext as _

from secrets_app.access import ROLES
from secrets_app.models.identity import Given

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]  # whoever verifies cannot sign
PENDING_FOR = 10 * 60  # seconds that somebody may take at the provider
_TIMEOUT = (3, 5)  # seconds to connect, and to wait for more
_LIMIT = 256 * 1024  # bytes of an answer
_LEEWAY = 60  # seconds that the clocks may differ by
_KEPT = 10 * 60  # seconds for which the provider's description is good

_descriptions: dict[str, tuple[float, dict[str, Any]]] = {}


class Refused(Exception):
    """`message` is for people, and holds nothing of what was sent."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Claims:
    subject: str
    username: str
    groups: frozenset[str]
    shown_at: float | None  # when the provider last saw who it is


def configured() -> bool:
    return bool(settings.OIDC_ISSUER and settings.OIDC_CLIENT_ID)


def begin(redirect_uri: str, to: str, *, again: bool = False) -> tuple[str, dict[str, Any]]:
    """Where the browser goes, and what its session keeps meanwhile. `again`: the provider asks who it is, whoever is signed in there.

    Raises Refused.
    """
    pending = {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")}
    challenge = base64.urlsafe_b64encode(hashlib.sha256(pending["verifier"].encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": settings.OIDC_CLIENT_ID,
        "redirect_uri": redirect_uri,
        "scope": "openid profile groups" if "groups" in _description().get("scopes_supported", []) else "openid profile",
        "state": pending["state"],
        "nonce": pending["nonce"],
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    } | ({"prompt": "login", "max_age": "0"} if again else {})
    kept = pending | {"to": to, "at": time.time(), "again": again, "redirect_uri": redirect_uri}
    return f"{_description()['authorization_endpoint']}?{urlencode(asked)}", kept


def finish(pending: dict[str, Any], state: str, code: str) -> Claims:
    """What the provider says of whoever came back. Raises Refused."""
    if not hmac.compare_digest(str(pending.get("state", "")).encode(), state.encode()) or not code:
        raise Refused(_("This answer belongs to no sign-in that was begun in this browser. Try again."))
    if not 0 <= time.time() - float(pending["at"]) < PENDING_FOR:
        raise Refused(_("This took too long. Try again."))
    claims = _verified(_token(pending, code))
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), str(pending["nonce"]).encode()):
        raise Refused(_misfit())
    shown_at = claims.get("auth_time")
    if pending["again"] and (not isinstance(shown_at, int | float) or shown_at < float(pending["at"]) - _LEEWAY):
        raise Refused(_("The provider did not ask again who you are."))
    groups = claims.get("groups")
    named = groups if isinstance(groups, list) else []
    username = claims.get("preferred_username")
    return Claims(
        subject=claims["sub"],
        username=username if isinstance(username, str) else "",
        groups=frozenset(group for group in named if isinstance(group, str)),
        shown_at=shown_at if isinstance(shown_at, int | float) else None,
    )


def roles_of(groups: frozenset[str]) -> list[Given]:
    return [given for group, given in mapping(settings.OIDC_GROUPS) if group in groups]


def mapping(text: str) -> list[tuple[str, Given]]:
    """ "platform=owner, keys=key_manager@local": group, role, and region where it is not held everywhere. Raises ValueError with the part
    that says nothing."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        group, equals, given = part.rpartition("=")
        role, at, region = given.strip().partition("@")
        if not equals or not group.strip() or role not in ROLES or (at and not region):  # "owner@" is no owner of everything
            raise ValueError(part)
        found.append((group.strip(), Given(role, region)))
    return found


def _description() -> dict[str, Any]:
    """Of the provider by itself. What it names lies at the issuer, or is not asked."""
    issuer = settings.OIDC_ISSUER
    kept = _descriptions.get(issuer)
    if kept and 0 <= time.monotonic() - kept[0] < _KEPT:
        return kept[1]
    said = _asked("GET", issuer.rstrip("/") + "/.well-known/openid-configuration")
    if said.get("issuer") != issuer:
        raise Refused(_("The single sign-on provider calls itself by another name than CONSOLE_OIDC_ISSUER. Ask an owner."))
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if not isinstance(said.get(name), str) or _origin(said[name]) != _origin(issuer):
            raise Refused(_("The single sign-on provider sends this console elsewhere, which it does not follow. Ask an owner."))
    _descriptions[issuer] = (time.monotonic(), said)
    return said


def _token(pending: dict[str, Any], code: str) -> str:
    said = _description()
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": pending["redirect_uri"],
        "code_verifier": pending["verifier"],
    }
    auth = None
    if "client_secret_basic" in said.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
        auth = (settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET)
    else:
        form |= {"client_id": settings.OIDC_CLIENT_ID, "client_secret": settings.OIDC_CLIENT_SECRET}
    token = _asked("POST", said["token_endpoint"], form, auth).get("id_token")
    if not isinstance(token, str):
        raise Refused(_misfit())
    return token


def _verified(token: str) -> dict[str, Any]:
    try:
        header = jwt.get_unverified_header(token)
        keys = jwt.PyJWKSet.from_dict(_asked("GET", _description()["jwks_uri"])).keys
        fitting = [key for key in keys if key.key_id == header.get("kid") and key.public_key_use in (None, "sig")]
        if len(fitting) != 1 or header.get("alg") not in ALGORITHMS:
            raise Refused(_misfit())
        claims: dict[str, Any] = jwt.decode(
            token,
            fitting[0],
            algorithms=[header["alg"]],
            audience=settings.OIDC_CLIENT_ID,
            issuer=settings.OIDC_ISSUER,
            leeway=_LEEWAY,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        raise Refused(_misfit()) from None
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if (several or "azp" in claims) and claims.get("azp") != settings.OIDC_CLIENT_ID:
        raise Refused(_misfit())
    if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
        raise Refused(_misfit())
    return claims


def _asked(method: str, url: str, form: dict[str, str] | None = None, auth: tuple[str, str] | None = None) -> dict[str, Any]:
    """One JSON object. No redirect is followed, no proxy or password of the environment is used, and no answer is read without end."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(method, url, data=form, auth=auth, timeout=_TIMEOUT, allow_redirects=False, stream=True)
            content = answer.raw.read(_LIMIT + 1, decode_content=True)
        said = json.loads(content) if answer.status_code == 200 and len(content) <= _LIMIT else None
    except (requests.RequestException, OSError, ValueError):
        said = None
    if not isinstance(said, dict):
        raise Refused(_("The single sign-on provider did not answer as it should. Try again; if it stays so, ask an owner."))
    return said


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _misfit() -> str:
    return _("What the single sign-on provider says does not fit what was asked. Nobody was signed in.")
