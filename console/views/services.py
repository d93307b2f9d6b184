"""AI and Agent services of an instance: where they lead, which keys they show there, and who may call them."""

from typing import Any

from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as now

from console.facts.rules import rules_at
from console.facts.services import ServiceFacts, service_rows
from console.facts.used import used_by
from console.forms.agents import CreateAgent, EditAgent
from console.forms.base import REPEATED, TRIMMED
from console.forms.services import CreateService, EditService
from console.middleware import allows
from console.pages import page, see_other
from console.paging import Listing
from console.requests import ConsoleRequest, posted
from console.views.callers import (
    authorize_consumers,
    delete_service,
    revoke_authorization,
    turn_off_authentication,
    turn_on_authentication,
)
from console.views.instances import frame
from gateway.delivery import Delivery
from gateway.models import AgentService, AiService, Instance, NewKeys, Service
from gateway.models.credential import REFERENCE
from gateway.models.service import AGENT, AI
from secrets_app.actor import Actor
from secrets_app.errors import AlreadyDone

SOURCES = (AI, AGENT)  # as the list can be narrowed to


@allows("service.view")
def list_(request: ConsoleRequest, ref: str) -> HttpResponse:
    instance = _instance(request, ref)
    listing = Listing(request.GET, {"name": ["name"]}, SOURCES)
    rows = Service.visible_to(request.actor, instance).matching(listing.q)
    cut = listing.cut(rows.filter(kind=listing.show) if listing.show else rows)
    delivery = Delivery.of(request.region)
    context = frame(request, instance, "services") | {
        "listing": listing,
        "cut": cut,
        "rows": service_rows(cut.rows, delivery),
        "down": not delivery.control_plane_up,
    }
    return page(request, "services/list.html", context)


@allows("service.view")
def detail(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    service = _service(request, ref, name)
    listing, delivery = Listing(request.GET, {"name": ["name"]}), Delivery.of(request.region)
    context = {
        "service": service,
        "instance": service.instance,
        "is_agent": isinstance(service, AgentService),
        "facts": ServiceFacts.of(service, request.get_host().rsplit(":", 1)[0]),
        "keys_used": used_by(service, delivery, request.actor),
        "rules": rules_at(service, delivery),
        "listing": listing,
        "cut": listing.cut(service.consumers.matching(listing.q)),
        "crumbs": [
            (now("Instance"), reverse("instance-list", kwargs={"region": request.region.name})),
            (service.instance.name, _to(request, "instance-detail", ref)),
            (now("Service"), _to(request, "service-list", ref)),
            (service.name, ""),
        ],
    }
    return page(request, "services/detail.html", context)


@allows("service.create")
def create(request: ConsoleRequest, ref: str) -> HttpResponse:
    instance = _instance(request, ref)
    ai = CreateService(_posted_as(request, AI), initial=_asked_for(request), instance=instance)
    agent = CreateAgent(_posted_as(request, AGENT), initial=_asked_for(request), instance=instance)
    if _reshapes(request) and agent.is_bound:
        agent = CreateAgent.reshaped(request.POST, instance=instance)
    elif _reshapes(request):
        ai = CreateService.reshaped(request.POST, instance=instance)
    form = agent if _source(request) == AGENT else ai
    if form.is_valid():
        keys = form.keys()
        try:
            service = form.attempt(lambda: _create(instance, form, keys, request.actor))
        except AlreadyDone as done:
            return see_other(request, _to(request, "service-detail", ref, done.name), notice=REPEATED, tone="info")
        if service:
            notice = _said(now("Service %(name)s was created.") % {"name": service.name}, keys)
            return see_other(request, _to(request, "service-detail", ref, service.name), notice=notice)
    context = {"form": form, "ai": ai, "agent": agent, "instance": instance, "submit": now("Create service")}
    return page(request, "services/create.html", context | {"back": _to(request, "service-list", ref)}, status=form.status)


@allows("service.edit")
def edit(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    service = _service(request, ref, name)
    form = _edit_form(request, service)
    if form.is_valid():
        keys = form.changed_keys()
        if form.did(lambda: _save(service, form, keys, request.actor)):
            notice = _said(now("Service %(name)s was saved.") % {"name": service.name}, keys)
            return see_other(request, _to(request, "service-detail", ref, name), notice=notice)
        if form.current:
            form.resume(_service(request, ref, name).lock_version)
    context = {
        "form": form,
        "service": service,
        "instance": service.instance,
        "is_agent": isinstance(form, EditAgent),
        "submit": now("Save service"),
        "back": _to(request, "service-detail", ref, name),
    }
    return page(request, "services/edit.html", context, status=form.status)


@allows("service.create")
def preset(request: ConsoleRequest, ref: str) -> HttpResponse:
    """Protocol and address after another supplier or platform was chosen; an address that is nobody's preset is kept."""
    if request.GET.get("source") == AGENT:
        agent = CreateAgent.preset(request.GET, instance=_instance(request, ref))
        return render(request, "services/_agent_address.html", {"form": agent})
    form = CreateService.preset(request.GET, instance=_instance(request, ref))
    return render(request, "services/_model.html", {"form": form, "instance": form.instance})


@allows("service.create")
def key_row(request: ConsoleRequest, ref: str) -> HttpResponse:
    """One more row for an API key, behind those that stand in the form already."""
    instance = _instance(request, ref)
    if request.GET.get("kind") == AGENT:
        row = CreateAgent.with_new_row(request.GET, instance)
        return render(request, "services/_app_row.html", {"row": row}) if row else HttpResponse(status=204)
    made = CreateService.with_new_row(request.GET, instance)
    return render(request, "services/_key_row.html", {"field": made[1]}) if made else HttpResponse(status=204)


@allows("service.open")
def open_(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    return turn_off_authentication(request, _service(request, ref, name))


@allows("service.require_authentication")
def require_authentication(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    return turn_on_authentication(request, _service(request, ref, name))


@allows("service.authorize")
def authorize(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    return authorize_consumers(request, _service(request, ref, name))


@allows("service.revoke")
def revoke(request: ConsoleRequest, ref: str, name: str, consumer: str) -> HttpResponse:
    return revoke_authorization(request, _service(request, ref, name), consumer)


@allows("service.delete")
def delete(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    return delete_service(request, _service(request, ref, name))


def _create(instance: Instance, form: CreateService | CreateAgent, keys: NewKeys, by: Actor) -> Service:
    given = form.cleaned_data
    if isinstance(form, CreateAgent):
        return AgentService.create(instance, given["name"], form.agent(), keys, by=by, once=form.token)
    where = (given["supplier"], given["protocol"], given["address"])
    return AiService.create(instance, given["name"], *where, keys, by=by, once=form.token)


def _save(service: Service, form: EditService | EditAgent, keys: NewKeys | None, by: Actor) -> None:
    given = form.cleaned_data
    version = given["lock_version"] or 0
    if isinstance(service, AgentService) and isinstance(form, EditAgent):
        service.edit(form.agent(), lock_version=version, keys=keys, by=by)
    elif isinstance(service, AiService):
        where = {name: given[name] for name in ("supplier", "protocol", "address")}
        service.edit(**where, lock_version=version, keys=keys, by=by)


def _edit_form(request: ConsoleRequest, service: Service) -> EditService | EditAgent:
    if isinstance(service, AgentService):
        return EditAgent.reshaped(request.POST, service=service) if _reshapes(request) else EditAgent(posted(request), service=service)
    assert isinstance(service, AiService)
    return EditService.reshaped(request.POST, service=service) if _reshapes(request) else EditService(posted(request), service=service)


def _source(request: ConsoleRequest) -> str:
    """Of the service to be made: as posted, or as a link asks for."""
    asked = request.POST if request.method == "POST" else request.GET
    return AGENT if asked.get("source") == AGENT else AI


def _posted_as(request: ConsoleRequest, source: str) -> QueryDict | None:
    """The other source's fields are neither read nor shown again."""
    return posted(request) if _source(request) == source else None


def _asked_for(request: ConsoleRequest) -> dict[str, Any]:
    """A link from a key's page names the key."""
    asked: dict[str, Any] = {"source": _source(request)}
    return asked | ({"key_0": request.GET["key"][:64], "generation": REFERENCE} if "key" in request.GET else {})


def _reshapes(request: ConsoleRequest) -> bool:
    """A page without JavaScript asks for one row more or less."""
    return "add_row" in request.POST or "remove_row" in request.POST


def _said(notice: str, keys: NewKeys | None) -> str:
    return f"{notice} {TRIMMED}" if keys and keys.trimmed else notice


def _instance(request: ConsoleRequest, ref: str) -> Instance:
    return Instance.visible_to(request.actor, request.region).find(ref)


def _service(request: ConsoleRequest, ref: str, name: str) -> Service:
    return Service.visible_to(request.actor, _instance(request, ref)).find(name)


def _to(request: ConsoleRequest, url_name: str, ref: str, name: str = "") -> str:
    return reverse(url_name, kwargs={"region": request.region.name, "ref": ref, **({"name": name} if name else {})})
