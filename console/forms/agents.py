"""Creating an Agent service and editing it. Its fields are named apart: they stand beside those of an AI service in one form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from django import forms
from django.core.exceptions import ValidationError
from django.forms import BoundField
from django.http import QueryDict
from django.utils.translation import gettext as now
from django.utils.translation import gettext_lazy as _

from console.forms.base import Asked, Entered
from console.forms.branches import Branches
from console.forms.keyed import KEY, ROW, VALUE, Address, KeyedForm, NewService, key_field, numbered, posted_rows
from gateway.agents import AGENTS, BOT_TYPES, CUSTOM_AGENT, DIFY, MODEL_STUDIO, app_of
from gateway.models import AgentService, Instance, NewAgent, NewKeys
from gateway.models.credential import CUSTOM, REFERENCE
from gateway.models.service import KEYS_A_SERVICE

PREFIX = "agent_"
APP = "app"
BEARER, HEADER = "bearer", "header"
_SHARED = ("source", "name", "once", "lock_version")


class AppRow(Asked, forms.CharField):
    pass


class Header(Asked, forms.CharField):
    pass


@dataclass(frozen=True, slots=True)
class Row:
    """One API key: of a Model Studio agent with the App ID it belongs to."""

    number: int
    app: BoundField
    value: BoundField
    key: BoundField
    stored: str = ""  # the App ID that the row came with from the database


class AgentForm(KeyedForm):
    """Its API keys are rows of App ID, value and key's name. What the chosen platform does not ask for is not read: of another than
    Model Studio, that is every row but the first, and all App IDs."""

    supplier_hints: ClassVar = {
        MODEL_STUDIO: _("A key for each App ID"),
        DIFY: _("One app and its key"),
        CUSTOM_AGENT: _("Any agent over HTTP"),
    }

    supplier = forms.ChoiceField(
        label=_("Agent platform"),
        choices=[(row.id, row.label) for row in AGENTS.values()],
        initial=MODEL_STUDIO,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose a platform.")},
    )
    bot_type = forms.ChoiceField(
        label=_("Bot type"),
        choices=[("", _("Choose a type")), *BOT_TYPES.items()],
        error_messages={"required": _("Choose what kind of Dify app it is.")},
    )
    credential = forms.ChoiceField(
        label=_("Credential source"),
        choices=[(BEARER, "Authorization: Bearer"), (HEADER, _("Custom HTTP Header"))],
        initial=BEARER,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose where the agent looks for its key.")},
    )
    header = Header(label=_("Header"), max_length=100, help_text=_("The header that carries the key, with nothing before it."))
    address = Address(
        label=_("Service address"),
        strip=False,
        max_length=500,
        help_text=_("Left empty, it is the platform's own. Callers' paths are appended to it."),
    )

    field_order: tuple[str, ...] = ("supplier", "bot_type", "credential", "header", "address", "generation")

    def __init__(self, *args: Any, instance: Instance, rows: Sequence[int] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, instance=instance, **kwargs)
        self.rows = list(rows or _posted(self.data))
        for place, row in enumerate(self.rows):
            self.fields[f"{APP}_{row}"] = AppRow(label=numbered(now("App ID"), place))
            self.fields[f"{VALUE}_{row}"] = key_field(VALUE, place, row)
            self.fields[f"{KEY}_{row}"] = key_field(KEY, place, row)

    def add_prefix(self, field_name: str) -> str:
        return field_name if field_name in _SHARED else f"{PREFIX}{field_name}"

    @classmethod
    def reshaped(cls, data: Mapping[str, Any], **kwargs: Any) -> Self:
        """The form with a row more or less, as the buttons of a page without JavaScript ask for. Values must be entered again."""
        rows = _posted(data)
        if "add_row" in data and len(rows) < KEYS_A_SERVICE:
            rows.append(max(rows) + 1)
        asked = str(data.get("remove_row", "")).removeprefix(PREFIX)
        if ROW.fullmatch(asked) and len(rows) > 1:
            rows = [one for one in rows if one != int(asked)]
        kept = {name.removeprefix(PREFIX): data[name] for name in data if name.startswith(PREFIX) or name in _SHARED}
        return cls(initial={name: kept[name] for name in kept if not name.startswith((VALUE, "once"))}, rows=rows, **kwargs)

    def branches(self) -> Branches:
        read_by_all = (f"{VALUE}_{self.rows[0]}", f"{KEY}_{self.rows[0]}")
        of_apps = tuple(name for kind in (APP, VALUE, KEY) for name in self._names(kind) if name not in read_by_all)
        return {
            "supplier": {MODEL_STUDIO: of_apps, DIFY: ("bot_type",), CUSTOM_AGENT: ("credential", "header")},
            "credential": {HEADER: ("header",)},
            "generation": {CUSTOM: self._names(VALUE), REFERENCE: self._names(KEY)},
        }

    @property
    def placeholder(self) -> str:
        """What the address is when it is left empty, or how one looks."""
        agent = AGENTS.get(str(self["supplier"].value() or ""))
        return (agent.address or agent.address_hint) if agent else "https://"

    @property
    def app_rows(self) -> list[Row]:
        return [self.app_row(row) for row in self.rows]

    def app_row(self, row: int) -> Row:
        return Row(row, self[f"{APP}_{row}"], self[f"{VALUE}_{row}"], self[f"{KEY}_{row}"])

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if given.get("credential") == HEADER and not given.get("header") and "header" not in self.errors:
            self.add_error("header", now("Enter the header's name, such as x-api-key."))
        agent, entered = AGENTS.get(given.get("supplier", "")), given.get("address")
        if agent is None or "address" in self.errors:
            return given
        if not entered and not agent.address:
            text = _("Enter the agent's address, such as %(hint)s.")
            self.add_error("address", ValidationError(text, params={"hint": agent.address_hint}))
        elif entered and entered != agent.address and (other := _owner(entered)):
            # Left over from another choice: the key would go to somebody it does not belong to.
            text = _("This is the address of %(other)s. Empty the field, or enter another.")
            self.add_error("address", ValidationError(text, params={"other": other}))
        else:
            given["address"] = entered or agent.address
        return given

    def agent(self) -> NewAgent:
        given = self.cleaned_data
        return NewAgent(given["supplier"], given["address"], given["bot_type"] or "", given["header"] or "")

    def keys(self) -> NewKeys:
        """Of apps a key each, in order, None or "" where none was given; else one, or none."""
        given, rows = self.cleaned_data, self._filled()
        apps = [given[f"{APP}_{row}"] or "" for row in rows] if self._has_apps else []
        if given["generation"] == REFERENCE:
            return NewKeys(REFERENCE, key_names=[given[f"{KEY}_{row}"] or "" for row in rows], app_ids=apps)
        entered: list[Entered | None] = [given[f"{VALUE}_{row}"] for row in rows]
        values = [one.value if one else None for one in entered]
        return NewKeys(CUSTOM, values, trimmed=any(one.trimmed for one in entered if one), app_ids=apps)

    def place(self, field: str) -> str | None:
        """The verb counts the apps or keys it was given; the form has empty rows between them."""
        kind, _underscore, number = field.rpartition("_")
        if kind not in (APP, KEY):
            return super().place(field)
        if kind == KEY and self.cleaned_data["generation"] == CUSTOM:
            kind = VALUE
        rows = self._filled() or self.rows
        return f"{kind}_{rows[min(int(number), len(rows) - 1)]}"

    @property
    def _has_apps(self) -> bool:
        return AGENTS[self.cleaned_data["supplier"]].apps

    def _filled(self) -> list[int]:
        """The rows that say anything. What the platform does not ask for is None by now."""
        given = self.cleaned_data
        return [row for row in self.rows if any(given.get(f"{kind}_{row}") for kind in (APP, VALUE, KEY))]

    def _names(self, kind: str) -> tuple[str, ...]:
        return tuple(f"{kind}_{row}" for row in self.rows)


class CreateAgent(NewService, AgentForm):
    field_order: tuple[str, ...] = ("source", "name", "supplier", "bot_type", "credential", "header", "address", "generation")

    @classmethod
    def preset(cls, asked: QueryDict, instance: Instance) -> Self:
        """The address of the platform asked for. One that is no platform's preset was typed, and stays."""
        kind, address = asked.get(f"{PREFIX}supplier", ""), asked.get(f"{PREFIX}address", "")
        agent = AGENTS.get(kind)
        if agent and (not address or _owner(address)):
            address = agent.address
        return cls(initial={"supplier": kind, "address": address}, instance=instance)

    @classmethod
    def with_new_row(cls, asked: QueryDict, instance: Instance) -> Row | None:
        """A row behind those named by `row`; None when there are as many as a service takes."""
        used = [int(row) for row in asked.getlist("row") if ROW.fullmatch(row)] or [0]
        if len(used) >= KEYS_A_SERVICE:
            return None
        return cls(rows=[*used, max(used) + 1], instance=instance).app_row(max(used) + 1)


class EditAgent(AgentForm):
    """Starts from what is stored. A value of its own stays where none is entered: of an agent with apps, that of the same App ID."""

    def __init__(self, *args: Any, service: AgentService, **kwargs: Any) -> None:
        uses = service.uses
        self.was, self.was_kind = service.generation, service.supplier
        self.was_keys = {app_of(use.path): use.key.name or "" for use in uses}
        initial = {
            "lock_version": service.lock_version,
            "supplier": service.supplier,
            "bot_type": service.bot_type,
            "credential": HEADER if service.header else BEARER,
            "header": service.header,
            "address": service.address,
            **{f"{APP}_{row}": app for row, app in enumerate(self.was_keys)},
            **{f"{KEY}_{row}": name for row, name in enumerate(self.was_keys.values())},
        }
        self.untouched = not (args and args[0]) and "rows" not in kwargs
        if self.untouched:
            kwargs["rows"] = list(range(len(uses)))
        kwargs["initial"] = initial | kwargs.get("initial", {})
        super().__init__(*args, instance=service.instance, **kwargs)
        self.initial["generation"] = kwargs["initial"].get("generation", service.generation)

    def app_row(self, row: int) -> Row:
        apps = list(self.was_keys) if self.untouched else []
        return replace(super().app_row(row), stored=apps[row] if row < len(apps) else "")

    @property
    def kept(self) -> int:
        """How many values of its own are stored."""
        return len(self.was_keys) if self.was == CUSTOM else 0

    def changed_keys(self) -> NewKeys | None:
        """None where the API keys stay as they are."""
        keys, apps = self.keys(), AGENTS[self.was_kind].apps
        if keys.generation != self.was:
            return keys
        entered = any(value is not None for value in keys.values)
        if self._has_apps != apps:
            return keys if keys.app_ids or keys.key_names or entered else None
        names = keys.app_ids if apps else [""] * len(keys.key_names or keys.values)
        if keys.generation == REFERENCE:
            same = list(zip(names, keys.key_names, strict=True)) == list(self.was_keys.items())
        else:
            same = not entered and (not apps or (len(names) == len(self.was_keys) and set(names) == set(self.was_keys)))
        return None if same else keys


def _posted(data: Mapping[str, Any]) -> list[int]:
    rows = {row for kind in (APP, VALUE, KEY) for row in posted_rows(data, f"{PREFIX}{kind}")}
    return sorted(rows)[: KEYS_A_SERVICE + 1]


def _owner(address: str) -> str:
    """Whose preset this is."""
    entered = address.rstrip("/")
    return next((str(row.label) for row in AGENTS.values() if row.address and entered == row.address), "")
