"""Plug-ins of an instance: the catalogue, installing, and the page of one with its rules."""

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as now

from console.facts.plugins import OF_INSTANCE, Entry, catalogue, entry, fields, place_of
from console.facts.rules import rule_rows
from console.forms.base import REPEATED
from console.forms.confirm import Confirm, TypedName
from console.middleware import allows
from console.pages import page, see_other
from console.paging import Listing
from console.requests import ConsoleRequest, posted
from console.views.instances import frame
from gateway.delivery import Delivery
from gateway.models import Instance, Plugin, Rule
from gateway.plugins.base import INSTANCE, SERVICE
from secrets_app.errors import AlreadyDone


@allows("plugin.view")
def list_(request: ConsoleRequest, ref: str) -> HttpResponse:
    instance = instance_of(request, ref)
    listing = Listing(request.GET, {"name": ["name"]}, filters=("installed",))
    entries = [one for one in catalogue(instance) if one.matches(listing.q) and (one.installed or listing.show != "installed")]
    cut = listing.cut_list(entries, lambda one: one.official.name)
    return page(request, "plugins/list.html", frame(request, instance, "plugins") | {"listing": listing, "cut": cut, "entries": cut.rows})


@allows("plugin.view")
def detail(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    instance = instance_of(request, ref)
    found, delivery = entry(instance, name), Delivery.of(request.region)
    listing = Listing(request.GET, {"name": ["name"]})
    rules = Rule.objects.filter(plugin=found.installed).select_related("service") if found.installed else Rule.objects.none()
    cut = listing.cut(rules.filter(name__icontains=listing.q))
    context = {
        "entry": found,
        "instance": instance,
        "listing": listing,
        "cut": cut,
        "rows": rule_rows(cut.rows, instance, delivery),
        "down": not delivery.control_plane_up,
        "fields": fields(found.official),
        "places": _places(found),
        "crumbs": crumbs(request, instance, name),
    }
    return page(request, "plugins/detail.html", context)


@allows("rule.write")
def place(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    """Where a rule is to go: a panel of links."""
    instance = instance_of(request, ref)
    plugin = Plugin.visible_to(request.actor, instance).find(name)
    listing = Listing(request.GET, {"name": ["name", "pk"]})
    free = instance.services.exclude(rules__plugin=plugin) if SERVICE in plugin.official.levels else instance.services.none()
    cut = listing.cut(free.filter(name__icontains=listing.q))
    context = {
        "plugin": plugin,
        "instance": instance,
        "listing": listing,
        "cut": cut,
        "services": [(service, place_of(service)) for service in cut.rows],
        "size": "narrow",
        "back": _detail(request, ref, name),
    }
    return page(request, "plugins/place.html", context)


@allows("plugin.install")
def install(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    instance = instance_of(request, ref)
    found = entry(instance, name)
    form = Confirm(posted(request))
    if form.is_valid():
        try:
            installed = form.attempt(lambda: Plugin.install(instance, name, by=request.actor, once=form.token))
        except AlreadyDone:
            return see_other(request, _detail(request, ref, name), notice=REPEATED, tone="info")
        if installed:
            notice = now("Plug-in %(name)s was installed. It does nothing until a rule of it is enabled.") % {"name": name}
            return see_other(request, _detail(request, ref, name), notice=notice)
    context = {"form": form, "entry": found, "instance": instance, "submit": now("Install"), "size": "decision"}
    return page(request, "plugins/install.html", context | {"back": _detail(request, ref, name)}, status=form.status)


@allows("plugin.uninstall")
def uninstall(request: ConsoleRequest, ref: str, name: str) -> HttpResponse:
    instance = instance_of(request, ref)
    plugin = Plugin.visible_to(request.actor, instance).find(name)
    form = TypedName(posted(request), name=name)
    if form.is_valid() and form.did(lambda: plugin.uninstall(by=request.actor)):
        to = reverse("plugin-list", kwargs={"region": request.region.name, "ref": ref})
        return see_other(request, to, notice=now("Plug-in %(name)s was uninstalled.") % {"name": name})
    rules = plugin.rules.count()
    context = {
        "form": form,
        "plugin": plugin,
        "rules": rules,
        "enabled": plugin.rules.filter(enabled=True).count(),
        "submit": now("Uninstall"),
        "danger": True,
        "size": "decision",
        "back": _detail(request, ref, name),
    }
    return page(request, "plugins/uninstall.html", context, status=form.status)


def instance_of(request: ConsoleRequest, ref: str) -> Instance:
    return Instance.visible_to(request.actor, request.region).find(ref)


def crumbs(request: ConsoleRequest, instance: Instance, name: str, rule: str = "") -> list[tuple[str, str]]:
    region, ref = request.region.name, instance.ref
    way = [
        (now("Instance"), reverse("instance-list", kwargs={"region": region})),
        (instance.name, reverse("instance-detail", kwargs={"region": region, "ref": ref})),
        (now("Plug-in"), reverse("plugin-list", kwargs={"region": region, "ref": ref})),
        (name, _detail(request, ref, name) if rule else ""),
    ]
    return [*way, (rule, "")] if rule else way


def _places(found: Entry) -> dict[str, bool]:
    """Which levels a rule could still be added at."""
    plugin, levels = found.installed, found.official.levels
    return {
        OF_INSTANCE: INSTANCE in levels and plugin is not None and not plugin.rules.filter(service=None).exists(),
        "services": SERVICE in levels,
    }


def _detail(request: ConsoleRequest, ref: str, name: str) -> str:
    return reverse("plugin-detail", kwargs={"region": request.region.name, "ref": ref, "name": name})
