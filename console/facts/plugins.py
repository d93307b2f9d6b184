"""What the pages of plug-ins and their rules show, as values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Count, Q
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from gateway.delivery import Delivery, Effect
from gateway.holders import Holder
from gateway.models import CustomPlugin, Instance, Plugin, Problem, Rule, Service
from gateway.models.service import MCP
from gateway.plugins import CATALOGUE
from gateway.plugins.base import Official, Secret
from gateway.plugins.document import read
from gateway.plugins.paths import written
from gateway.plugins.review import Mention
from secrets_app.errors import NotFound
from secrets_app.models import Key, Reference, Region

USES_SHOWN = 100  # references beside a text
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


def installations(plugin: CustomPlugin) -> list[Installed]:
    """By instance. Two queries."""
    numbers = plugin.installed.values_list("pk").annotate(every=Count("rules"), on=Count("rules", filter=Q(rules__enabled=True)))
    counted = {pk: (every, enabled) for pk, every, enabled in numbers.order_by()}
    return [Installed(one, *counted.get(one.pk, (0, 0))) for one in plugin.installed.select_related("instance").order_by("instance__name")]


# ── Rules ──


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One line of a plug-in's rules."""

    rule: Rule
    place: str
    keys: list[Key]
    problems: int
    effect: Effect


def rule_rows(rules: Sequence[Rule], instance: Instance, delivery: Delivery) -> list[RuleRow]:
    """Two queries, however many there are."""
    ids = [rule.pk for rule in rules]
    held: dict[int, dict[UUID, Key]] = {pk: {} for pk in ids}
    for reference in Reference.objects.filter(holder_kind=Rule.audit_kind, holder_id__in=ids).select_related("key").order_by("pk"):
        held[reference.holder_id][reference.key_id] = reference.key
    failing = Problem.objects.filter(holder_kind=Rule.audit_kind, holder_id__in=ids).order_by().values_list("holder_id")
    problems = dict(failing.annotate(Count("pk")))
    return [
        RuleRow(
            rule,
            place_of(rule.service),
            keys := list(held[rule.pk].values()),
            problems.get(rule.pk, 0),
            delivery.effect(max([rule.changed_seq, *(key.changed_seq for key in keys)]), [instance.pk]),
        )
        for rule in rules
    ]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a text. `at`: what the address asks for stands here."""

    number: int
    text: str
    at: bool = False


@dataclass(frozen=True, slots=True)
class RuleFacts:
    row: RuleRow
    lines: list[Line]
    uses: "Uses"
    down: bool

    @classmethod
    def of(cls, rule: Rule, instance: Instance, at: str) -> Self:
        """`at` is the path of a field, or a line. Eight queries."""
        delivery = Delivery.of(instance.region)
        row = rule_rows([rule], instance, delivery)[0]
        reasons = dict(Problem.objects.filter(holder_kind=Rule.audit_kind, holder_id=rule.pk).values_list("path", "reason"))
        known = {key.name_folded: key for key in row.keys}
        document = read(rule.text)
        uses = []
        for placed in document.refs:
            path, key = written(placed.path), known.get(placed.ref.name.lower())
            uses.append(Use(placed.ref.name, path, placed.mark.line, placed.mark.column, key, at == path, reasons.get(path, "")))
        here = document.find(at)
        lines = [Line(number, text, here is not None and number == here.line) for number, text in enumerate(rule.text.split("\n"), 1)]
        return cls(row, lines, Uses.of(uses), not delivery.control_plane_up)

    @property
    def moving(self) -> bool:
        effect = self.row.effect
        return effect.total > 0 and not effect.everywhere and not self.down


@dataclass(frozen=True, slots=True)
class Use:
    """A reference in a text, for the list beside it."""

    name: str
    path: str
    line: int
    column: int
    key: Key | None
    here: bool = False
    reason: str = ""  # why it is not served, as in Problem

    @property
    def quiet(self) -> bool:
        return self.key is not None and self.key.enabled and not self.here and not self.reason

    @classmethod
    def of(cls, mention: Mention, at: str = "") -> Self:
        return cls(mention.name, mention.path, mention.line, mention.column, mention.key, bool(at) and at == mention.path)


@dataclass(frozen=True, slots=True)
class Uses:
    """The references of a text, as many as help: a text may have 2,000. Those that need attention or were asked for come first."""

    shown: list[Use]
    total: int

    @classmethod
    def of(cls, uses: list[Use]) -> Self:
        first = sorted(uses, key=lambda use: use.quiet)[:USES_SHOWN]
        return cls(sorted(first, key=lambda use: (use.line, use.column)), len(uses))

    @property
    def more(self) -> int:
        return self.total - len(self.shown)


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
