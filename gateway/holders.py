"""Holders of keys, told to people: from reference rows to names, places and instances. One row in KINDS per kind of holder."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet, UUIDField, Value
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from gateway.agents import app_of
from gateway.models import AgentService, AiService, Consumer, McpService, Rule, Service
from secrets_app.models import Key, Reference
from secrets_app.scope import Scope


@dataclass(frozen=True, slots=True)
class Kind:
    """`view` and `edit` are the permissions to open a holder of this kind, and to give it another key. `columns` are Described's fields
    as values_list takes them from the holders' table."""

    one: Promise
    many: Promise
    place: Promise
    view: str
    edit: str
    model: type[Consumer] | type[Service] | type[Rule]
    columns: tuple[Any, ...]

    @property
    def rows(self) -> QuerySet[Any]:
        return self.model._default_manager.all()

    def among(self, rows: QuerySet[Any], instances: Collection[UUID] | None) -> QuerySet[Any]:
        """Those of these instances, of all with None; what belongs to a whole region is of every one."""
        column = self.columns[1]
        return rows if instances is None or not isinstance(column, str) else rows.filter(**{f"{column}__in": instances})

    def describe(self, ids: Collection[int]) -> dict[int, "Described"]:
        """One query. A holder that has gone is left out."""
        return {pk: Described(*row) for pk, *row in self.rows.filter(pk__in=ids).values_list("pk", *self.columns)}


@dataclass(frozen=True, slots=True)
class Described:
    """What the row of a holder says. The instance is empty for what belongs to a whole region."""

    name: str
    instance_id: UUID | None
    instance_ref: str
    instance_name: str
    enabled: bool
    changed_seq: int
    service: str | None = None  # of a plug-in's rule, the service that it is for
    service_kind: str | None = None
    plugin: str = ""


@dataclass(frozen=True, slots=True)
class Holder:
    """One use of a key, as the Referenced drawer shows it."""

    kind: str
    id: int
    name: str
    place: str
    path: str
    instance_id: UUID | None
    instance_ref: str
    instance_name: str
    enabled: bool
    changed_seq: int
    inbound: bool
    service: str | None = None
    service_kind: str | None = None
    plugin: str = ""

    def scope_in(self, region: UUID) -> Scope:
        return Scope(region, self.instance_id)


_NOWHERE = (Value(None, output_field=UUIDField()), Value(""), Value(""))

_OF_RULE = (
    "name",
    "plugin__instance_id",
    "plugin__instance__ref",
    "plugin__instance__name",
    "enabled",
    "changed_seq",
    "service__name",
    "service__kind",
    "plugin__name",
)
_OF_SERVICE = ("name", "instance_id", "instance__ref", "instance__name", Value(True), "changed_seq")

KINDS: dict[str, Kind] = {
    "consumer": Kind(
        _("Consumer"),
        _("Consumers"),
        _("Authentication method › Bind Key"),
        "consumer.view",
        "consumer.edit_credential",
        Consumer,
        ("name", *_NOWHERE, "enabled", "changed_seq"),
    ),
    "ai_service": Kind(
        _("AI service"), _("AI services"), _("Large Model Configuration › API Key"), "service.view", "service.edit", AiService, _OF_SERVICE
    ),
    "agent_service": Kind(_("Agent service"), _("Agent services"), _("API Key"), "service.view", "service.edit", AgentService, _OF_SERVICE),
    "mcp_service": Kind(
        _("MCP service"),
        _("MCP services"),
        _("Backend authentication"),
        "mcp.view",
        "mcp.configure_backend_auth",
        McpService,
        _OF_SERVICE,
    ),
    "plugin": Kind(_("Plug-in"), _("Plug-ins"), _("Rule"), "plugin.view", "rule.write", Rule, _OF_RULE),
}


def describe(references: Iterable[Reference]) -> list[Holder]:
    """In the order given. One query per kind that occurs. A holder that has gone meanwhile is left out."""
    references = list(references)
    ids: dict[str, set[int]] = {}
    for reference in references:
        ids.setdefault(reference.holder_kind, set()).add(reference.holder_id)
    named = {kind: KINDS[kind].describe(of_kind) for kind, of_kind in ids.items()}
    return [_holder(reference, found) for reference in references if (found := named[reference.holder_kind].get(reference.holder_id))]


def _holder(reference: Reference, found: Described) -> Holder:
    return Holder(
        kind=reference.holder_kind,
        id=reference.holder_id,
        name=found.name,
        place=_place(reference, found),
        path=reference.path,
        instance_id=found.instance_id,
        instance_ref=found.instance_ref,
        instance_name=found.instance_name,
        enabled=found.enabled,
        changed_seq=found.changed_seq,
        inbound=reference.inbound,
        service=found.service,
        service_kind=found.service_kind,
        plugin=found.plugin,
    )


def senders(key: Key) -> int:
    """How many holders show this key to a back end: whoever else is given it could go there directly."""
    return senders_of([key]).get(key.pk, 0)


def senders_of(keys: Collection[Key]) -> dict[UUID, int]:
    """By key, of those that any holder shows to a back end. One query."""
    counted = Reference.objects.filter(key__in=keys, inbound=False).order_by().values_list("key_id", "holder_kind")
    found: dict[UUID, int] = {}
    for key_id, _kind, count in counted.annotate(Count("holder_id", distinct=True)):
        found[key_id] = found.get(key_id, 0) + count
    return found


def _place(reference: Reference, holder: Described) -> str:
    if reference.holder_kind == Rule.audit_kind:
        of = _("Rule of %(service)s") % {"service": holder.service} if holder.service else _("Rule of the instance")
        return f"{of} › {reference.path}"
    place = str(KINDS[reference.holder_kind].place)
    if app := app_of(reference.path):
        return f"{place} ({app})"
    number = re.search(r"(?:api_keys|credentials)\[(\d+)]", reference.path)
    return f"{place} {int(number[1]) + 1}" if number and number[1] != "0" else place
