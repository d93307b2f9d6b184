"""Test connection: one call to a service's back end, made by the control plane."""

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as now

from console.facts.trials import Told
from console.forms.base import REPEATED
from console.forms.trials import TestConnection
from console.middleware import allows
from console.pages import page, see_other
from console.requests import ConsoleRequest
from gateway.models import Instance, McpService, Service
from gateway.probe.asking import question
from secrets_app.errors import AlreadyDone


@allows("service.test")
def of_service(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    instance = Instance.visible_to(request.actor, request.region).find(ref)
    return _test(request, Service.visible_to(request.actor, instance).find(name))


@allows("mcp.test")
def of_mcp(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    instance = Instance.visible_to(request.actor, request.region).find(ref)
    return _test(request, McpService.visible_to(request.actor, instance).find(name))


def _test(request: ConsoleRequest, service: Service) -> HttpResponse:
    place = {"region": request.region.name, "ref": service.instance.ref, "name": service.name}
    back, here = reverse(f"{service.stem}-detail", kwargs=place), reverse(f"{service.stem}-test", kwargs=place)
    uses = service.uses
    form = TestConnection(request.POST or None, uses=uses)
    context = {"service": service, "keys": len(uses), "back": back, "here": here}
    if form.is_valid():
        try:
            trial = form.attempt(lambda: service.test(form.chosen, by=request.actor, once=form.token))
        except AlreadyDone:
            return see_other(request, here, notice=REPEATED, tone="info")
        if trial:
            return page(request, "services/tested.html", context | {"trial": trial, "told": Told.of(trial, with_key=bool(uses))})
    asked = question(service, uses[0].path if uses else "")
    return page(
        request, "services/test.html", context | {"form": form, "asked": asked, "submit": now("Test connection")}, status=form.status
    )
