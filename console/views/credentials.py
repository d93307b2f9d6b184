"""The credentials of one consumer: another one beside them, a change, a new value, and the end of one."""

from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as now

from console.forms.confirm import Confirm
from console.forms.credentials import AddCredential, CredentialForm, EditCredential, RotateConsumer
from console.middleware import allows
from console.pages import page, see_other
from console.requests import ConsoleRequest, posted
from console.views.presented import back_to, repeated, saved
from gateway.holders import senders
from gateway.models import Consumer, Credential, NewCredential
from gateway.models.credential import REFERENCE, SYSTEM
from secrets_app.errors import AlreadyDone, Conflict, NotFound
from secrets_app.models import Key
from secrets_app.models.refusals import record_refusal


@allows("consumer.add_credential")
def add(request: ConsoleRequest, name: str) -> HttpResponse:
    consumer = _consumer(request, name)
    form = AddCredential(posted(request))
    if form.is_valid():
        credential = form.new_credential()
        try:
            added = form.attempt(lambda: consumer.add_credential(credential, by=request.actor, once=form.token))
        except AlreadyDone as done:
            return repeated(request, done, generated=credential.generation == SYSTEM)
        if added:
            notice = now("Credential %(place)d was added to %(name)s.") % {"place": added.place, "name": name}
            return saved(request, consumer, notice, credential)
    context = {"form": form, "consumer": consumer, "submit": now("Add credential"), "bound": bound(request, form)}
    return page(request, "consumers/add_credential.html", context | back_to(request, name), status=form.status)


@allows("consumer.edit_credential")
def edit(request: ConsoleRequest, name: str, number: int) -> HttpResponse:
    consumer = _consumer(request, name)
    credential = consumer.credential(number)
    form = EditCredential(posted(request), credential=credential)
    if form.is_valid():
        changed = form.changed_credential()
        if changed is None:
            return see_other(request, back_to(request, name)["back"], notice=now("Nothing was changed."), tone="info")
        version = form.cleaned_data["lock_version"] or 0
        if form.did(lambda: consumer.edit_credential(number, changed, lock_version=version, by=request.actor)):
            notice = now("Credential %(place)d of %(name)s was saved.") % {"place": credential.place, "name": name}
            return saved(request, consumer, notice, changed)
        if form.current:
            form.resume(_consumer(request, name).lock_version)
    context = _about(request, credential) | {"form": form, "submit": now("Save credential"), "bound": bound(request, form)}
    return page(request, "consumers/edit_credential.html", context, status=form.status)


@allows("consumer.rotate")
def rotate(request: ConsoleRequest, name: str, number: int) -> HttpResponse:
    consumer = _consumer(request, name)
    credential = consumer.credential(number)
    if credential.generation == REFERENCE:
        if request.method == "POST":
            record_refusal(request.actor, "consumer.rotate", consumer, reason=Conflict.code)
        raise Conflict(now("This credential refers to a key. Rotate the key itself: every holder then uses the new value."))
    form = RotateConsumer(posted(request), credential=credential)
    if form.is_valid():
        entered, overlap = form.new_value(), form.cleaned_data["overlap"]
        try:
            version = form.attempt(
                lambda: consumer.rotate(number, entered.value, overlap, by=request.actor, once=form.token, trimmed=entered.trimmed)
            )
        except AlreadyDone as done:
            return repeated(request, done, generated=form.generated)
        if version:
            texts = {"place": credential.place, "name": name, "number": version.number}
            notice = now("Credential %(place)d of %(name)s was rotated to v%(number)d.") % texts
            return saved(request, consumer, notice, NewCredential(credential.generation, entered.value, trimmed=entered.trimmed))
    context = _about(request, credential) | {
        "form": form,
        "next": credential.reference.key.version + 1,
        "submit": now("Rotate credential"),
    }
    return page(request, "consumers/rotate.html", context, status=form.status)


@allows("consumer.remove_credential")
def remove(request: ConsoleRequest, name: str, number: int) -> HttpResponse:
    consumer = _consumer(request, name)
    credential = consumer.credential(number)
    form = Confirm(posted(request))
    if form.is_valid() and form.did(lambda: consumer.remove_credential(number, by=request.actor)):
        notice = now("Credential %(place)d of %(name)s was removed.") % {"place": credential.place, "name": name}
        return see_other(request, back_to(request, name)["back"], notice=notice)
    context = _about(request, credential) | {
        "form": form,
        "key": credential.reference.key,
        "submit": now("Remove credential"),
        "danger": True,
        "size": "decision",
    }
    return page(request, "consumers/remove_credential.html", context, status=form.status)


# What making a consumer needs as well


def bound(request: ConsoleRequest, form: CredentialForm) -> dict[str, Any] | None:
    return summary(request, str(form["key"].value() or "")) if form.chosen == REFERENCE else None


def summary(request: ConsoleRequest, name: str) -> dict[str, Any] | None:
    """What binding the key of this name would mean; nothing for no name."""
    try:
        key = Key.visible_to(request.actor, request.region).find(name)
    except NotFound:
        return {"unknown": name[:64]} if name else None
    version = key.versions.get(stage="current")
    return {"key": key, "version": version, "senders": senders(key)}


def _consumer(request: ConsoleRequest, name: str) -> Consumer:
    return Consumer.visible_to(request.actor, request.region).find(name)


def _about(request: ConsoleRequest, credential: Credential) -> dict[str, Any]:
    return {"consumer": credential.consumer, "credential": credential} | back_to(request, credential.consumer.name)
