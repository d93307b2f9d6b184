"""MCP services of an instance: servers that speak MCP, proxied directly, and the key each is shown."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as now

from console.facts.rules import rules_at
from console.facts.services import ServiceFacts, service_rows
from console.facts.used import used_by
from console.forms.base import REPEATED, TRIMMED
from console.forms.mcp import ConfigureBackendAuth, CreateMcp, EditMcp, Preview
from console.middleware import allows
from console.pages import page, see_other
from console.paging import Listing
from console.requests import ConsoleRequest, posted
from console.views.callers import (
    address_of,
    authorize_consumers,
    delete_service,
    revoke_authorization,
    turn_off_authentication,
    turn_on_authentication,
)
from console.views.instances import frame
from gateway.delivery import Delivery
from gateway.models import Instance, McpService
from secrets_app.errors import AlreadyDone


@allows("mcp.view")
def list_(request: ConsoleRequest, ref: str) -> HttpResponse:
    instance = _instance(request, ref)
    listing = Listing(request.GET, {"name": ["name"]})
    cut = listing.cut(McpService.visible_to(request.actor, instance).matching(listing.q))
    delivery = Delivery.of(request.region)
    context = frame(request, instance, "mcp") | {
        "listing": listing,
        "cut": cut,
        "rows": service_rows(cut.rows, delivery),
        "down": not delivery.control_plane_up,
    }
    return page(request, "mcp/list.html", context)


@allows("mcp.view")
def detail(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    service = _service(request, ref, name)
    listing, delivery = Listing(request.GET, {"name": ["name"]}), Delivery.of(request.region)
    region = request.region.name
    context = {
        "service": service,
        "instance": service.instance,
        "facts": ServiceFacts.of(service, request.get_host().rsplit(":", 1)[0]),
        "keys_used": used_by(service, delivery, request.actor),
        "rules": rules_at(service, delivery),
        "listing": listing,
        "cut": listing.cut(service.consumers.matching(listing.q)),
        "crumbs": [
            (now("Instance"), reverse("instance-list", kwargs={"region": region})),
            (service.instance.name, reverse("instance-detail", kwargs={"region": region, "ref": ref})),
            (now("MCP Management"), _list(request, ref)),
            (service.name, ""),
        ],
    }
    return page(request, "mcp/detail.html", context)


@allows("mcp.create")
def create(request: ConsoleRequest, ref: str) -> HttpResponse:
    instance = _instance(request, ref)
    form = CreateMcp(posted(request))
    if form.is_valid():
        given = form.cleaned_data
        try:
            service = form.attempt(
                lambda: McpService.create(
                    instance,
                    given["name"],
                    **form.endpoint(),
                    consumer_authentication=given["consumer_authentication"],
                    by=request.actor,
                    once=form.token,
                )
            )
        except AlreadyDone as done:
            return see_other(request, _detail(request, ref, done.name), notice=REPEATED, tone="info")
        if service:
            notice = now("MCP service %(name)s was created.") % {"name": service.name}
            return see_other(request, address_of(service), notice=notice)
    context = {"form": form, "instance": instance, "submit": now("Create MCP service"), "back": _list(request, ref)}
    return page(request, "mcp/create.html", context, status=form.status)


@allows("mcp.edit")
def edit(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    service = _service(request, ref, name)
    form = EditMcp(posted(request), service=service)
    if form.is_valid():
        version = form.cleaned_data["lock_version"] or 0
        if form.did(lambda: service.edit(**form.endpoint(), lock_version=version, by=request.actor)):
            return see_other(request, address_of(service), notice=now("MCP service %(name)s was saved.") % {"name": name})
        if form.current:
            form.resume(_service(request, ref, name).lock_version)
    context = {"form": form, "service": service, "submit": now("Save MCP service"), "back": address_of(service)}
    return page(request, "mcp/edit.html", context, status=form.status)


@allows("mcp.configure_backend_auth")
def configure_backend_auth(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    """The panel has a switch: off, the key that was configured is released."""
    service = _service(request, ref, name)
    form = ConfigureBackendAuth(posted(request), service=service)
    if form.is_valid():
        if form.did(lambda: _save_backend_auth(request, service, form)):
            return see_other(request, address_of(service), notice=_said(service, form))
        if form.current:
            form.resume(_service(request, ref, name).lock_version)
    context = {"form": form, "service": service, "instance": service.instance, "preview": form.preview, "submit": now("Save")}
    return page(request, "mcp/configure_backend_auth.html", context | {"back": address_of(service)}, status=form.status)


@allows("mcp.configure_backend_auth")
def preview(request: ConsoleRequest, ref: str) -> HttpResponse:
    """The line that the server will be shown, as the panel's fields stand: the reference, never the value."""
    asked = (request.GET.get(name, "") for name in ("header", "word", "generation", "key"))
    return render(request, "mcp/_preview.html", {"preview": Preview(*asked)})


@allows("mcp.open")
def open_(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    return turn_off_authentication(request, _service(request, ref, name))


@allows("mcp.require_authentication")
def require_authentication(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    return turn_on_authentication(request, _service(request, ref, name))


@allows("mcp.authorize")
def authorize(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    return authorize_consumers(request, _service(request, ref, name))


@allows("mcp.revoke")
def revoke(request: ConsoleRequest, ref: str, name: str, consumer: str) -> HttpResponse:
    return revoke_authorization(request, _service(request, ref, name), consumer)


@allows("mcp.delete")
def delete(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    return delete_service(request, _service(request, ref, name))


def _save_backend_auth(request: ConsoleRequest, service: McpService, form: ConfigureBackendAuth) -> None:
    given = form.cleaned_data
    if not given["enabled"]:
        service.remove_backend_auth(by=request.actor)
        return
    service.configure_backend_auth(
        given["header"], form.credential(), form.prefix_given(), lock_version=given["lock_version"] or 0, by=request.actor
    )


def _said(service: McpService, form: ConfigureBackendAuth) -> str:
    given = form.cleaned_data
    if not given["enabled"]:
        return now("Backend authentication of %(name)s is off: its server is shown no key.") % {"name": service.name}
    notice = now("Backend authentication of %(name)s is on.") % {"name": service.name}
    credential: Any = given["value"]
    return f"{notice} {TRIMMED}" if credential and credential.trimmed else notice


def _instance(request: ConsoleRequest, ref: str) -> Instance:
    return Instance.visible_to(request.actor, request.region).find(ref)


def _service(request: ConsoleRequest, ref: str, name: str) -> McpService:
    return McpService.visible_to(request.actor, _instance(request, ref)).find(name)


def _list(request: ConsoleRequest, ref: str) -> str:
    return reverse("mcp-list", kwargs={"region": request.region.name, "ref": ref})


def _detail(request: ConsoleRequest, ref: str, name: str) -> str:
    return reverse("mcp-detail", kwargs={"region": request.region.name, "ref": ref, "name": name})
