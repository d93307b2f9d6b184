"""What the pages of plug-ins and their rules show, as values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Q
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from gateway.holders import Holder
from gateway.models import CustomPlugin, Instance, Plugin, Service
from gateway.models.service import MCP
from gateway.plugins import CATALOGUE
from gateway.plugins.base import Official, Secret
from secrets_app.actor import Actor
from secrets_app.errors import NotFound
from secrets_app.models import Region

OF_INSTANCE = "instance"  # the place of the rule that is for every service

PHASES: dict[str, Promise] = {
    "authentication": _("Authentication"),
    "authorization": _("Authorization"),
    "statistics": _("Statistics"),
    "default": _("Default"),
}
_TYPES: dict[str, Promise] = {
    "object": _("group of fields"),
    "array": _("list"),
    "string": _("text"),
    "integer": _("whole number"),
    "number": _("number"),
    "boolean": _("true or false"),
}


# ── Places ──


def place_of(service: Service | None) -> str:
    """Of a rule, as its address has it: an MCP service may bear the name of another service."""
    return written_place(service.kind, service.name) if service else OF_INSTANCE


def written_place(kind: str | None, name: str | None) -> str:
    return f"{'mcp' if kind == MCP else 'services'}/{name}" if name else OF_INSTANCE


def service_at(instance: Instance, place: str) -> Service | None:
    """None is the instance itself. Raises NotFound."""
    if place == OF_INSTANCE:
        return None
    sort, _slash, name = place.partition("/")
    of_sort = Q(kind=MCP) if sort == "mcp" else ~Q(kind=MCP)
    if (service := instance.services.filter(of_sort, name=name).first()) is None:
        raise NotFound()
    return service


def rule_page(region: Region, ref: str, plugin: str, place: str, page: str = "rule-detail") -> str:
    return reverse(page, kwargs={"region": region.name, "ref": ref, "name": plugin, "place": place})


def rule_line(region: Region, holder: Holder, page: str = "rule-detail") -> str:
    """Of a use that a rule makes of a key: the rule, at the line where it does. Without a path, the rule."""
    url = rule_page(region, holder.instance_ref, holder.plugin, written_place(holder.service_kind, holder.service), page)
    return f"{url}?{urlencode({'at': holder.path})}#at" if holder.path else url


# ── The catalogue ──


@dataclass(frozen=True, slots=True)
class Entry:
    """A plug-in that the instance has or could have."""

    official: Official
    installed: Plugin | None
    custom: bool
    rules: int = 0
    enabled: int = 0

    @property
    def phase(self) -> Promise:
        return PHASES[self.official.phase]

    def matches(self, typed: str) -> bool:
        said = f"{self.official.name} {self.official.title} {self.official.summary}"
        return typed.lower() in said.lower()


def catalogue(instance: Instance) -> list[Entry]:
    """In the order in which a request meets them. Three queries."""
    installed = {plugin.name: plugin for plugin in instance.plugins.select_related("custom")}
    counted = instance.plugins.values_list("name").annotate(every=Count("rules"), on=Count("rules", filter=Q(rules__enabled=True)))
    rules = {name: (count, enabled) for name, count, enabled in counted.order_by()}
    officials = [(official, False) for official in CATALOGUE.values()]
    officials += [(custom.official, True) for custom in CustomPlugin.objects.filter(region_id=instance.region_id)]
    return [
        Entry(official, installed.get(official.name), custom, *rules.get(official.name, (0, 0)))
        for official, custom in sorted(officials, key=lambda one: one[0].order)
    ]


def entry(instance: Instance, name: str) -> Entry:
    """Raises NotFound for what is neither in the catalogue nor a custom plug-in of the region. Two queries."""
    custom = None if name in CATALOGUE else CustomPlugin.objects.filter(region_id=instance.region_id, name=name).first()
    if name not in CATALOGUE and custom is None:
        raise NotFound()
    installed = instance.plugins.filter(name=name).select_related("custom").first()
    return Entry(custom.official if custom else CATALOGUE[name], installed, custom is not None)


@dataclass(frozen=True, slots=True)
class Installed:
    """Where a custom plug-in is in use."""

    plugin: Plugin
    rules: int
    enabled: int


def installations(plugin: CustomPlugin, actor: Actor) -> list[Installed]:
    """By instance, those that the actor may see. Two queries."""
    numbers = plugin.installed.values_list("pk").annotate(every=Count("rules"), on=Count("rules", filter=Q(rules__enabled=True)))
    counted = {pk: (every, enabled) for pk, every, enabled in numbers.order_by()}
    seen = plugin.installed.filter(instance__in=Instance.visible_to(actor, plugin.region)).select_related("instance")
    return [Installed(one, *counted.get(one.pk, (0, 0))) for one in seen.order_by("instance__name")]


# ── What may stand in a rule ──


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a schema, for the table beside an editor."""

    path: str
    type: str
    description: str
    default: str
    choices: list[str]
    required: bool
    secret: Secret | None
    no_secret: str  # why it takes no reference, though it looks as if it would


def inbound_only(official: Official) -> bool:
    """Whether all keys that a rule refers to are such as callers present: only long ones are."""
    return bool(official.secret_fields) and all(secret.inbound for secret in official.secret_fields.values())


def fields(official: Official) -> list[Field]:
    return list(_fields(official.schema, "", official))


def _fields(schema: Mapping[str, Any], above: str, official: Official) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, of in schema.get("properties", {}).items():
        path = f"{above}.{name}" if above else name
        items = of.get("items", {}) if of.get("type") == "array" else {}
        yield Field(
            path=path,
            type=str(_TYPES.get(of.get("type", ""), "")),
            description=str(of.get("description", "")),
            default=_said(of["default"]) if "default" in of else "",
            choices=[_said(one) for one in of.get("enum", items.get("enum", ()))],
            required=name in required,
            secret=official.secret_fields.get(path) or official.secret_fields.get(f"{path}[*]") or official.secret_fields.get(f"{path}.*"),
            no_secret=str(official.no_secret.get(path, "")),
        )
        yield from _fields(items, f"{path}[*]", official)
        if of.get("type") == "object":
            yield from _fields(of, path, official)


def _said(value: Any) -> str:
    """As YAML has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
