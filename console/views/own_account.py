"""Somebody's own page: password, second factors, sessions, theme. Whose it is, the session says; no address names another person."""

from uuid import UUID

from django.contrib.auth import update_session_auth_hash
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_post_parameters

from console import factors, sessions
from console.facts.account import factor_rows, keys_work_at, session_row, session_rows
from console.forms.account import ChangePassword
from console.forms.base import REPEATED, DeedForm
from console.fresh import fresh
from console.middleware import allows
from console.pages import page, see_other
from console.requests import ConsoleRequest, posted
from console.views.account import status_of
from secrets_app.errors import AlreadyDone, NotFound
from secrets_app.models.user import THEMES


@allows("account.view")
def detail(request: ConsoleRequest) -> HttpResponse:
    user = request.user
    context = {
        "person": user,
        "factors": factor_rows(user),
        "has_app": factors.of(user).filter(type=factors.TOTP).exists(),
        "codes_left": factors.recovery_codes_left(user),
        "few": factors.FEW,
        "sessions": session_rows(request, user),
        "themes": THEMES.items(),
        "keys_work": keys_work_at(request),
    }
    return page(request, "account/detail.html", context)


@allows("user.change_password")
@sensitive_post_parameters("old", "password", "again")
@fresh
def change_password(request: ConsoleRequest) -> HttpResponse:
    form = ChangePassword(posted(request), request=request, user=request.user)
    if form.is_valid():
        request.user.change_password(form.cleaned_data["password"], by=request.actor, revoke_tokens=form.revokes)
        update_session_auth_hash(request, request.user)
        sessions.end_others(request)
        told = _("The password was changed. Your other sessions are over, and your API tokens open nothing any more.")
        return see_other(request, "account", notice=told if form.revokes else _("The password was changed. Your other sessions are over."))
    return page(request, "account/change_password.html", {"form": form, "back": reverse("account")}, status=status_of(form))


@allows("user.end_session")
def end_session(request: ConsoleRequest, ref: UUID) -> HttpResponse:
    row = sessions.of(request.user).filter(ref=ref).first()
    if row is None:
        raise NotFound()
    form = DeedForm(posted(request))
    if form.is_valid() and form.did(lambda: sessions.end(request.user, [row], by=request.actor)):
        return see_other(request, "account", notice=_("The session is over."))
    shown = session_row(row, sessions.ref_of(request))
    return page(request, "account/end_session.html", {"form": form, "session": shown, "back": reverse("account")}, status=form.status)


@allows("user.end_session")
def end_other_sessions(request: ConsoleRequest) -> HttpResponse:
    form = DeedForm(posted(request))
    others = [row for row in sessions.of(request.user) if str(row.ref) != sessions.ref_of(request)]
    if form.is_valid():
        try:
            if form.did(lambda: sessions.end(request.user, others, by=request.actor, once=form.token)):
                ended = ngettext("%(n)d other session is over.", "%(n)d other sessions are over.", len(others)) % {"n": len(others)}
                return see_other(request, "account", notice=ended)
        except AlreadyDone:
            return see_other(request, "account", notice=REPEATED, tone="info")
    context = {"form": form, "count": len(others), "back": reverse("account")}
    return page(request, "account/end_other_sessions.html", context, status=form.status)
