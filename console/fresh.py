"""Sensitive deeds ask who sits there: whoever has not shown it in the last five minutes shows it again, and is back where they were.

    @allows("key.reveal")
    @fresh
    def reveal(request, name): ...

A page is then answered by the question in its place, also inside a panel; a post by the question and 403, and nothing was done.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

from allauth.account.internal.flows.login import record_authentication
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.urls import reverse

from console.forms.account import Confirm, ConfirmByFactor, ConfirmByPassword
from console.middleware import READING, methods_of
from console.pages import page, wants_part
from console.proofs import FACTOR, PASSWORD, SSO, freshly_signed_in
from console.requests import ConsoleRequest, page_in_front
from secrets_app.models import User

View = TypeVar("View", bound=Callable[..., HttpResponseBase])

_IN_PANEL = ("panel", "sheet")  # what a panel fills


def fresh(view: View) -> View:
    """Below @allows. The view may count on it: who asks is not just somebody who found a browser open."""

    @wraps(view)
    def asked(request: ConsoleRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return view(request, *args, **kwargs) if freshly_signed_in(request) else ask(request)

    asked.fresh = True  # type: ignore[attr-defined]
    return cast(View, asked)


def prove(request: HttpRequest, method: str) -> None:
    """The person has just shown it: note so, and give the session another name, so that one seen before opens nothing."""
    note_proof(request, method)
    request.session.cycle_key()


def note_proof(request: HttpRequest, method: str) -> None:
    user, whole = cast(User, request.user), method in (PASSWORD, SSO)
    record_authentication(request, user, method if whole else FACTOR, reauthenticated=True, **({} if whole else {"type": method}))


def ask(request: ConsoleRequest) -> HttpResponse:
    """The question, in the place of what was asked for. From a part that is no panel it leaves for a page of its own."""
    to = _way_back(request)
    if wants_part(request) and request.headers.get("HX-Target") not in _IN_PANEL:
        return HttpResponse(status=401, headers={"HX-Redirect": f"{reverse('confirm')}?{urlencode({'next': to})}"})
    status = 200 if request.method in READING else 403
    return question(request, asking(request, initial={"next": to, "back": page_in_front(request)}), status=status)


def asking(request: ConsoleRequest, data: QueryDict | None = None, *, initial: dict[str, str]) -> Confirm:
    """For the second factor of who has one, and for the password of everybody else."""
    kind = ConfirmByFactor if request.user.has_second_factor else ConfirmByPassword
    return kind(data, initial=initial, request=request, user=request.user)


def question(request: HttpRequest, form: Confirm, *, status: int = 200) -> HttpResponse:
    context = {"form": form, "back": form.below, "form_action": reverse("confirm"), "provider": _provider(request), "to": form.to}
    return page(request, "account/confirm.html", context, status=status)


def _provider(request: HttpRequest) -> str:
    """The name of the one who vouches for a person that has neither a password nor a second factor here."""
    user = cast(User, request.user)
    return "" if user.has_second_factor or user.has_usable_password() or not settings.OIDC_ISSUER else settings.OIDC_NAME


def _way_back(request: ConsoleRequest) -> str:
    """This address, where it can be opened; of one that only takes posts, the page that it was sent from."""
    match = request.resolver_match
    return request.get_full_path() if match and "GET" in methods_of(match.func) else page_in_front(request)
