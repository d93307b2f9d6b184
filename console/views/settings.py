"""Regions, where values are sealed, and what runs. Who there is stands on the Team page."""

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from console.facts.installation import stores, versions
from console.facts.reveal import Policy
from console.facts.second_factor import SecondFactorPolicy
from console.facts.trust import Trust
from console.forms.base import REPEATED
from console.forms.settings import CreateRegion, EditSecondFactor
from console.fresh import fresh
from console.middleware import allows
from console.pages import page, see_other
from console.requests import ConsoleRequest, posted
from secrets_app.errors import AlreadyDone
from secrets_app.models import Deployment, Region


@allows("settings.view")
def settings(request: ConsoleRequest) -> HttpResponse:
    context = {
        "regions": Region.visible_to(request.actor),
        "stores": stores(),
        "trust": Trust.here(),
        "reveal": Policy.of_now(),
        "second_factor": SecondFactorPolicy.of_now(),
        "versions": versions(),
    }
    return page(request, "settings/settings.html", context)


@allows("settings.edit_second_factor")
@fresh
def edit_second_factor(request: ConsoleRequest) -> HttpResponse:
    deployment, policy = Deployment.here(), SecondFactorPolicy.of_now()
    form = EditSecondFactor(posted(request), initial={"roles": sorted(policy.roles)})
    if form.is_valid():
        try:
            if form.did(lambda: deployment.edit_second_factor(form.cleaned_data["roles"], by=request.actor, once=form.token)):
                return see_other(request, "settings", notice=_("The policy on second factors was changed."))
        except AlreadyDone:
            return see_other(request, "settings", notice=REPEATED, tone="info")
    context = {
        "form": form,
        "lacking": policy.lacking,
        "own": not request.user.has_second_factor,
        "back": reverse("settings"),
        "submit": _("Save"),
    }
    return page(request, "settings/edit_second_factor.html", context, status=form.status)


@allows("region.create")
def create_region(request: ConsoleRequest) -> HttpResponse:
    form = CreateRegion(request.POST or None)
    if form.is_valid():
        given = form.cleaned_data
        try:
            region = form.attempt(lambda: Region.create(given["name"], given["title"], by=request.actor, once=form.token))
        except AlreadyDone as done:
            return see_other(request, "overview", region=done.name, notice=REPEATED, tone="info")
        if region:
            return see_other(request, "overview", region=region.name)
    return page(request, "regions/create.html", {"form": form, "back": reverse("settings")}, status=form.status)
