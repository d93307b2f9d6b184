"""Custom plug-ins of a region: a script, the schema of what its rules may say, and the instances that have it."""

import json

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as now

from console.facts.diff import changes
from console.facts.plugins import PHASES, fields, installations
from console.forms.base import REPEATED
from console.forms.confirm import TypedName
from console.forms.plugins import CreateCustomPlugin, EditCustomPlugin
from console.middleware import allows
from console.pages import page, see_other
from console.paging import Listing
from console.requests import ConsoleRequest, posted
from gateway.models import CustomPlugin
from secrets_app.errors import AlreadyDone


@allows("plugin.view")
def list_(request: ConsoleRequest) -> HttpResponse:
    listing = Listing(request.GET, {"name": ["name"]})
    cut = listing.cut(CustomPlugin.visible_to(request.actor, request.region).matching(listing.q).with_installations())
    rows = [(plugin, PHASES[plugin.phase]) for plugin in cut.rows]
    return page(request, "custom_plugins/list.html", {"listing": listing, "cut": cut, "rows": rows})


@allows("custom_plugin.create")
def create(request: ConsoleRequest) -> HttpResponse:
    form = CreateCustomPlugin(posted(request))
    if form.is_valid():
        name, version = form.cleaned_data["name"], form.version()
        try:
            plugin = form.attempt(lambda: CustomPlugin.create(request.region, name, **version, by=request.actor, once=form.token))
        except AlreadyDone as done:
            return see_other(request, _to(request, "detail", done.name), notice=REPEATED, tone="info")
        if plugin:
            notice = now("Custom plug-in %(name)s was created. Install it on an instance to use it.") % {"name": plugin.name}
            return see_other(request, _to(request, "detail", plugin.name), notice=notice)
    context = {"form": form, "back": _to(request, "list"), "crumbs": _crumbs(request, now("Create custom plug-in"))}
    return page(request, "custom_plugins/create.html", context, status=form.status)


@allows("plugin.view")
def detail(request: ConsoleRequest, name: str) -> HttpResponse:
    plugin = _find(request, name)
    context = {
        "plugin": plugin,
        "phase": PHASES[plugin.phase],
        "fields": fields(plugin.official),
        "installed": (installed := installations(plugin, request.actor)),
        "elsewhere": plugin.installed.count() - len(installed),
        "lines": list(enumerate(plugin.source.split("\n"), 1)),
        "schema": json.dumps(json.loads(plugin.schema), indent=2, ensure_ascii=False),
        "crumbs": _crumbs(request, plugin.name),
    }
    return page(request, "custom_plugins/detail.html", context)


@allows("custom_plugin.edit")
def edit(request: ConsoleRequest, name: str) -> HttpResponse:
    """A new version, which takes the old one's place wherever it is installed. A stale one is shown beside what is stored now."""
    plugin = _find(request, name)
    form = EditCustomPlugin(posted(request), plugin=plugin)
    if form.is_valid():
        version = form.cleaned_data["lock_version"] or 0
        if form.did(lambda: plugin.edit(**form.version(), lock_version=version, by=request.actor)):
            notice = now("Version %(number)d of %(name)s was saved.") % {"number": plugin.number, "name": plugin.name}
            return see_other(request, _to(request, "detail", name), notice=notice)
        if form.current:
            form.resume(_find(request, name).lock_version)
    now_stored = form.current
    context = {
        "form": form,
        "plugin": plugin,
        "next": plugin.number + 1,
        "installed": installations(plugin, request.actor),
        "changes": changes(now_stored["source"], form.cleaned_data["source"]) if now_stored else [],
        "schema_changes": changes(now_stored["schema"], form.cleaned_data["schema"]) if now_stored else [],
        "back": _to(request, "detail", name),
        "crumbs": _crumbs(request, plugin.name, now("New version")),
    }
    return page(request, "custom_plugins/edit.html", context, status=form.status)


@allows("custom_plugin.delete")
def delete(request: ConsoleRequest, name: str) -> HttpResponse:
    """While it is installed: where, in place of the question, and 409 to whoever posts an answer to it."""
    plugin = _find(request, name)
    form = TypedName(posted(request), name=plugin.name)
    if form.is_valid() and form.did(lambda: plugin.delete(by=request.actor)):
        return see_other(request, _to(request, "list"), notice=now("Custom plug-in %(name)s was deleted.") % {"name": plugin.name})
    installed = installations(plugin, request.actor)
    context = {
        "form": form,
        "plugin": plugin,
        "installed": installed,
        "submit": "" if installed else now("Delete plug-in"),
        "danger": True,
        "size": "decision",
        "back": _to(request, "detail", name),
    }
    return page(request, "custom_plugins/delete.html", context, status=form.status)


def _find(request: ConsoleRequest, name: str) -> CustomPlugin:
    return CustomPlugin.visible_to(request.actor, request.region).find(name)


def _crumbs(request: ConsoleRequest, *steps: str) -> list[tuple[str, str]]:
    """Each step but the last leads back."""
    way = [(now("Plug-in"), _to(request, "list"))]
    way += [(step, _to(request, "detail", step)) for step in steps[:-1]]
    return [*way, (steps[-1], "")]


def _to(request: ConsoleRequest, page_: str, name: str = "") -> str:
    return reverse(f"custom-plugin-{page_}", kwargs={"region": request.region.name} | ({"name": name} if name else {}))
