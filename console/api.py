"""The door of /api/: a token in the Authorization header, JSON in and out. No cookie is read, so no form of another site can act here."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from allauth.core.internal import ratelimit
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from console.caller import address_of
from secrets_app.actor import NOBODY, Actor
from secrets_app.errors import Invalid, NotAllowed, NotFound, VaultError
from secrets_app.models import Region
from secrets_app.models.refusals import record_refusal
from secrets_app.models.token import ApiToken
from secrets_app.scope import EVERYWHERE

_LAPSED = (
    403,
    "roles_lapsed",
    "Single sign-on gave the roles behind this token, and whoever made it has not come in through it for too long. They count again when "
    "that person signs in through single sign-on.",
)
View = TypeVar("View", bound=Callable[..., HttpResponseBase])
PREFIX = "/api/"
_MESSAGES = {
    400: ("bad_request", "The request cannot be read. Check its address, its headers and its JSON."),
    403: ("not_allowed", "This token may not do that."),
    404: ("not_found", "There is nothing of that name here. Check the name and the region."),
    405: ("method_not_allowed", "This address does not take that method."),
    413: ("too_large", "The body is too large."),
    429: ("too_many", "Too many requests with a token that opens nothing. Wait a minute, then try again."),
    503: ("database_busy", "The database did not answer in time. Look whether the change was made, then try again."),
    500: ("failed", "Something went wrong in the console. Look whether the change was made before you try again."),
}


def api(permission: str) -> Callable[[View], View]:
    """Declare what a view of the API needs of the token's maker, within the token's bounds."""

    def declare(view: View) -> View:
        @wraps(view)
        def asked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                return view(request, *args, **kwargs)
            except VaultError as refused:
                return _refused(refused)

        asked.permission = permission  # type: ignore[attr-defined]
        asked.api = True  # type: ignore[attr-defined]
        asked.csrf_exempt = True  # type: ignore[attr-defined]  # what a cookie would prove counts for nothing here
        return cast(View, asked)

    return declare


class InJson:
    """Around everything: what is refused below /api/ is told in JSON, whoever refuses it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not request.path_info.startswith(PREFIX) or response.status_code < 400 or "json" in response.headers.get("Content-Type", ""):
            return response
        answer = told(response.status_code, *_MESSAGES.get(response.status_code, _MESSAGES[400]))
        answer.headers["Cache-Control"] = "no-store"
        for name in ("Allow", "Retry-After", "X-Request-ID"):
            if name in response.headers:
                answer.headers[name] = response.headers[name]
        return answer


def admit(request: HttpRequest, permission: str, kwargs: dict[str, Any]) -> HttpResponseBase | None:
    """Sets request.actor, request.region and request.scope, or answers why not."""
    address = address_of(request)
    token = ApiToken.presented(request.headers.get("Authorization", "").removeprefix("Bearer "), address)
    request_id: str = request.request_id  # type: ignore[attr-defined]
    if token is None:
        record_refusal(Actor(NOBODY, address=address, request_id=request_id), "token.use")
        return (
            _unknown()
            if ratelimit.consume(request, app="allauth.account", action="api_refused", limit_get=True)
            else told(429, *_MESSAGES[429])
        )
    request.actor = actor = token.as_actor(address, request_id)  # type: ignore[attr-defined]
    lapsed = getattr(token.user, "roles_lapsed", False)
    place: Any = EVERYWHERE
    if "region" in kwargs:
        place, seen = Region.objects.filter(name=kwargs.pop("region")).first(), token.regions_of(actor)
        if place is None or (seen is not None and place.pk not in seen):
            return told(*_LAPSED) if lapsed else told(404, *_MESSAGES[404])
        request.region = place  # type: ignore[attr-defined]
    if not actor.may_within(permission, place):
        record_refusal(actor, permission)
        return told(*_LAPSED) if lapsed else _refused(NotAllowed(permission))
    request.scope = place.scope  # type: ignore[attr-defined]
    return None


def body_of(request: HttpRequest) -> dict[str, Any]:
    """Raises Invalid without repeating a word of what was sent: a value may be in it."""
    try:
        given = json.loads(request.body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise Invalid({"": ["Send a JSON object as the body."]})
    return given


def told(status: int, code: str, message: str, **more: Any) -> HttpResponse:
    return JsonResponse({"code": code, "message": message, **more}, status=status)


def _unknown() -> HttpResponse:
    """The same bytes for what never was, expired, was revoked, is malformed or comes from elsewhere."""
    answer = told(401, "unknown_token", "Send a token that works, as “Authorization: Bearer lk_…”.")
    answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def _refused(refused: VaultError) -> HttpResponse:
    if isinstance(refused, NotFound):
        return told(404, *_MESSAGES[404])
    more = {"errors": refused.errors} if isinstance(refused, Invalid) else {}
    return told(refused.status, refused.code, refused.message, **more)
