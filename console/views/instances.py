"""Gateway instances of a region."""

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as now

from console.facts.rules import rules_of
from console.facts.services import counted, instance_rows, joining, node_rows
from console.facts.used import used_on
from console.forms.base import REPEATED
from console.forms.confirm import TypedName
from console.forms.instances import CreateInstance, UpgradeInstance
from console.middleware import allows
from console.pages import page, see_other
from console.paging import Listing
from console.requests import ConsoleRequest, posted
from gateway.delivery import Delivery
from gateway.models import Instance, Publication, Rule
from gateway.uses import within
from secrets_app.errors import AlreadyDone
from secrets_app.models import Key
from secrets_app.models.finding import KeyQuerySet


@allows("instance.view")
def list_(request: ConsoleRequest) -> HttpResponse:
    listing = Listing(request.GET, {"name": ["name"]})
    cut = listing.cut(Instance.visible_to(request.actor, request.region).matching(listing.q))
    delivery = Delivery.of(request.region)
    context = {
        "listing": listing,
        "cut": cut,
        "rows": instance_rows(cut.rows, delivery, Publication.of(request.region).seq),
        "down": not delivery.control_plane_up,
    }
    return page(request, "instances/list.html", context)


@allows("instance.create")
def create(request: ConsoleRequest) -> HttpResponse:
    form = CreateInstance(posted(request))
    if form.is_valid():
        given = form.cleaned_data
        try:
            instance = form.attempt(
                lambda: Instance.create(request.region, given["name"], given["version"], by=request.actor, once=form.token)
            )
        except AlreadyDone:
            return see_other(request, _to(request, "instance-list"), notice=REPEATED, tone="info")
        if instance:
            notice = now("Instance %(name)s was created.") % {"name": instance.name}
            return see_other(request, _to(request, "instance-detail", instance), notice=notice)
    context = {"form": form, "submit": now("Create instance"), "back": _to(request, "instance-list")}
    return page(request, "instances/create.html", context, status=form.status)


@allows("instance.view")
def detail(request: ConsoleRequest, ref: str) -> HttpResponse:
    instance = Instance.visible_to(request.actor, request.region).find(ref)
    delivery, published = Delivery.of(request.region), Publication.of(request.region).seq
    context = frame(request, instance, "overview") | {
        "effect": delivery.effect(published, [instance.pk]),
        "nodes": node_rows(instance, delivery, published),
        "services": counted([instance])[instance.pk],
        "keys": _keys_used(request, instance).count(),
        "plugins": instance.plugins.count(),
        "rules": rules_of(instance, delivery),
        "rule_count": Rule.objects.filter(plugin__instance=instance).count(),
        "down": not delivery.control_plane_up,
        "joining": joining(instance, delivery.by_instance.get(instance.pk, ()), settings.GATEWAY_PORT),
    }
    return page(request, "instances/detail.html", context)


@allows("instance.view")
def keys(request: ConsoleRequest, ref: str) -> HttpResponse:
    """The keys that its services and rules refer to."""
    instance = Instance.visible_to(request.actor, request.region).find(ref)
    listing = Listing(request.GET, {"name": ["name_folded"]})
    cut = listing.cut(_keys_used(request, instance).search(listing.q))
    context = frame(request, instance, "keys") | {
        "listing": listing,
        "cut": cut,
        "rows": used_on(instance, cut.rows, Delivery.of(request.region), request.actor),
    }
    return page(request, "instances/keys.html", context)


@allows("instance.upgrade")
def upgrade(request: ConsoleRequest, ref: str) -> HttpResponse:
    instance = Instance.visible_to(request.actor, request.region).find(ref)
    form = UpgradeInstance(posted(request), version=instance.version)
    if form.is_valid() and form.did(lambda: instance.upgrade(form.cleaned_data["version"], by=request.actor)):
        notice = now("Instance %(name)s has version %(version)s now.") % {"name": instance.name, "version": instance.version}
        return see_other(request, _to(request, "instance-detail", instance), notice=notice)
    context = {
        "form": form,
        "instance": instance,
        "submit": now("Upgrade") if instance.upgradable else "",
        "size": "decision",
        "back": _to(request, "instance-detail", instance),
    }
    return page(request, "instances/upgrade.html", context, status=form.status)


@allows("instance.delete")
def delete(request: ConsoleRequest, ref: str) -> HttpResponse:
    instance = Instance.visible_to(request.actor, request.region).find(ref)
    form = TypedName(posted(request), name=instance.name)
    if form.is_valid() and form.did(lambda: instance.delete(by=request.actor)):
        return see_other(request, _to(request, "instance-list"), notice=now("Instance %(name)s was deleted.") % {"name": instance.name})
    services, plugins = counted([instance])[instance.pk], list(instance.plugins.order_by("name").values_list("name", flat=True))
    context = {
        "form": form,
        "instance": instance,
        "services": services,
        "plugins": plugins,
        "nodes": instance.nodes.count(),
        "submit": "" if services.total or plugins else now("Delete instance"),
        "danger": True,
        "size": "decision",
        "back": _to(request, "instance-detail", instance),
    }
    return page(request, "instances/delete.html", context, status=form.status)


def _keys_used(request: ConsoleRequest, instance: Instance) -> KeyQuerySet:
    return Key.visible_to(request.actor, request.region).filter(pk__in=within(instance).values("key"))


def frame(request: ConsoleRequest, instance: Instance, tab: str) -> dict[str, Any]:
    """What stands around every page of an instance."""
    return {"instance": instance, "tab": tab, "crumbs": [(now("Instance"), _to(request, "instance-list")), (instance.name, "")]}


def _to(request: ConsoleRequest, url_name: str, instance: Instance | None = None) -> str:
    return reverse(url_name, kwargs={"region": request.region.name, **({"ref": instance.ref} if instance else {})})
