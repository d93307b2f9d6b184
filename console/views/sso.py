"""Signing in by the provider that the environment names: out to it, and back."""

from typing import Any

from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from console import oidc
from console.caller import address_of
from console.fresh import prove
from console.middleware import public
from console.pages import page
from console.requests import path_of_ours
from secrets_app.actor import NOBODY, Actor
from secrets_app.errors import VaultError
from secrets_app.models import User
from secrets_app.models.identity import Identity
from secrets_app.models.refusals import record_refusal

PENDING = "sso"  # the session's slot for a sign-in under way
METHOD = "socialaccount"


@public
def begin(request: HttpRequest) -> HttpResponse:
    """Who is signed in comes here to show again who they are."""
    if not oidc.configured():
        return redirect("sign-in")
    to = path_of_ours(request.GET.get("next") or "/")
    try:
        url, pending = oidc.begin(request.build_absolute_uri(reverse("sso-callback")), to, again=request.user.is_authenticated)
    except oidc.Refused as refused:
        return _refused(request, refused.message)
    request.session[PENDING] = pending
    return redirect(url)


@public
def callback(request: HttpRequest) -> HttpResponse:
    if not oidc.configured():
        return redirect("sign-in")
    pending = request.session.pop(PENDING, None) or {}
    if not pending or request.GET.get("error"):
        return _refused(request, _("The sign-in was not finished at the provider. Try again."))
    try:
        claims = oidc.finish(pending, request.GET.get("state", ""), request.GET.get("code", ""))
        user = _person(claims, Actor.system("single sign-on"))
    except (oidc.Refused, VaultError) as refused:
        return _refused(request, refused.message)
    if request.user.is_authenticated:
        return _confirmed(request, user, pending)
    record_authentication(request, user, METHOD, shown_at=claims.shown_at)
    entered: HttpResponse = perform_login(request, Login(user=user, redirect_url=pending["to"]))
    return entered


def _person(claims: oidc.Claims, by: Actor) -> User:
    """With the roles of their groups as they are now. Raises Refused and VaultError."""
    given = oidc.roles_of(claims.groups)
    user = Identity.person(settings.OIDC_ISSUER, claims.subject)
    if user:
        Identity.sync(user, given, by=by)
    if not given:
        raise oidc.Refused(_("None of your groups at the provider opens this console. Ask an owner which one you need."))
    if user is None:
        user = Identity.make(settings.OIDC_ISSUER, claims.subject, claims.username, given, by=by)
    if not user.is_active:
        raise oidc.Refused(_("You are disabled in this console. Ask an owner."))
    return user


def _confirmed(request: HttpRequest, user: User, pending: dict[str, Any]) -> HttpResponse:
    if request.user.pk != user.pk or not pending["again"]:
        return _refused(request, _("At the provider you are somebody else. Sign out here first."))
    user.confirm(METHOD, by=request.actor)  # type: ignore[attr-defined]
    prove(request, METHOD)
    return redirect(path_of_ours(pending["to"]))


def _refused(request: HttpRequest, message: str) -> HttpResponse:
    request_id: str = request.request_id  # type: ignore[attr-defined]
    record_refusal(Actor(NOBODY, frozenset(), None, address_of(request), request_id), "user.sign_in", reason="sso")
    return page(request, "account/sso_refused.html", {"message": message, "provider": settings.OIDC_NAME}, status=403)
