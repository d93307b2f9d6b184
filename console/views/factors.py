"""One's own second factors and recovery codes. Each change asks again who is there."""

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from console import factors
from console.facts.account import factor_row, keys_work_at
from console.forms.base import REPEATED, DeedForm
from console.forms.factors import AddApp, AddKey, RenameFactor
from console.fresh import fresh, note_proof
from console.middleware import allows, sets_up
from console.pages import page, see_other
from console.requests import ConsoleRequest, posted
from secrets_app.errors import AlreadyDone


@sets_up
@allows("account.view")
def set_up(request: ConsoleRequest) -> HttpResponse:
    """Where whoever owes a second factor is led."""
    if not request.user.owes_second_factor:
        return see_other(request, "account")
    return page(request, "account/set_up.html", {"keys_work": keys_work_at(request)})


@sets_up
@allows("user.add_factor")
@sensitive_post_parameters("code", "offer")
@fresh
def add_app(request: ConsoleRequest) -> HttpResponse:
    form = AddApp(posted(request), user=request.user)
    if form.is_valid():
        given = form.cleaned_data
        codes = form.attempt(lambda: factors.add_app(request.user, given["offer"], given["code"], by=request.actor))
        if codes is not None:
            return _added(request, factors.TOTP, codes, _("The authenticator app was added."))
    form.draw()
    return page(request, "account/add_app.html", {"form": form, "back": _home(request)}, status=form.status)


@sets_up
@allows("user.add_factor")
@sensitive_post_parameters("answer")
@fresh
def add_key(request: ConsoleRequest) -> HttpResponse:
    form = AddKey(posted(request), user=request.user)
    if form.is_valid():
        given = form.cleaned_data
        codes = form.attempt(lambda: factors.add_key(request.user, given["name"], given["answer"], by=request.actor))
        if codes is not None:
            return _added(request, factors.KEY, codes, _("The security key was added."))
    context = {"form": form, "keys_work": keys_work_at(request), "back": _home(request)}
    return page(request, "account/add_key.html", context, status=form.status)


@allows("user.rename_factor")
def rename(request: ConsoleRequest, pk: int) -> HttpResponse:
    factor = factors.find(request.user, pk)
    form = RenameFactor(posted(request), factor=factor)
    if form.is_valid() and form.did(lambda: factors.rename(factor, form.cleaned_data["name"], by=request.actor)):
        return see_other(request, "account", notice=_("The second factor has a new name."))
    context = {"form": form, "factor": factor_row(factor), "back": reverse("account")}
    return page(request, "account/rename_factor.html", context, status=form.status)


@allows("user.remove_factor")
@fresh
def remove(request: ConsoleRequest, pk: int) -> HttpResponse:
    factor = factors.find(request.user, pk)
    form, shown = DeedForm(posted(request)), factor_row(factor)
    if form.is_valid() and form.did(lambda: factors.remove(factor, by=request.actor)):
        return see_other(request, "account", notice=_("%(name)s was removed.") % {"name": shown.name})
    last = factors.of(request.user).count() == 1
    context = {"form": form, "factor": shown, "last": last, "back": reverse("account")}
    return page(request, "account/remove_factor.html", context, status=form.status)


@allows("user.make_recovery_codes")
@fresh
def make_recovery_codes(request: ConsoleRequest) -> HttpResponse:
    """Made by the post, and shown in its answer alone."""
    form = DeedForm(posted(request))
    if form.is_valid():
        try:
            codes = form.attempt(lambda: factors.make_recovery_codes(request.user, by=request.actor, once=form.token))
        except AlreadyDone:
            return see_other(request, "account", notice=REPEATED, tone="info")
        if codes:
            return _show(request, codes)
    context = {"form": form, "left": factors.recovery_codes_left(request.user), "back": reverse("account")}
    return page(request, "account/make_recovery_codes.html", context, status=form.status)


def _home(request: ConsoleRequest) -> str:
    return reverse("account-set-up" if request.user.owes_second_factor else "account")


def _added(request: ConsoleRequest, method: str, codes: list[str], notice: str) -> HttpResponse:
    """It was shown just now, so it counts as shown."""
    note_proof(request, method)
    return _show(request, codes) if codes else see_other(request, "account", notice=notice)


def _show(request: ConsoleRequest, codes: list[str]) -> HttpResponse:
    return page(request, "account/recovery_codes.html", {"codes": codes, "value": "\n".join(codes), "back": reverse("account")})
