"""Authorizing a consumer from its own side: an instance, then the services there that it may call."""

from urllib.parse import urlencode

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as now

from console.facts.grants import KINDS, services_of
from console.forms.picks import AuthorizeServices
from console.middleware import allows
from console.pages import page, see_other
from console.requests import ConsoleRequest, posted
from console.views.callers import CANDIDATES
from gateway.grants import authorize_on
from gateway.models import Consumer, Instance
from gateway.models.service import MCP


@allows("service.authorize")
def authorize(request: ConsoleRequest, name: str, kind: str) -> HttpResponse:
    return _authorize(request, name, kind)


@allows("mcp.authorize")
def authorize_mcp(request: ConsoleRequest, name: str) -> HttpResponse:
    return _authorize(request, name, MCP)


def _authorize(request: ConsoleRequest, name: str, kind: str) -> HttpResponse:
    consumer = Consumer.visible_to(request.actor, request.region).find(name)
    instances = Instance.visible_to(request.actor, request.region).order_by("name")
    form = AuthorizeServices(posted(request), instances=instances, asked=request.GET.get("instance", ""))
    services = services_of(kind, request.actor, form.chosen)
    free = services.exclude(authorizations__consumer=consumer)
    back = reverse("consumer-detail", kwargs={"region": request.region.name, "name": name}) + f"?show={kind}#authorization"
    if "search" not in request.POST and form.is_valid():
        names = form.names(free)
        if form.did(lambda: authorize_on(consumer, services, names, by=request.actor)):
            return see_other(request, back, notice=now("%(name)s may call %(services)s.") % {"name": name, "services": _few(names)})
    found = list(free.matching(form.typed).exclude(name__in=form.ticked).order_by("name")[: CANDIDATES + 1])
    context = {
        "form": form,
        "consumer": consumer,
        "kind": kind,
        "holder": KINDS[kind].audit_kind,
        "instance": form.chosen,
        "ticked": free.filter(name__in=form.ticked).order_by("name"),
        "found": found[:CANDIDATES],
        "more": len(found) > CANDIDATES,
        "submit": now("Authorize") if form.chosen else "",
        "back": back,
    }
    return page(request, "consumers/authorize.html", context, status=form.status)


def authorize_address(consumer: Consumer, kind: str, instance: str = "") -> str:
    """Of the panel that lets this consumer call services of this kind, with the instance chosen if one is given."""
    place = {"region": consumer.region.name, "name": consumer.name}
    panel = reverse("consumer-authorize-mcp", kwargs=place) if kind == MCP else reverse("consumer-authorize", kwargs=place | {"kind": kind})
    return panel + (f"?{urlencode({'instance': instance})}" if instance else "")


def _few(names: list[str]) -> str:
    more = len(names) - 3
    return ", ".join(names[:3]) + (now(" and %(n)d more") % {"n": more} if more > 0 else "")
