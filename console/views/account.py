"""Coming in, going out, and how the console looks to oneself."""

from allauth.account.internal.flows.logout import logout
from allauth.decorators import rate_limit
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_post_parameters

from console.accounts import TOO_MANY
from console.forms.account import SignIn
from console.middleware import allows, public, takes
from console.pages import page, see_other
from console.requests import ConsoleRequest


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


@takes("POST")
@allows("user.edit_theme")
def theme(request: ConsoleRequest) -> HttpResponse:
    request.user.choose_theme(request.POST.get("theme", ""), by=request.actor)
    return see_other(request, _next(request))


def _next(request: HttpRequest) -> str:
    """A path of this console, whatever the address or the form asks for. It becomes a header, so it is one line of text."""
    to = request.POST.get("next") or request.GET.get("next") or "/"
    fit = to.startswith("/") and to.isprintable()
    return to if fit and url_has_allowed_host_and_scheme(to, allowed_hosts=None) else "/"
