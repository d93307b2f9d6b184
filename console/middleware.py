"""The door of the console: every address asks who comes and what they may, before its view runs. Without a declaration nobody passes."""

import hashlib
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar, cast
from urllib.parse import unquote_to_bytes, urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, UnreadablePostError
from django.shortcuts import redirect
from django.urls import reverse

from console import refusals
from console.api import admit
from console.caller import address_of
from console.pages import LAST_REGION
from console.proofs import freshly_signed_in
from console.requests import page_in_front
from console.sessions import note_use
from gateway.models import Instance
from secrets_app.actor import Actor
from secrets_app.db import reading
from secrets_app.errors import NotFound, VaultError
from secrets_app.framing import framed
from secrets_app.models import Region, User
from secrets_app.models.openings import note_opening
from secrets_app.models.refusals import record_refusal
from secrets_app.scope import EVERYWHERE, Scoped

View = TypeVar("View", bound=Callable[..., HttpResponseBase])
GetResponse = Callable[[HttpRequest], HttpResponse]

READING = frozenset({"GET", "HEAD"})
WRITING = READING | {"POST"}
UNDECLARED = "undeclared"
DRAINED = 16 * 1024 * 1024  # bytes read of a body that is too large, so that the answer to it arrives

log = logging.getLogger(__name__)


def allows(permission: str) -> Callable[[View], View]:
    """Declare what a view needs; the door refuses everybody else. A view under ".view" answers GET and HEAD, any other POST as well.

    A page that only reads sees one state of the database: what somebody deletes meanwhile is still there, or already gone.
    """

    def declare(view: View) -> View:
        @wraps(view)
        def whole(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            with reading() if request.method in READING else nullcontext():
                return view(request, *args, **kwargs)

        whole.permission = permission  # type: ignore[attr-defined]
        return cast(View, whole)

    return declare


def noted(view: View) -> View:
    """Outside of allows(): that somebody opened the page is an entry of the audit log itself, once an hour for each session."""

    @wraps(view)
    def whole(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        note_opening(view.permission, by=request.actor)  # type: ignore[attr-defined]
        return view(request, *args, **kwargs)

    return cast(View, whole)


def public(view: View) -> View:
    """For the few addresses that need no sign-in. They answer GET and HEAD unless `takes` says more."""
    view.permission = None  # type: ignore[attr-defined]
    return view


def sets_up(view: View) -> View:
    """For the few addresses that lead to a second factor: whoever owes one reaches these and no other."""
    view.sets_up = True  # type: ignore[attr-defined]
    return view


def takes(*methods: str) -> Callable[[View], View]:
    """The methods of a view, where they are not those its permission implies."""

    def declare(view: View) -> View:
        view.methods = frozenset(methods)  # type: ignore[attr-defined]
        return view

    return declare


def methods_of(view: Any) -> frozenset[str]:
    permission: str | None = view.permission
    implied = READING if permission is None or permission.endswith(".view") else WRITING
    return frozenset(getattr(view, "methods", implied))


class BodyLimit:
    """Answer 413 to a body over the limit, from its Content-Length; Django alone would say 400."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not (length.isascii() and length.isdigit()):
            return refusals.bad_request(request)
        if int(length[:20]) > settings.BODY_LIMIT:
            _drain(request)
            return refusals.too_large(request)
        return self.get_response(request)


class Door:
    """Sets request.request_id, request.actor, request.region and request.scope (where the address lies), refuses by default, and turns
    what the vault refuses into a page."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.request_id = uuid.uuid4().hex  # type: ignore[attr-defined]  # never the caller's: it stands in the audit log
        request.actor = None  # type: ignore[attr-defined]
        request.region = None  # type: ignore[attr-defined]
        request.scope = EVERYWHERE  # type: ignore[attr-defined]
        response = refusals.bad_request(request) if _unreadable(request) else self.get_response(request)
        response.headers["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> HttpResponseBase | None:
        permission = getattr(view, "permission", UNDECLARED)
        if getattr(view, "api", False):  # before anything looks at a cookie
            return (
                admit(request, permission, kwargs)
                if request.method in methods_of(view)
                else refusals.method_not_allowed(request, methods_of(view))
            )
        request.actor = actor = _actor(request)  # type: ignore[attr-defined]
        note_use(request)
        if permission == UNDECLARED:
            log.error("%s declares no permission: nobody may open it.", request.resolver_match and request.resolver_match.view_name)
            return refusals.forbidden(request)
        if request.method not in methods_of(view):
            return refusals.method_not_allowed(request, methods_of(view))
        if request.method not in READING and request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return refusals.csrf_failure(request, "another site sent it")
        if permission is None:
            return None
        if actor is None:
            return _to_sign_in(request)
        if getattr(request.user, "owes_second_factor", False) and not getattr(view, "sets_up", False):
            return _leave_for(request, reverse("account-set-up"))
        try:
            return self._go_to(request, actor, permission, kwargs)
        except NotFound:
            return refusals.not_found(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        if isinstance(exception, NotFound):
            return refusals.not_found(request)
        if isinstance(exception, VaultError):
            return refusals.refused(request, exception)
        return None

    def _go_to(self, request: HttpRequest, actor: Actor, permission: str, kwargs: dict[str, Any]) -> HttpResponseBase | None:
        """From outside in. Who has the permission nowhere is told so whatever the address names; what they may not see is not found."""
        for place in _places(actor, kwargs):
            if not actor.may_within(permission, place):
                record_refusal(actor, permission)
                return refusals.forbidden(request, permission)
            request.scope = place.scope  # type: ignore[attr-defined]
            if isinstance(place, Region):
                request.region = place  # type: ignore[attr-defined]
                if request.session.get(LAST_REGION) != place.name:
                    request.session[LAST_REGION] = place.name
        return None


def _places(actor: Actor, kwargs: dict[str, Any]) -> Iterator[Scoped]:
    """Everywhere, then the region of the address, then its instance. Raises NotFound for one that the actor may not see.

    The instance is looked up for whom it makes a difference alone: the view finds it anyway.
    """
    yield EVERYWHERE
    if "region" in kwargs:
        region = Region.visible_to(actor).filter(name=kwargs.pop("region")).first()
        if region is None:
            raise NotFound()
        yield region
        if "ref" in kwargs and actor.instances_with("instance.view", region) is not None:
            yield Instance.visible_to(actor, region).find(kwargs["ref"])


def _drain(request: HttpRequest) -> None:
    """Read on and forget, within reason: a server that closes with a body unread resets the connection, and the answer is lost."""
    left = DRAINED
    try:
        while left > 0 and (chunk := request.read(min(left, 1 << 16))):
            left -= len(chunk)
    except UnreadablePostError:
        pass


def _actor(request: HttpRequest) -> Actor | None:
    user = request.user
    if not isinstance(user, User):
        return None
    actor = user.as_actor(address_of(request), request.request_id, _session_of(request))  # type: ignore[attr-defined]
    return actor if request.method in READING else replace(actor, fresh=freshly_signed_in(request))


def _session_of(request: HttpRequest) -> str:
    """A hash of its key: the log tells a person's sessions apart, and whoever reads it cannot take one over."""
    key = request.session.session_key or ""
    return hashlib.sha256(framed(b"session", key.encode())).hexdigest()[:16] if key else ""


def _unreadable(request: HttpRequest) -> bool:
    """In another charset than UTF-8; or with a NUL, which no name, word or address of ours holds and PostgreSQL will not compare."""
    if (request.content_params or {}).get("charset", "").lower() not in ("", "utf-8", "utf8"):
        return True
    return "\x00" in request.path_info or b"\x00" in unquote_to_bytes(request.META.get("QUERY_STRING", "").replace("+", " "))


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """The whole page goes to sign-in, also where htmx asked for a part of it, and comes back to where the person was."""
    to = settings.LOGIN_URL
    if (where := _where(request)) != "/":
        to += "?" + urlencode({"next": where})
    return _leave_for(request, to)


def _leave_for(request: HttpRequest, to: str) -> HttpResponse:
    if request.headers.get("HX-Request") == "true":
        # htmx reads this header whatever the status; a redirect it would follow, and put that page into the panel.
        return HttpResponse(status=401, headers={"HX-Redirect": to})
    return redirect(to)


def _where(request: HttpRequest) -> str:
    """Where to come back to. What was posted is gone by then, so its address would show an empty form at best."""
    plain = request.method in READING and "HX-Request" not in request.headers
    return request.get_full_path() if plain else page_in_front(request)
