"""Coming in, going out, showing again who one is, and how the console looks to oneself."""

import json

from allauth.account.internal.flows.logout import logout
from allauth.decorators import rate_limit
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.debug import sensitive_post_parameters

from console.accounts import TOO_MANY
from console.forms.account import Confirm, SignIn
from console.fresh import freshly_signed_in, prove, question
from console.middleware import allows, public, takes
from console.pages import page, see_other, wants_part
from console.requests import ConsoleRequest, page_in_front, path_of_ours, posted


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
    status = 429 if form.has_error("__all__", TOO_MANY) else 422 if form.is_bound else 200
    return page(
        request,
        "account/sign_in.html",
        {"form": form, "redirect_field_name": "next", "redirect_field_value": _next(request)},
        status=status,
    )


@takes("GET", "HEAD", "POST")
@public
def sign_out(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        logout(request)
    if not request.user.is_authenticated:
        return redirect("sign-in")
    return page(request, "account/sign_out.html")


@sensitive_post_parameters("password")
@allows("user.confirm")
def confirm(request: ConsoleRequest) -> HttpResponse:
    """Asked here after `fresh`; what was asked for follows."""
    to = {"next": _next(request), "back": page_in_front(request)}
    form = Confirm(posted(request), initial=to, request=request)
    if freshly_signed_in(request):
        return _on(request, form.to)
    if form.is_valid():
        request.user.confirm("password", by=request.actor)
        prove(request, "password")
        return _on(request, form.to)
    return question(request, form, status=429 if form.has_error("password", TOO_MANY) else 422 if form.is_bound else 200)


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


def _next(request: HttpRequest) -> str:
    return path_of_ours(request.POST.get("next") or request.GET.get("next") or "/")
