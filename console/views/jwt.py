"""Consumers with tokens: what their tokens are, a new shared secret, and the way from credentials to tokens and back."""

from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as now

from console.forms.consumers import SwitchToApiKey
from console.forms.jwt import EditJwt, RotateJwt, SwitchToJwt
from console.middleware import allows
from console.pages import page
from console.requests import ConsoleRequest, posted
from console.views.credentials import bound
from console.views.presented import back_to, repeated, saved
from gateway.jwks import shared_keys
from gateway.methods import METHODS, SYMMETRIC
from gateway.models import Consumer, NewJwt
from gateway.models.credential import REFERENCE
from gateway.models.presented import Presented
from secrets_app.errors import AlreadyDone, Conflict
from secrets_app.models.refusals import record_refusal


def edit_tokens(request: ConsoleRequest, consumer: Consumer) -> HttpResponse:
    """The edit page of a consumer with tokens."""
    form = EditJwt(posted(request), consumer=consumer)
    if form.is_valid():
        given, jwt = form.cleaned_data, form.changed_jwt()
        version = given["lock_version"] or 0
        if form.did(lambda: consumer.edit(description=given["description"], jwt=jwt, lock_version=version, by=request.actor)):
            return saved(request, consumer, now("Consumer %(name)s was saved.") % {"name": consumer.name}, jwt)
        if form.current:
            form.resume(_consumer(request, consumer.name).lock_version)
    context = {"form": form, "consumer": consumer, "kept": form.was, "submit": now("Save consumer")}
    return page(request, "consumers/edit.html", context | back_to(request, consumer.name), status=form.status)


@allows("consumer.switch_method")
def switch(request: ConsoleRequest, name: str) -> HttpResponse:
    """To the method that it does not have now: what is sent for the other one is not read."""
    consumer = _consumer(request, name)
    return _to_api_key(request, consumer) if consumer.takes_tokens else _to_jwt(request, consumer)


@allows("consumer.rotate_jwt")
def rotate(request: ConsoleRequest, name: str) -> HttpResponse:
    consumer = _consumer(request, name)
    if not consumer.takes_tokens or consumer.jwt.key_type != SYMMETRIC:
        if request.method == "POST":
            record_refusal(request.actor, "consumer.rotate_jwt", consumer, reason=Conflict.code)
        raise Conflict(now("This consumer has no shared secret: new keys come from whoever signs its tokens."))
    form = RotateJwt(posted(request))
    if form.is_valid():
        secret, overlap = shared_keys(), form.cleaned_data["overlap"]
        try:
            version = form.attempt(lambda: consumer.rotate_jwt(secret, overlap, by=request.actor, once=form.token))
        except AlreadyDone as done:
            return repeated(request, done, generated=True)
        if version:
            notice = now("The shared secret of %(name)s was rotated to v%(number)d.") % {"name": name, "number": version.number}
            return saved(request, consumer, notice, NewJwt(SYMMETRIC, consumer.jwt.claim, consumer.jwt.value, secret))
    context = {
        "form": form,
        "consumer": consumer,
        "next": consumer.jwt.reference.key.version + 1,
        "submit": now("Rotate shared secret"),
    }
    return page(request, "consumers/rotate_jwt.html", context | back_to(request, name), status=form.status)


def _to_jwt(request: ConsoleRequest, consumer: Consumer) -> HttpResponse:
    form = SwitchToJwt(posted(request), consumer=consumer)
    if form.is_valid() and (done := _switched(request, consumer, form, form.new_jwt())):
        return done
    own = consumer.credentials.exclude(generation=REFERENCE).exists()
    keys = sorted(reference.key.name for reference in consumer.references if reference.key.name)
    return _ask(request, consumer, form, {"keys": keys, "own": own})


def _to_api_key(request: ConsoleRequest, consumer: Consumer) -> HttpResponse:
    form = SwitchToApiKey(posted(request), consumer=consumer)
    if form.is_valid() and (done := _switched(request, consumer, form, form.new_credential())):
        return done
    return _ask(request, consumer, form, {"bound": bound(request, form)})


def _switched(request: ConsoleRequest, consumer: Consumer, form: SwitchToJwt | SwitchToApiKey, to: Presented) -> HttpResponse | None:
    version = form.cleaned_data["lock_version"] or 0
    sources = form.sources if isinstance(form, SwitchToApiKey) else ()
    if form.did(lambda: consumer.switch_method(to, sources, lock_version=version, by=request.actor)):
        notice = now("%(name)s authenticates by %(method)s now.") % {"name": consumer.name, "method": METHODS[consumer.method]}
        return saved(request, consumer, notice, to)
    if form.current:
        form.resume(_consumer(request, consumer.name).lock_version)
    return None


def _ask(request: ConsoleRequest, consumer: Consumer, form: SwitchToJwt | SwitchToApiKey, more: dict[str, Any]) -> HttpResponse:
    context = {"form": form, "consumer": consumer, "services": consumer.authorizations.count(), "submit": now("Switch method")}
    return page(request, "consumers/switch_method.html", context | more | back_to(request, consumer.name), status=form.status)


def _consumer(request: ConsoleRequest, name: str) -> Consumer:
    return Consumer.visible_to(request.actor, request.region).find(name)
