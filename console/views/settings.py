"""Regions, where values are sealed, and what runs. Who there is stands on the Team page."""

from django.http import HttpResponse
from django.urls import reverse

from console.facts.installation import stores, versions
from console.facts.reveal import Policy
from console.facts.trust import Trust
from console.forms.base import REPEATED
from console.forms.settings import CreateRegion
from console.middleware import allows
from console.pages import page, see_other
from console.requests import ConsoleRequest
from secrets_app.errors import AlreadyDone
from secrets_app.models import Region


@allows("settings.view")
def settings(request: ConsoleRequest) -> HttpResponse:
    context = {
        "regions": Region.visible_to(request.actor),
        "stores": stores(),
        "trust": Trust.here(),
        "reveal": Policy.of_now(),
        "versions": versions(),
    }
    return page(request, "settings/settings.html", context)


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
