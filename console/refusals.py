"""Errors in words: what happened and what to do. Each works whole, as a part for htmx, and before anybody is known to have come."""

import sys
from collections.abc import Collection

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.template import loader
from django.utils.translation import gettext_lazy as _

from console.pages import page
from secrets_app import db
from secrets_app.access import ACTIONS
from secrets_app.errors import NotFound, VaultError


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return page(request, "errors/400.html", {"by_another_name": isinstance(exception, DisallowedHost)}, status=400)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The form was made in another session, or cookies are off."""
    return page(request, "errors/403.html", {"expired": True}, status=403)


def forbidden(request: HttpRequest, permission: str = "") -> HttpResponse:
    return page(request, "errors/403.html", {"permission": permission if permission in ACTIONS else ""}, status=403)


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's own handler403."""
    return forbidden(request)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Also for what exists but may not be seen: the two look alike."""
    return page(request, "errors/404.html", status=404)


def too_large(request: HttpRequest) -> HttpResponse:
    return page(request, "errors/413.html", status=413)


def method_not_allowed(request: HttpRequest, methods: Collection[str]) -> HttpResponse:
    text = _("This address does not take what was sent to it. Nothing was changed. Go back, reload the page and try again.")
    response = _told(request, _("This request does not fit its address"), text, 405)
    response.headers["Allow"] = ", ".join(sorted(methods))
    return response


def too_many(request: HttpRequest) -> HttpResponse:
    """allauth's limit on sign-ins from one address, right or wrong."""
    return _told(request, _("Too many requests"), _("Wait a minute, then try again."), 429)


def refused(request: HttpRequest, error: VaultError) -> HttpResponse:
    """What the vault refused, where the view did not answer it inside its own form."""
    if isinstance(error, NotFound):
        return not_found(request)
    title = _("This could not be done now") if error.status >= 500 else _("This could not be done")
    return _told(request, title, error.message, error.status)


def server_error(request: HttpRequest) -> HttpResponse:
    """Static: whatever broke may break the surroundings too."""
    broken = sys.exception()
    if (held_up := db.held_up(broken)) or db.cut_off(broken):
        headers = {"Retry-After": "5"}
        if "HX-Request" in request.headers:  # the page stays as it is, with all that was typed, and asks again
            return HttpResponse(status=503, headers=headers | {"HX-Reswap": "none", "HX-Trigger": "database-away"})
        return HttpResponse(loader.render_to_string("errors/503.html", {"held_up": held_up}), status=503, headers=headers)
    return HttpResponse(loader.render_to_string("errors/500.html"), status=500)


def _told(request: HttpRequest, title: object, message: object, status: int) -> HttpResponse:
    return page(request, "errors/refused.html", {"title": title, "message": message}, status=status)
