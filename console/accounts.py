"""Signing in by username and password, through allauth. Nobody signs up; an administrator makes people (README, "People")."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.views import LoginView, LogoutView
from django.http import HttpRequest

from console.middleware import peer_address
from secrets_app.actor import Actor
from secrets_app.models import User
from secrets_app.models.audit import record_refusal


class ClosedDoor(DefaultAccountAdapter):  # type: ignore[misc]
    """No sign-up, and an audit entry for each sign-in, sign-out and refusal."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def login(self, request: HttpRequest, user: User) -> None:
        super().login(request, user)
        user.sign_in(by=user.as_actor(peer_address(request)))

    def logout(self, request: HttpRequest) -> None:
        if isinstance(request.user, User):
            request.user.sign_out(by=request.user.as_actor(peer_address(request)))
        super().logout(request)

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        # A name that is nobody's may be a password typed into the wrong field: it is not written down.
        known = User.objects.filter(username=credentials.get("username", "")).first()
        name = known.username if known else "unknown"
        record_refusal(
            Actor(name=name, roles=frozenset(), user_id=known.pk if known else None, address=peer_address(request)), "user.sign_in"
        )


class SignIn(LoginView):  # type: ignore[misc]
    template_name = "account/sign_in.html"


class SignOut(LogoutView):  # type: ignore[misc]
    template_name = "account/sign_out.html"
