"""Signing in by username and password, through allauth. Nobody signs up; an administrator makes people (README, "Commands")."""

import logging
import unicodedata
from typing import Any, NoReturn

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.internal.flows.login import get_authentication_records
from allauth.core import ratelimit
from allauth.core.internal.ratelimit import consume
from allauth.mfa.stages import AuthenticateStage
from django.contrib.auth import authenticate
from django.core.exceptions import ValidationError
from django.db import DatabaseError
from django.db.models import Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from console import factors, sessions
from console.caller import address_of, network_of
from secrets_app.actor import NOBODY, Actor
from secrets_app.models import Deployment, User
from secrets_app.models.refusals import record_refusal

TOO_MANY = "too_many_login_attempts"
ANYWHERE = "login_failed_anywhere"

log = logging.getLogger(__name__)


class ClosedDoor(DefaultAccountAdapter):  # type: ignore[misc]
    """No sign-up, one answer for every wrong pair of name and password, and an audit entry for each sign-in, sign-out and refusal."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": _("The username or the password is wrong."),
        TOO_MANY: _("Too many sign-ins failed. Wait five minutes, or after many tries an hour, then try again."),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def is_ajax(self, request: HttpRequest) -> bool:
        """Never: allauth's answer in JSON repeats what was typed, the password too."""
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        return network_of(address_of(request)) or "unknown"

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Wrong passwords close a name to the address they came from. Closing it to everybody would let anybody lock anybody out, so
        that takes very many of them, and where this person signed in before stays open even then. Names that are nobody's count alike.
        """
        try:
            super().pre_authenticate(request, **credentials)
            open_to_all = ratelimit.consume(request, action=ANYWHERE, key=_folded(credentials), dry_run=True)
            if not open_to_all and not self._came_in_before(request, credentials):
                raise self.validation_error(TOO_MANY)
        except ValidationError:
            self._record_failure(request, credentials)
            raise

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """allauth's own lets an inactive person with the right password through to a page that says so: a way to test passwords."""
        self.pre_authenticate(request, **credentials)
        user = authenticate(request, **credentials)
        if not isinstance(user, User):
            ratelimit.consume(request, action=ANYWHERE, key=_folded(credentials))
            self._record_failure(request, credentials)
            return None
        self._rollback_login_failed_rl_usage()
        return user

    def login(self, request: HttpRequest, user: User) -> None:
        user.sign_in(_methods(request, user), by=named(request, user))  # first, so that nobody is in without an entry
        super().login(request, user)
        sessions.begin(request)

    def logout(self, request: HttpRequest) -> None:
        try:
            if isinstance(request.user, User):
                request.user.sign_out(by=named(request, request.user))
        except (DatabaseError, OSError):  # coming in takes an entry; a session that somebody wants to end must not outlive a broken log
            log.exception("%s signed out, and no entry of the audit log says so.", request.user)
        super().logout(request)

    def get_login_stages(self) -> list[str]:
        return ["console.accounts.SecondFactor"]

    def respond_user_inactive(self, request: HttpRequest, user: User) -> NoReturn:
        raise AssertionError("authenticate() lets no inactive person through")

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Under which failures are counted: the name and where it is tried from. Not, as allauth has it, the Host header, whose port the
        caller may choose anew for each try."""
        return f"{self.get_client_ip(request)} {_folded(credentials)}"

    def _came_in_before(self, request: HttpRequest, credentials: dict[str, Any]) -> bool:
        user = _user(credentials)
        return user is not None and user.came_in_from(address_of(request))

    def _record_failure(self, request: HttpRequest, credentials: dict[str, Any]) -> None:
        # A name that is nobody's may be a password typed into the wrong field: it is not written down.
        user = _user(credentials)
        name, pk = (user.username, user.pk) if user else (NOBODY, None)
        request_id: str = request.request_id  # type: ignore[attr-defined]
        action = "user.confirm" if request.user.is_authenticated else "user.sign_in"
        record_refusal(Actor(name, frozenset(), pk, address_of(request), request_id), action)


class Backend(AuthenticationBackend):  # type: ignore[misc]
    """With whoever a session is of comes what the policy on second factors says, in the same query."""

    def get_user(self, user_id: Any) -> User | None:
        policy = Subquery(Deployment.objects.values("second_factor_for")[:1])
        user = User.objects.annotate(second_factor_for=policy).filter(pk=user_id).first()
        return user if self.user_can_authenticate(user) else None


class SecondFactor(AuthenticateStage):  # type: ignore[misc]
    """Between the password and the session: whoever has a second factor shows it."""

    urlname = "sign-in-second-factor"

    def handle(self) -> tuple[HttpResponse | None, bool]:
        return (redirect(self.urlname), True) if self._should_handle(self.request) else (None, True)


def check_factor(request: HttpRequest, user: User, code: str, answer: str) -> str:
    """Which factor of this person a code, or the answer of a security key, is. Raises ValidationError.

    Counted by person alone, wherever the guesses come from: who guesses here knows the password.
    """
    by = named(request, user)
    usage = consume(request, app="allauth.account", action="second_factor", key=str(user.pk))
    if usage is None:
        record_refusal(by, "user.give_factor", user)
        raise ValidationError(_("Too many codes were wrong. Wait five minutes, or after many tries an hour, then try again."), TOO_MANY)
    if not (method := factors.answered(user, answer) if answer else factors.fits(user, code, by=by)):
        record_refusal(by, "user.give_factor", user)
        text = _("The security key was not accepted. Try again.") if answer else _("The code is wrong, or was used before.")
        raise ValidationError(text, "wrong")
    usage.rollback()
    return method


def _methods(request: HttpRequest, user: User) -> list[str]:
    """How this person came to be in, in the order it was shown."""
    return [str(record.get("type") or record["method"]) for record in get_authentication_records(request, user)]


def _folded(credentials: dict[str, Any]) -> str:
    """The name as the look-up compares it."""
    return unicodedata.normalize("NFKC", credentials.get("username", "")).casefold()


def _user(credentials: dict[str, Any]) -> User | None:
    return User.objects.filter(username__iexact=credentials.get("username", "")).first()


def named(request: HttpRequest, user: User) -> Actor:
    request_id: str = request.request_id  # type: ignore[attr-defined]
    return user.as_actor(address_of(request), request_id)
