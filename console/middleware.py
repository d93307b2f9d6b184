"""The door of the console: every address asks who comes and what they may, before its view runs. Without a declaration nobody passes."""

import ipaddress
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import patch_vary_headers

from console.views import errors
from secrets_app.actor import Actor
from secrets_app.errors import NotFound, VaultError
from secrets_app.models import Region, User
from secrets_app.models.audit import record_refusal

View = TypeVar("View", bound=Callable[..., HttpResponseBase])
GetResponse = Callable[[HttpRequest], HttpResponse]


def allows(permission: str) -> Callable[[View], View]:
    """Declare what a view needs. The middleware refuses everybody else."""

    def declare(view: View) -> View:
        view.permission = permission  # type: ignore[attr-defined]
        return view

    return declare


def public(view: View) -> View:
    """For the few addresses that need no sign-in."""
    view.permission = None  # type: ignore[attr-defined]
    return view


class BodyLimit:
    """Answer 413 to a body over the limit, from its Content-Length; Django alone would say 400."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            length = int(request.META.get("CONTENT_LENGTH") or 0)
        except ValueError:
            return errors.bad_request(request)
        if length > settings.BODY_LIMIT:
            return errors.too_large(request)
        return self.get_response(request)


class Door:
    """Sets request.actor and request.region, refuses by default, and turns what the vault refuses into a page."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.actor = None  # type: ignore[attr-defined]
        request.region = None  # type: ignore[attr-defined]
        response = self.get_response(request)
        if request.user.is_authenticated:
            response.headers.setdefault("Cache-Control", "no-store")
            patch_vary_headers(response, ["Cookie"])
        return response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> HttpResponseBase | None:
        permission = getattr(view, "permission", "undeclared")
        user = request.user
        if isinstance(user, User):
            request.actor = user.as_actor(peer_address(request), uuid.uuid4().hex)  # type: ignore[attr-defined]
        if permission is None:
            return None
        actor: Actor | None = request.actor  # type: ignore[attr-defined]
        if actor is None:
            return redirect_to_login(request.get_full_path(), settings.LOGIN_URL)
        if not actor.may(permission):
            if permission != "undeclared":
                record_refusal(actor, permission)
            return errors.forbidden(request, permission)
        if "region" in kwargs:
            region = Region.visible_to(actor).filter(name=kwargs.pop("region")).first()
            if region is None:
                return errors.not_found(request)
            request.region = region  # type: ignore[attr-defined]
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        if isinstance(exception, NotFound):
            return errors.not_found(request)
        if isinstance(exception, VaultError):
            return errors.refused(request, exception)
        return None


def peer_address(request: HttpRequest) -> str:
    """The peer's address as the server saw it; headers that a caller may write are not believed."""
    try:
        return str(ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")))
    except ValueError:
        return ""
