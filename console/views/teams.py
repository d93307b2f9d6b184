"""Teams, and who is in them."""

from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as now

from console.facts.people import held_by, team_rows
from console.forms.base import REPEATED
from console.forms.confirm import Confirm, TypedName
from console.forms.team import AddMember, TeamForm
from console.fresh import fresh
from console.middleware import allows
from console.pages import page, see_other
from console.paging import Listing
from console.requests import ConsoleRequest, posted
from secrets_app.errors import AlreadyDone, NotFound
from secrets_app.models import Team, User


@allows("team.view")
def list_(request: ConsoleRequest) -> HttpResponse:
    listing = Listing(request.GET, {"name": ["name_folded"]})
    cut = listing.cut(Team.visible_to(request.actor).matching(listing.q))
    context = {"listing": listing, "cut": cut, "rows": team_rows(cut.rows, request.actor), "tab": "teams"}
    return page(request, "teams/list.html", context)


@allows("team.view")
def detail(request: ConsoleRequest, team: UUID) -> HttpResponse:
    found = Team.visible_to(request.actor).find(team)
    listing = Listing(request.GET, {"name": ["username"]})
    members = User.visible_to(request.actor).filter(memberships__team=found)
    context = {
        "team": found,
        "held": held_by(found, request.actor),
        "listing": listing,
        "cut": listing.cut(members.matching(listing.q)),
        "own": found.pk in request.actor.teams,
        "crumbs": [(now("Team"), reverse("user-list")), (now("Teams"), reverse("team-list")), (found.name, "")],
    }
    return page(request, "teams/detail.html", context)


@allows("team.create")
def create(request: ConsoleRequest) -> HttpResponse:
    form = TeamForm(posted(request))
    if form.is_valid():
        given = form.cleaned_data
        try:
            team = form.attempt(lambda: Team.create(given["name"], given["description"], by=request.actor, once=form.token))
        except AlreadyDone:
            return see_other(request, reverse("team-list"), notice=REPEATED, tone="info")
        if team:
            notice = now("Team %(name)s was created. Give it roles, and add people.") % {"name": team.name}
            return see_other(request, _to(team), notice=notice)
    context = {"form": form, "submit": now("Create team"), "back": reverse("team-list")}
    return page(request, "teams/create.html", context, status=form.status)


@allows("team.edit")
def edit(request: ConsoleRequest, team: UUID) -> HttpResponse:
    found = Team.visible_to(request.actor).find(team)
    form = TeamForm(posted(request), team=found)
    if form.is_valid():
        given = form.cleaned_data
        version = given["lock_version"] or 0
        if form.did(lambda: found.edit(given["name"], given["description"], lock_version=version, by=request.actor)):
            return see_other(request, _to(found), notice=now("Team %(name)s was saved.") % {"name": found.name})
        if form.current:
            form.resume(Team.visible_to(request.actor).find(team).lock_version)
    context = {"form": form, "team": found, "submit": now("Save team"), "back": _to(found)}
    return page(request, "teams/edit.html", context, status=form.status)


@allows("team.delete")
@fresh
def delete(request: ConsoleRequest, team: UUID) -> HttpResponse:
    found = Team.visible_to(request.actor).find(team)
    form = TypedName(posted(request), name=found.name)
    if form.is_valid() and form.did(lambda: found.delete(by=request.actor)):
        return see_other(request, reverse("team-list"), notice=now("Team %(name)s was deleted.") % {"name": found.name})
    context = {
        "form": form,
        "team": found,
        "held": held_by(found, request.actor),
        "members": found.memberships.count(),
        "submit": now("Delete team"),
        "danger": True,
        "size": "decision",
        "back": _to(found),
    }
    return page(request, "teams/delete.html", context, status=form.status)


@allows("team.add_member")
@fresh
def add_member(request: ConsoleRequest, team: UUID) -> HttpResponse:
    found = Team.visible_to(request.actor).find(team)
    form = AddMember(posted(request))
    if form.is_valid():
        user = _named(request, form)
        if user and form.did(lambda: found.add_member(user, by=request.actor)):
            notice = now("%(name)s is in %(team)s now.") % {"name": user.username, "team": found.name}
            return see_other(request, _to(found), notice=notice)
    context = {"form": form, "team": found, "held": held_by(found, request.actor), "submit": now("Add"), "back": _to(found)}
    return page(request, "teams/add_member.html", context, status=form.status)


@allows("team.remove_member")
@fresh
def remove_member(request: ConsoleRequest, team: UUID, username: str) -> HttpResponse:
    found = Team.visible_to(request.actor).find(team)
    user = User.visible_to(request.actor).filter(memberships__team=found, username__iexact=username).first()
    if user is None:
        raise NotFound()
    form = Confirm(posted(request))
    if form.is_valid() and form.did(lambda: found.remove_member(user, by=request.actor)):
        notice = now("%(name)s is not in %(team)s any more.") % {"name": user.username, "team": found.name}
        return see_other(request, _to(found), notice=notice)
    context = {
        "form": form,
        "team": found,
        "person": user,
        "held": held_by(found, request.actor),
        "submit": now("Remove"),
        "danger": True,
        "size": "decision",
        "back": _to(found),
    }
    return page(request, "teams/remove_member.html", context, status=form.status)


def _named(request: ConsoleRequest, form: AddMember) -> User | None:
    try:
        return User.visible_to(request.actor).find(form.cleaned_data["username"])
    except NotFound:
        form.add_error("username", now("Nobody has this username. The Team page lists everybody."))
        form.status = 422
        return None


def _to(team: Team) -> str:
    return reverse("team-detail", args=[team.pk])
