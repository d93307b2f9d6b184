"""People: who there is, how they come in, what they hold. The first tab of the Team page."""

from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as now

from console.commands import change_password, create_user
from console.facts.account import factors_told
from console.facts.people import held_by, rows
from console.forms.confirm import Confirm, DisablePerson, TypedName
from console.fresh import fresh
from console.middleware import allows
from console.pages import page, see_other
from console.paging import Listing
from console.requests import ConsoleRequest, posted
from secrets_app.models import Team, User

SHOWN: dict[str, dict[str, Any]] = {"active": {"is_active": True}, "disabled": {"is_active": False}}


@allows("user.view")
def list_(request: ConsoleRequest) -> HttpResponse:
    listing = Listing(request.GET, {"name": ["username"]}, SHOWN)
    cut = listing.cut(User.visible_to(request.actor).matching(listing.q).filter(**SHOWN.get(listing.show, {})))
    context = {
        "listing": listing,
        "cut": cut,
        "rows": rows(cut.rows, request.actor),
        "tab": "people",
        "create_user": create_user(),
        "change_password": change_password(),
    }
    return page(request, "users/list.html", context)


@allows("user.view")
def detail(request: ConsoleRequest, username: str) -> HttpResponse:
    user = User.visible_to(request.actor).find(username)
    context = {
        "user": user,
        "held": held_by(user, request.actor),
        "teams": Team.visible_to(request.actor).filter(memberships__user=user).order_by("name_folded"),
        "second_factor": factors_told(user),
        "own": user.pk == request.actor.user_id,
        "crumbs": [(now("Team"), reverse("user-list")), (user.username, "")],
    }
    return page(request, "users/detail.html", context)


@allows("user.disable")
def disable(request: ConsoleRequest, username: str) -> HttpResponse:
    user = User.visible_to(request.actor).find(username)
    form = DisablePerson(posted(request), user=user)
    if form.is_valid() and form.did(lambda: user.disable(by=request.actor, revoke_tokens=form.revokes)):
        return see_other(request, _to(user), notice=now("%(name)s was disabled.") % {"name": user.username})
    context = _asked(request, user, form) | {"submit": now("Disable"), "danger": True}
    return page(request, "users/disable.html", context, status=form.status)


@allows("user.enable")
@fresh
def enable(request: ConsoleRequest, username: str) -> HttpResponse:
    user = User.visible_to(request.actor).find(username)
    form = Confirm(posted(request))
    if form.is_valid() and form.did(lambda: user.enable(by=request.actor)):
        return see_other(request, _to(user), notice=now("%(name)s was enabled.") % {"name": user.username})
    context = _asked(request, user, form) | {"submit": now("Enable")}
    return page(request, "users/enable.html", context, status=form.status)


@allows("user.delete")
@fresh
def delete(request: ConsoleRequest, username: str) -> HttpResponse:
    user = User.visible_to(request.actor).find(username)
    form = TypedName(posted(request), name=user.username)
    if form.is_valid() and form.did(lambda: user.delete(by=request.actor)):
        return see_other(request, reverse("user-list"), notice=now("%(name)s was deleted.") % {"name": user.username})
    context = _asked(request, user, form) | {"submit": now("Delete"), "danger": True}
    return page(request, "users/delete.html", context, status=form.status)


def _asked(request: ConsoleRequest, user: User, form: Any) -> dict[str, Any]:
    """What stands around a question about somebody."""
    return {"form": form, "user": user, "held": held_by(user, request.actor), "size": "decision", "back": _to(user)}


def _to(user: User) -> str:
    return reverse("user-detail", args=[user.username])
