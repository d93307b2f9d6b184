"""Consumers of a region: who may call its gateways, and what each of them presents."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as now

from console.facts.consumers import Facts, rows
from console.forms.base import REPEATED, TRIMMED
from console.forms.confirm import Confirm, TypedName
from console.forms.consumers import CreateConsumer, EditConsumer, RotateConsumer
from console.middleware import allows
from console.once import shown_once
from console.pages import page, see_other
from console.paging import Listing
from console.requests import ConsoleRequest, posted
from gateway.call import VARIABLE
from gateway.delivery import Delivery
from gateway.holders import senders
from gateway.models import Consumer, NewCredential
from gateway.models.consumer import REFERENCE, SYSTEM
from secrets_app.errors import AlreadyDone, Conflict, NotFound
from secrets_app.models import Key
from secrets_app.models.refusals import record_refusal

SHOWN: dict[str, dict[str, Any]] = {
    "enabled": {"enabled": True},
    "disabled": {"enabled": False},
    "unauthorized": {"authorizations__isnull": True},
}


@allows("consumer.view")
def list_(request: ConsoleRequest) -> HttpResponse:
    listing = Listing(request.GET, {"name": ["name"]}, SHOWN)
    every = Consumer.visible_to(request.actor, request.region)
    cut = listing.cut(every.matching(listing.q).filter(**SHOWN.get(listing.show, {})))
    delivery = Delivery.of(request.region)
    context = {"listing": listing, "cut": cut, "rows": rows(cut.rows, delivery), "down": not delivery.control_plane_up}
    return page(request, "consumers/list.html", context)


@allows("consumer.view")
def detail(request: ConsoleRequest, name: str) -> HttpResponse:
    consumer = Consumer.visible_to(request.actor, request.region).find(name)
    facts = Facts.of(consumer, request.get_host().rsplit(":", 1)[0])
    crumbs = [(now("Consumers"), _to(request, "consumer-list")), (consumer.name, "")]
    return page(request, "consumers/detail.html", {"consumer": consumer, "facts": facts, "crumbs": crumbs})


@allows("consumer.create")
def create(request: ConsoleRequest) -> HttpResponse:
    form = CreateConsumer(posted(request), initial=_asked_for(request))
    if form.is_valid():
        given, credential = form.cleaned_data, form.credential()
        try:
            consumer = form.attempt(
                lambda: Consumer.create(
                    request.region,
                    given["name"],
                    credential,
                    form.source,
                    by=request.actor,
                    description=given["description"],
                    enabled=form.enabled,
                    once=form.token,
                )
            )
        except AlreadyDone as done:
            return _repeated(request, done, generated=credential.generation == SYSTEM)
        if consumer:
            return _saved(request, consumer, now("Consumer %(name)s was created.") % {"name": consumer.name}, credential)
    context = {"form": form, "submit": now("Create consumer"), "back": _to(request, "consumer-list"), "bound": _bound(request, form)}
    return page(request, "consumers/create.html", context, status=form.status)


@allows("consumer.edit")
def edit(request: ConsoleRequest, name: str) -> HttpResponse:
    consumer = Consumer.visible_to(request.actor, request.region).find(name)
    form = EditConsumer(posted(request), consumer=consumer)
    if form.is_valid():
        credential = form.credential()
        saved = form.did(
            lambda: consumer.edit(
                description=form.cleaned_data["description"],
                source=form.source,
                lock_version=form.cleaned_data["lock_version"] or 0,
                credential=credential,
                by=request.actor,
            )
        )
        if saved:
            return _saved(request, consumer, now("Consumer %(name)s was saved.") % {"name": consumer.name}, credential)
        if form.current:
            form.resume(Consumer.visible_to(request.actor, request.region).find(name).lock_version)
    context = {
        "form": form,
        "consumer": consumer,
        "submit": now("Save consumer"),
        "back": _to(request, "consumer-detail", name),
        "bound": _bound(request, form),
    }
    return page(request, "consumers/edit.html", context, status=form.status)


@allows("consumer.rotate")
def rotate(request: ConsoleRequest, name: str) -> HttpResponse:
    consumer = Consumer.visible_to(request.actor, request.region).find(name)
    if consumer.generation == REFERENCE:
        if request.method == "POST":
            record_refusal(request.actor, "consumer.rotate", consumer, reason=Conflict.code)
        raise Conflict(now("This consumer refers to a key. Rotate the key itself: every holder then uses the new value."))
    form = RotateConsumer(posted(request), consumer=consumer)
    if form.is_valid():
        entered = form.new_value()
        try:
            version = form.attempt(
                lambda: consumer.rotate(
                    entered.value, form.cleaned_data["overlap"], by=request.actor, once=form.token, trimmed=entered.trimmed
                )
            )
        except AlreadyDone as done:
            return _repeated(request, done, generated=form.generated)
        if version:
            notice = now("The credential of %(name)s was rotated to v%(number)d.") % {"name": consumer.name, "number": version.number}
            return _saved(request, consumer, notice, NewCredential(consumer.generation, entered.value, trimmed=entered.trimmed))
    context = {
        "form": form,
        "consumer": consumer,
        "next": consumer.reference.key.version + 1,
        "submit": now("Rotate credential"),
        "back": _to(request, "consumer-detail", name),
    }
    return page(request, "consumers/rotate.html", context, status=form.status)


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
    if form.is_valid() and form.did(lambda: consumer.delete(by=request.actor)):
        return see_other(request, _to(request, "consumer-list"), notice=now("Consumer %(name)s was deleted.") % {"name": name})
    context = {
        "form": form,
        "consumer": consumer,
        "key": consumer.reference.key,
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
    return render(request, "consumers/_bind_summary.html", {"bound": _summary(request, request.GET.get("key", ""))})


def _summary(request: ConsoleRequest, name: str) -> dict[str, Any] | None:
    try:
        key = Key.visible_to(request.actor, request.region).find(name)
    except NotFound:
        return {"unknown": name[:64]} if name else None
    version = key.versions.get(stage="current")
    return {"key": key, "version": version, "senders": senders(key)}


def _bound(request: ConsoleRequest, form: CreateConsumer | EditConsumer) -> dict[str, Any] | None:
    return _summary(request, str(form["key"].value() or "")) if form.chosen == REFERENCE else None


def _asked_for(request: ConsoleRequest) -> dict[str, Any]:
    """A link from a key's page names the key."""
    return {"key": request.GET["key"][:64], "generation": REFERENCE} if "key" in request.GET else {}


def _saved(request: ConsoleRequest, consumer: Consumer, notice: str, credential: NewCredential | None) -> HttpResponse:
    """To the consumer's page, or where a value was made, to the one page that shows it."""
    back = _to(request, "consumer-detail", consumer.name)
    if credential is None or credential.generation != SYSTEM or credential.value is None:
        return see_other(request, back, notice=f"{notice} {TRIMMED}" if credential and credential.trimmed else notice)
    context = {"consumer": consumer, "title": notice, "value": shown_once(credential.value), "variable": VARIABLE, "back": back}
    return page(request, "consumers/once.html", context)


def _repeated(request: ConsoleRequest, done: AlreadyDone, *, generated: bool) -> HttpResponse:
    back = _to(request, "consumer-detail", done.name)
    if not generated:
        return see_other(request, back, notice=REPEATED, tone="info")
    return page(request, "consumers/repeated.html", {"name": done.name, "back": back, "size": "decision"}, status=done.status)


def _to(request: ConsoleRequest, url_name: str, name: str = "") -> str:
    return reverse(url_name, kwargs={"region": request.region.name, **({"name": name} if name else {})})
