"""Coming in, going out, showing again who one is, and how the console looks to oneself."""

import json

from allauth.account.internal.flows.login import record_authentication
from allauth.account.internal.flows.logout import logout
from allauth.account.stages import LoginStageController
from allauth.decorators import rate_limit
from django.conf import settings
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.debug import sensitive_post_parameters

from console import oidc
from console.accounts import TOO_MANY, SecondFactor
from console.forms.account import GiveFactor, SignIn
from console.fresh import asking, prove, question
from console.middleware import allows, public, sets_up, takes
from console.pages import page, see_other, wants_part
from console.proofs import freshly_signed_in
from console.requests import ConsoleRequest, page_in_front, path_of_ours, posted
from secrets_app.models import User


@takes("GET", "HEAD", "POST")
@public
@sensitive_post_parameters("password")
@rate_limit(action="login")  # type: ignore[untyped-decorator]
def sign_in(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect(_next(request))
    form = SignIn(request.POST or None, request=request)
    if form.is_valid():
        entered: HttpResponse = form.login(request, redirect_url=_next(request))
        return entered
    context = {
        "form": form,
        "redirect_field_name": "next",
        "redirect_field_value": _next(request),
        "sso": settings.OIDC_NAME if oidc.configured() else "",
    }
    return page(request, "account/sign_in.html", context, status=status_of(form))


@takes("GET", "HEAD", "POST")
@public
@sensitive_post_parameters("code", "answer")
def second_factor(request: HttpRequest) -> HttpResponse:
    """After the right password, of somebody who has one."""
    stage = LoginStageController.enter(request, SecondFactor.key)
    user = stage.login.user if stage else None
    if stage is None or not isinstance(user, User) or not user.is_active:
        return redirect("sign-in")
    form = GiveFactor(posted(request), request=request, user=user)
    if form.is_valid():
        record_authentication(request, user, "mfa", type=form.method)
        entered: HttpResponse = stage.exit()
        return entered
    return page(request, "account/second_factor.html", {"form": form}, status=status_of(form))


@takes("GET", "HEAD", "POST")
@public
def sign_out(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        logout(request)
    if not request.user.is_authenticated:
        return redirect("sign-in")
    return page(request, "account/sign_out.html")


@sensitive_post_parameters("password", "code", "answer")
@sets_up
@allows("user.confirm")
def confirm(request: ConsoleRequest) -> HttpResponse:
    """Asked here after `fresh`; what was asked for follows."""
    to = {"next": _next(request), "back": page_in_front(request)}
    form = asking(request, posted(request), initial=to)
    if freshly_signed_in(request):
        return _on(request, form.to)
    if form.is_valid():
        request.user.confirm(form.method, by=request.actor)
        prove(request, form.method)
        return _on(request, form.to)
    return question(request, form, status=status_of(form))


def _on(request: ConsoleRequest, to: str) -> HttpResponse:
    """In the panel where the question stood, or on the page itself."""
    if wants_part(request):
        return HttpResponse(status=204, headers={"HX-Location": json.dumps({"path": to, "target": "#panel", "push": "false"})})
    return see_other(request, to)


@takes("POST")
@allows("user.edit_theme")
def theme(request: ConsoleRequest) -> HttpResponse:
    request.user.choose_theme(request.POST.get("theme", ""), by=request.actor)
    return see_other(request, _next(request))


def status_of(form: BaseForm) -> int:
    """Of the answer with this form: 429 when it counted too many guesses."""
    if not form.is_bound:
        return 200
    return 429 if any(error.code == TOO_MANY for field in form.errors.as_data().values() for error in field) else 422


def _next(request: HttpRequest) -> str:
    return path_of_ours(request.POST.get("next") or request.GET.get("next") or "/")
