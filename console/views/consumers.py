"""Consumers of a region: who may call its gateways, and what each of them presents."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as now

from console.facts.consumers import Facts, rows
from console.facts.grants import KINDS, Grants
from console.forms.confirm import Confirm, TypedName
from console.forms.consumers import CreateConsumer, EditConsumer
from console.middleware import allows
from console.pages import page, see_other
from console.paging import Listing
from console.requests import ConsoleRequest, posted
from console.views.credentials import bound, summary
from console.views.grants import authorize_address
from console.views.jwt import edit_tokens
from console.views.presented import generated, repeated, saved
from gateway.delivery import Delivery
from gateway.models import Consumer
from gateway.models.credential import REFERENCE
from secrets_app.errors import AlreadyDone

SHOWN: dict[str, dict[str, Any]] = {
    "enabled": {"enabled": True},
    "disabled": {"enabled": False},
    "unauthorized": {"authorizations__isnull": True},
}


@allows("consumer.view")
def list_(request: ConsoleRequest) -> HttpResponse:
    listing = Listing(request.GET, {"name": ["name"]}, SHOWN)
    every = Consumer.visible_to(request.actor, request.region)
    cut = listing.cut(every.select_related("jwt").matching(listing.q).filter(**SHOWN.get(listing.show, {})))
    delivery = Delivery.of(request.region)
    context = {
        "listing": listing,
        "cut": cut,
        "rows": rows(cut.rows, request.region, request.actor, delivery),
        "down": not delivery.control_plane_up,
    }
    return page(request, "consumers/list.html", context)


@allows("consumer.view")
def detail(request: ConsoleRequest, name: str) -> HttpResponse:
    consumer = Consumer.visible_to(request.actor, request.region).find(name)
    instance = request.GET.get("instance", "")
    listing = Listing(request.GET, {"name": ["name", "id"]}, KINDS, keep=["instance"])
    grants = Grants.of(consumer, request.actor, listing, instance)
    context = {
        "consumer": consumer,
        "facts": Facts.of(consumer, request.actor, request.get_host().rsplit(":", 1)[0], grants.kind),
        "grants": grants,
        "authorize_url": authorize_address(consumer, grants.kind, instance),
        "listing": listing,
        "cut": listing.cut(grants.services(consumer, listing.q)),
        "crumbs": [(now("Consumers"), _to(request, "consumer-list")), (consumer.name, "")],
    }
    return page(request, "consumers/detail.html", context)


@allows("consumer.create")
def create(request: ConsoleRequest) -> HttpResponse:
    form = CreateConsumer(posted(request), initial=_asked_for(request))
    if form.is_valid():
        given, presented = form.cleaned_data, form.presented()
        try:
            consumer = form.attempt(
                lambda: Consumer.create(
                    request.region,
                    given["name"],
                    presented,
                    form.sources,
                    by=request.actor,
                    description=given["description"],
                    enabled=form.enabled,
                    once=form.token,
                )
            )
        except AlreadyDone as done:
            return repeated(request, done, generated=generated(presented) is not None)
        if consumer:
            return saved(request, consumer, now("Consumer %(name)s was created.") % {"name": consumer.name}, presented)
    context = {"form": form, "submit": now("Create consumer"), "back": _to(request, "consumer-list"), "bound": bound(request, form)}
    return page(request, "consumers/create.html", context, status=form.status)


@allows("consumer.edit")
def edit(request: ConsoleRequest, name: str) -> HttpResponse:
    consumer = Consumer.visible_to(request.actor, request.region).find(name)
    if consumer.takes_tokens:
        return edit_tokens(request, consumer)
    form = EditConsumer(posted(request), consumer=consumer)
    if form.is_valid():
        given, sources = form.cleaned_data, form.sources
        version = given["lock_version"] or 0
        if form.did(lambda: consumer.edit(description=given["description"], sources=sources, lock_version=version, by=request.actor)):
            return see_other(request, _to(request, "consumer-detail", name), notice=now("Consumer %(name)s was saved.") % {"name": name})
        if form.current:
            form.resume(Consumer.visible_to(request.actor, request.region).find(name).lock_version)
    context = {
        "form": form,
        "consumer": consumer,
        "submit": now("Save consumer"),
        "back": _to(request, "consumer-detail", name),
    }
    return page(request, "consumers/edit.html", context, status=form.status)


@allows("consumer.disable")
def disable(request: ConsoleRequest, name: str) -> HttpResponse:
    consumer = Consumer.visible_to(request.actor, request.region).find(name)
    form = Confirm(posted(request))
    if form.is_valid() and form.did(lambda: consumer.disable(by=request.actor)):
        return see_other(request, _to(request, "consumer-detail", name), notice=now("%(name)s was disabled.") % {"name": name})
    context = {
        "form": form,
        "consumer": consumer,
        "services": consumer.authorizations.count(),
        "submit": now("Disable consumer"),
        "danger": True,
        "size": "decision",
        "back": _to(request, "consumer-detail", name),
    }
    return page(request, "consumers/disable.html", context, status=form.status)


@allows("consumer.enable")
def enable(request: ConsoleRequest, name: str) -> HttpResponse:
    consumer = Consumer.visible_to(request.actor, request.region).find(name)
    form = Confirm(posted(request))
    if form.is_valid() and form.did(lambda: consumer.enable(by=request.actor)):
        return see_other(request, _to(request, "consumer-detail", name), notice=now("%(name)s was enabled.") % {"name": name})
    context = {
        "form": form,
        "consumer": consumer,
        "services": consumer.authorizations.count(),
        "submit": now("Enable consumer"),
        "size": "decision",
        "back": _to(request, "consumer-detail", name),
    }
    return page(request, "consumers/enable.html", context, status=form.status)


@allows("consumer.delete")
def delete(request: ConsoleRequest, name: str) -> HttpResponse:
    consumer = Consumer.visible_to(request.actor, request.region).find(name)
    form = TypedName(posted(request), name=consumer.name)
    keys = [reference.key for reference in consumer.references.order_by("path")]
    if form.is_valid() and form.did(lambda: consumer.delete(by=request.actor)):
        return see_other(request, _to(request, "consumer-list"), notice=now("Consumer %(name)s was deleted.") % {"name": name})
    context = {
        "form": form,
        "consumer": consumer,
        "keys": [key for key in keys if key.name],
        "own": any(key.is_inline for key in keys),
        "services": consumer.authorizations.count(),
        "submit": now("Delete consumer"),
        "danger": True,
        "size": "decision",
        "back": _to(request, "consumer-detail", name),
    }
    return page(request, "consumers/delete.html", context, status=form.status)


@allows("key.view")
def bind_summary(request: ConsoleRequest) -> HttpResponse:
    """What binding the key in the field would mean, under the field."""
    return render(request, "consumers/_bind_summary.html", {"bound": summary(request, request.GET.get("key", ""))})


def _asked_for(request: ConsoleRequest) -> dict[str, Any]:
    """A link from a key's page names the key."""
    return {"key": request.GET["key"][:64], "generation": REFERENCE} if "key" in request.GET else {}


def _to(request: ConsoleRequest, url_name: str, name: str = "") -> str:
    return reverse(url_name, kwargs={"region": request.region.name, **({"name": name} if name else {})})
