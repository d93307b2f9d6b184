"""Roles: what each may do, in words, and giving them to people and teams."""

from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as now

from console.facts.people import place_of, where_told
from console.facts.roles import rights, roles
from console.forms.base import REPEATED
from console.forms.confirm import Confirm
from console.forms.team import GrantRole
from console.fresh import fresh
from console.middleware import allows
from console.pages import page, see_other
from console.requests import ConsoleRequest, posted
from secrets_app.access import ROLES
from secrets_app.errors import AlreadyDone, NotFound
from secrets_app.models import RoleGrant, Team, User


@allows("role.view")
def list_(request: ConsoleRequest) -> HttpResponse:
    return page(request, "roles/list.html", {"roles": roles(), "groups": rights(), "tab": "roles"})


@allows("role.grant")
@fresh
def grant_user(request: ConsoleRequest, username: str) -> HttpResponse:
    user = User.visible_to(request.actor).find(username)
    return _grant(request, user, user.username, reverse("user-detail", args=[user.username]))


@allows("role.grant")
@fresh
def grant_team(request: ConsoleRequest, team: UUID) -> HttpResponse:
    found = Team.visible_to(request.actor).find(team)
    return _grant(request, found, found.name, reverse("team-detail", args=[found.pk]))


@allows("role.revoke")
@fresh
def revoke(request: ConsoleRequest, grant: int) -> HttpResponse:
    found = RoleGrant.visible_to(request.actor, "role.revoke").select_related("user", "team", "region").filter(pk=grant).first()
    if found is None:
        raise NotFound()
    where, name, back = place_of(found), found.holder.audit_name, _page_of(found)
    form = Confirm(posted(request))
    if form.is_valid() and form.did(lambda: found.revoke(where, by=request.actor)):
        return see_other(
            request, back, notice=_told(now("%(name)s is not %(role)s any more: %(where)s."), name, found.role, where_told(where))
        )
    context = {
        "form": form,
        "name": name,
        "team": found.team,
        "members": found.team.memberships.count() if found.team else 0,
        "role": ROLES[found.role],
        "where": where_told(where),
        "submit": now("Take it back"),
        "danger": True,
        "size": "decision",
        "back": back,
    }
    return page(request, "roles/revoke.html", context, status=form.status)


def _grant(request: ConsoleRequest, holder: User | Team, name: str, back: str) -> HttpResponse:
    form = GrantRole(posted(request), by=request.actor)
    if form.is_valid():
        role, where = form.cleaned_data["role"], form.chosen()
        try:
            granted = form.attempt(lambda: RoleGrant.grant(holder, role, where, by=request.actor, once=form.token))
        except AlreadyDone:
            return see_other(request, back, notice=REPEATED, tone="info")
        if granted:
            notice = _told(now("%(name)s is %(role)s now: %(where)s."), name, role, where_told(where))
            return see_other(request, back, notice=notice)
    context = {"form": form, "name": name, "submit": now("Give role"), "back": back}
    return page(request, "roles/grant.html", context, status=form.status)


def _told(text: str, name: str, role: str, where: str) -> str:
    return text % {"name": name, "role": ROLES[role][0], "where": where}


def _page_of(grant: RoleGrant) -> str:
    return reverse("team-detail", args=[grant.team_id]) if grant.team_id else reverse("user-detail", args=[grant.holder.audit_name])
