"""Who may call a service, and its end: the same questions whatever its kind. Each kind's module declares who may ask them."""

from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as now

from console.facts.services import shared_keys
from console.forms.authentication import RequireAuthentication
from console.forms.confirm import Confirm, TypedName
from console.forms.picks import AuthorizeConsumers
from console.pages import page, see_other
from console.requests import ConsoleRequest, posted
from gateway.methods import METHODS
from gateway.models import Consumer, Service

CANDIDATES = 50  # consumers offered at a time; a search finds the others


def turn_off_authentication(request: ConsoleRequest, service: Service) -> HttpResponse:
    form = Confirm(posted(request))
    if form.is_valid() and form.did(lambda: service.open(by=request.actor)):
        notice = now("Consumer authentication of %(name)s is off: anybody may call it.") % {"name": service.name}
        return see_other(request, address_of(service), notice=notice)
    context = {"submit": now("Turn off"), "danger": True} | _question(service, form)
    return page(request, "services/open.html", context, status=form.status)


def turn_on_authentication(request: ConsoleRequest, service: Service) -> HttpResponse:
    """Or, where it is on, asks for another method."""
    form = RequireAuthentication(posted(request), service=service)
    if form.is_valid() and form.did(lambda: service.require_authentication(form.cleaned_data["method"], by=request.actor)):
        texts = {"name": service.name, "method": METHODS[service.authentication_method]}
        return see_other(request, address_of(service), notice=now("%(name)s asks its callers for: %(method)s.") % texts)
    submit = now("Change method") if service.consumer_authentication else now("Turn on")
    context = {"submit": submit, "size": ""} | _question(service, form)
    return page(request, "services/require_authentication.html", context, status=form.status)


def authorize_consumers(request: ConsoleRequest, service: Service) -> HttpResponse:
    free = Consumer.visible_to(request.actor, request.region).exclude(authorizations__service=service)
    form = AuthorizeConsumers(posted(request))
    if "search" not in request.POST and form.is_valid() and form.did(lambda: service.authorize(form.names(free), by=request.actor)):
        return see_other(request, address_of(service), notice=now("Authorized on %(name)s.") % {"name": service.name})
    found = list(free.matching(form.typed).exclude(name__in=form.ticked).order_by("name")[: CANDIDATES + 1])
    context = {
        "form": form,
        "service": service,
        "ticked": free.filter(name__in=form.ticked).order_by("name"),
        "found": found[:CANDIDATES],
        "more": len(found) > CANDIDATES,
        "submit": now("Authorize"),
        "back": address_of(service),
    }
    return page(request, "services/authorize.html", context, status=form.status)


def revoke_authorization(request: ConsoleRequest, service: Service, consumer: str) -> HttpResponse:
    who = Consumer.visible_to(request.actor, request.region).find(consumer)
    back = _at_consumer(who, service) if request.GET.get("from") == "consumer" else address_of(service)
    form = Confirm(posted(request))
    if form.is_valid() and form.did(lambda: service.revoke(who, by=request.actor)):
        notice = now("%(consumer)s may no longer call %(service)s.") % {"consumer": who.name, "service": service.name}
        return see_other(request, back, notice=notice)
    context = _question(service, form) | {"submit": now("Revoke"), "danger": True, "consumer": who, "back": back}
    return page(request, "services/revoke.html", context, status=form.status)


def delete_service(request: ConsoleRequest, service: Service) -> HttpResponse:
    form = TypedName(posted(request), name=service.name)
    if form.is_valid() and form.did(lambda: service.delete(by=request.actor)):
        return see_other(request, address_of(service, "list"), notice=now("Service %(name)s was deleted.") % {"name": service.name})
    context = {"submit": now("Delete service"), "danger": True, "keys": shared_keys(service)} | _question(service, form)
    return page(request, "services/delete.html", context, status=form.status)


def address_of(service: Service, page: str = "detail") -> str:
    """Of a page of the service, or of the list it stands in."""
    place = {"region": service.instance.region.name, "ref": service.instance.ref}
    return reverse(f"{service.stem}-{page}", kwargs=place if page == "list" else place | {"name": service.name})


def _at_consumer(consumer: Consumer, service: Service) -> str:
    """The part of the consumer's page that lists services of this kind."""
    page = reverse("consumer-detail", kwargs={"region": consumer.region.name, "name": consumer.name})
    return f"{page}?show={service.kind}#authorization"


def _question(service: Service, form: Confirm | TypedName | RequireAuthentication) -> dict[str, Any]:
    return {
        "form": form,
        "service": service,
        "consumers": service.authorizations.count(),
        "size": "decision",
        "back": address_of(service),
    }
