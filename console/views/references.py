"""The references of a key: who holds them, a new one, and all of them moved to another key."""

from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as now
from django.utils.translation import ngettext

from console.facts.moving import Told
from console.facts.places import Places
from console.forms.base import REPEATED
from console.forms.moving import CHOOSE, MOVE, MoveKey
from console.middleware import allows
from console.pages import page, see_other
from console.requests import ConsoleRequest, posted
from gateway import moving
from gateway.delivery import Delivery
from gateway.models import Consumer, Instance
from gateway.models.credential import find_key_to_bind
from gateway.moving import Plan
from gateway.uses import Census
from secrets_app.errors import AlreadyDone
from secrets_app.models import Key
from secrets_app.models.finding import CONSUMER, INBOUND, OUTBOUND

INSTANCES = 50  # offered to choose from
SEARCHABLE = 10  # holders; more are searched


@allows("key.view")
def references(request: ConsoleRequest, name: str) -> HttpResponse:
    key = _find(request, name)
    census = Census.of(key)
    typed = request.GET.get("q", "").strip()[:64]
    groups = Places(key, Delivery.of(request.region), request.actor).groups(census, typed=typed, address=request.GET)
    context = {
        "key": key,
        "census": census,
        "groups": groups,
        "found": sum(group.total for group in groups),
        "typed": typed,
        "searchable": census.total > SEARCHABLE,
        "back": _to(request, "key-detail", name),
        "size": "narrow",
    }
    return page(request, "keys/references.html", context)


@allows("service.create")
def use(request: ConsoleRequest, name: str) -> HttpResponse:
    """On the way to a service that refers to this key: on which instance. Where there is one, that is no question."""
    key = _find(request, name)
    instances = Instance.visible_to(request.actor, request.region).taking_references().order_by("name")[: INSTANCES + 1]
    doors = [(instance, _service_form(request, instance, key)) for instance in instances]
    if len(doors) == 1:
        return redirect(doors[0][1])
    context = {"key": key, "doors": doors[:INSTANCES], "more": len(doors) > INSTANCES, "back": _to(request, "key-detail", key.name)}
    return page(request, "keys/use.html", context | {"size": "narrow"})


@allows("key.move")
def move(request: ConsoleRequest, name: str) -> HttpResponse:
    """Which key; then everything that would change; then the deed. What is confirmed is what was shown."""
    key = _find(request, name)
    form = MoveKey(posted(request))
    plan = form.attempt(lambda: _plan(request, key, form)) if form.is_valid() and form.step != CHOOSE else None
    if plan and form.step == MOVE:
        target = plan.target
        try:
            moved = form.attempt(lambda: _move(request, key, form, target))
        except AlreadyDone:
            return see_other(request, _to(request, "key-detail", target.audit_name), notice=REPEATED, tone="info")
        if moved:
            return see_other(request, _to(request, "key-detail", target.audit_name), notice=_said(key, moved))
        plan = form.attempt(lambda: _plan(request, key, form))
    census = Census.of(key)
    context = {
        "key": key,
        "form": form,
        "plan": plan,
        "told": Told.of(plan, request.actor) if plan else None,
        "census": census,
        "use": CONSUMER if Consumer.audit_kind in census.inbound else INBOUND if census.inbound else OUTBOUND,
        "back": _to(request, "key-detail", name),
        "crumbs": [(now("Key"), _to(request, "key-list")), (key.name, _to(request, "key-detail", name)), (now("Move"), "")],
    }
    if plan:
        form.show(plan)
    return page(request, "keys/move.html", context, status=form.status)


def _plan(request: ConsoleRequest, key: Key, form: MoveKey) -> Plan:
    return moving.plan(key, find_key_to_bind(request.region, form.cleaned_data["to"].strip(), request.actor), by=request.actor)


def _move(request: ConsoleRequest, key: Key, form: MoveKey, target: Key) -> int:
    return moving.move(key, target, seen=form.cleaned_data["seen"], by=request.actor, once=form.token)


def _said(key: Key, moved: int) -> str:
    text = ngettext("%(n)d holder of %(was)s refers to this key now.", "%(n)d holders of %(was)s refer to this key now.", moved)
    return text % {"n": moved, "was": key.name}


def _find(request: ConsoleRequest, name: str) -> Key:
    return Key.visible_to(request.actor, request.region).select_related("region").find(name)


def _service_form(request: ConsoleRequest, instance: Instance, key: Key) -> str:
    address = reverse("service-create", kwargs={"region": request.region.name, "ref": instance.ref})
    return f"{address}?{urlencode({'key': key.name})}"


def _to(request: ConsoleRequest, url_name: str, name: str | None = None) -> str:
    return reverse(url_name, kwargs={"region": request.region.name} | ({"name": name} if name else {}))
