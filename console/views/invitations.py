"""Invitations: an owner makes a link and sends it on by themselves; whoever opens it chooses a password and is in."""

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as now
from django.views.decorators.debug import sensitive_post_parameters

from console.caller import address_of
from console.facts.people import invitation_rows, where_told
from console.forms.account import NewPassword
from console.forms.base import REPEATED
from console.forms.confirm import Confirm
from console.forms.team import Invite
from console.fresh import fresh
from console.middleware import allows, public, takes
from console.pages import page, see_other
from console.paging import Listing
from console.requests import ConsoleRequest, posted
from secrets_app.access import ROLES
from secrets_app.actor import NOBODY, Actor
from secrets_app.errors import AlreadyDone, Conflict, Invalid, NotFound
from secrets_app.models import Invitation, User
from secrets_app.models.refusals import record_refusal


@allows("invitation.view")
def list_(request: ConsoleRequest) -> HttpResponse:
    listing = Listing(request.GET, {"newest": ["-id"]})
    cut = listing.cut(Invitation.visible_to(request.actor).select_related("invited_by", "region"))
    context = {"listing": listing, "cut": cut, "rows": invitation_rows(cut.rows), "tab": "invitations"}
    return page(request, "invitations/list.html", context)


@allows("invitation.create")
@fresh
def create(request: ConsoleRequest) -> HttpResponse:
    form, back = Invite(posted(request), by=request.actor), reverse("invitation-list")
    if form.is_valid():
        given, where = form.cleaned_data, form.chosen()
        try:
            made = form.attempt(
                lambda: Invitation.create(given["username"], given["note"], given["role"], where, by=request.actor, once=form.token)
            )
        except AlreadyDone:
            return see_other(request, back, notice=REPEATED, tone="info")
        if made:
            invitation, token = made
            link = request.build_absolute_uri(reverse("invitation-accept", args=[token]))
            context = {"invitation": invitation, "link": link, "where": where_told(where), "role": ROLES[invitation.role][0], "back": back}
            return page(request, "invitations/once.html", context)
    context = {"form": form, "submit": now("Make the link"), "back": back}
    return page(request, "invitations/create.html", context, status=form.status)


@allows("invitation.revoke")
def revoke(request: ConsoleRequest, invitation: int) -> HttpResponse:
    found = Invitation.visible_to(request.actor).filter(pk=invitation).first()
    if found is None:
        raise NotFound()
    form, back = Confirm(posted(request)), reverse("invitation-list")
    if form.is_valid() and form.did(lambda: found.revoke(by=request.actor)):
        return see_other(request, back, notice=now("The link for %(name)s opens nothing any more.") % {"name": found.username})
    context = {"form": form, "invitation": found, "submit": now("Revoke"), "danger": True, "size": "decision", "back": back}
    return page(request, "invitations/revoke.html", context, status=form.status)


@takes("GET", "HEAD", "POST")
@public
@sensitive_post_parameters("password", "again")
def accept(request: HttpRequest, token: str) -> HttpResponse:
    """Of a link that opens nothing it is not told whether it ever did."""
    if isinstance(request.user, User):
        return page(request, "invitations/signed_in.html", {"name": request.user.username})
    address, request_id = address_of(request), request.request_id  # type: ignore[attr-defined]
    try:
        invitation = Invitation.find(token)
    except NotFound:
        record_refusal(Actor(NOBODY, address=address, request_id=request_id), "invitation.accept", reason=NotFound.code)
        return page(request, "invitations/gone.html", status=404)
    form, status = NewPassword(posted(request), user=User(username=invitation.username)), 200
    if form.is_valid():
        try:
            user = invitation.accept(form.cleaned_data["password"], address=address, request_id=request_id)
            entered: HttpResponse = perform_password_login(request, {"username": user.username}, Login(user=user, redirect_url="/"))
            return entered
        except NotFound:
            return page(request, "invitations/gone.html", status=404)
        except (Conflict, Invalid) as refused:
            form.add_error(None, refused.message)
            status = refused.status
    elif form.is_bound:
        status = 422
    context = {"form": form, "invitation": invitation, "role": ROLES[invitation.role]}
    return page(request, "invitations/accept.html", context, status=status)
