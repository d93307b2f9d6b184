"""Creating an AI service, and editing it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Self

from django import forms
from django.core.exceptions import ValidationError
from django.forms import BoundField
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from console.forms.base import Entered
from console.forms.branches import Branches
from console.forms.keyed import KEY, ROW, VALUE, Address, KeyedForm, NewService, key_field, posted_rows
from gateway.models import AiService, Instance, NewKeys
from gateway.models.ai_service import NO_KEY
from gateway.models.credential import CUSTOM, REFERENCE
from gateway.models.service import KEYS_A_SERVICE
from gateway.providers import NATIVE, OPENAI, SUPPLIERS

PROTOCOLS = ((OPENAI, "OpenAI/v1"), (NATIVE, _("The supplier's own")))


class ServiceForm(KeyedForm):
    """The Large Model Configuration. Its API keys are rows: as many as were posted, one at first; an empty row counts as none."""

    supplier = forms.ChoiceField(
        label=_("Large model supplier"),
        choices=[("", _("Choose a supplier")), *((row.id, row.label) for row in SUPPLIERS.values())],
        error_messages={"required": _("Choose a supplier.")},
    )
    protocol = forms.ChoiceField(
        label=_("Model protocol"), choices=PROTOCOLS, initial=OPENAI, error_messages={"required": _("Choose a protocol.")}
    )
    address = Address(
        label=_("Service address"),
        strip=False,
        max_length=500,
        help_text=_("Left empty, it is the supplier's own. Callers' paths are appended to it."),
    )
    field_order: tuple[str, ...] = ("supplier", "protocol", "address", "generation")

    def __init__(self, *args: Any, instance: Instance, rows: Mapping[str, Iterable[int]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, instance=instance, **kwargs)
        self.rows = rows or {kind: posted_rows(self.data, kind) for kind in (VALUE, KEY)}
        for kind in (VALUE, KEY):
            for place, row in enumerate(self.rows[kind]):
                self.fields[f"{kind}_{row}"] = key_field(kind, place, row)

    @classmethod
    def reshaped(cls, data: Mapping[str, Any], **kwargs: Any) -> Self:
        """The form with a row more or less, as the buttons of a page without JavaScript ask for. Values must be entered again."""
        rows = {kind: posted_rows(data, kind) for kind in (VALUE, KEY)}
        if (kind := data.get("add_row")) in rows and len(rows[kind]) < KEYS_A_SERVICE:
            rows[kind].append(max(rows[kind]) + 1)
        kind, _underscore, row = str(data.get("remove_row", "")).partition("_")
        if kind in rows and ROW.fullmatch(row) and len(rows[kind]) > 1:
            rows[kind] = [one for one in rows[kind] if one != int(row)]
        return cls(initial={name: data[name] for name in data if not name.startswith((VALUE, "once"))}, rows=rows, **kwargs)

    def branches(self) -> Branches:
        return {"generation": {CUSTOM: self._names(VALUE), REFERENCE: self._names(KEY)}}

    @property
    def placeholder(self) -> str:
        """What the address is when it is left empty, or how it looks where everybody has one of their own."""
        supplier = SUPPLIERS.get(str(self["supplier"].value() or ""))
        return (supplier.address_for(str(self["protocol"].value())) or supplier.address_hint) if supplier else "https://"

    @property
    def value_rows(self) -> list[BoundField]:
        return [self[name] for name in self._names(VALUE)]

    @property
    def key_rows(self) -> list[BoundField]:
        return [self[name] for name in self._names(KEY)]

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        supplier, entered = SUPPLIERS.get(given.get("supplier", "")), given.get("address")
        if supplier is None or "address" in self.errors:
            return given
        preset = supplier.address_for(given.get("protocol", OPENAI))
        if not entered and not preset:
            text = _("%(supplier)s has no address of its own. Enter yours, such as %(hint)s.")
            self.add_error("address", ValidationError(text, params={"supplier": supplier.label, "hint": supplier.address_hint}))
        elif entered and preset and entered != preset and (other := _owner(entered)):
            # Left over from another choice: the key would go to somebody it does not belong to.
            text = _("This is the address of %(other)s. Empty the field for the address of %(supplier)s, or enter another.")
            self.add_error("address", ValidationError(text, params={"other": other, "supplier": supplier.label}))
        else:
            given["address"] = entered or preset
        return given

    def keys(self) -> NewKeys:
        given = self.cleaned_data
        names = self._filled()
        if given["generation"] == REFERENCE:
            return NewKeys(REFERENCE, key_names=[given[name] for name in names])
        entered: list[Entered] = [given[name] for name in names]
        return NewKeys(CUSTOM, [one.value for one in entered], trimmed=any(one.trimmed for one in entered))

    def place(self, field: str) -> str | None:
        """The verb counts the keys it was given; the form has empty rows between them."""
        if not (found := re.fullmatch(r"key_(\d+)", field)):
            return super().place(field)
        filled = self._filled() or self._names(VALUE if self.cleaned_data["generation"] == CUSTOM else KEY)
        return filled[min(int(found[1]), len(filled) - 1)]

    def _filled(self) -> list[str]:
        names = self._names(VALUE if self.cleaned_data["generation"] == CUSTOM else KEY)
        return [name for name in names if self.cleaned_data.get(name)]

    def _names(self, kind: str) -> tuple[str, ...]:
        return tuple(f"{kind}_{row}" for row in self.rows[kind])


class CreateService(NewService, ServiceForm):
    field_order: tuple[str, ...] = ("source", "name", "supplier", "protocol", "address", "generation")

    @classmethod
    def preset(cls, asked: QueryDict, instance: Instance) -> Self:
        """Protocols and address of the supplier asked for. An address that is no supplier's preset was typed, and stays."""
        supplier = SUPPLIERS.get(asked.get("supplier", ""))
        protocol, address = asked.get("protocol", OPENAI), asked.get("address", "")
        if supplier:
            protocol = protocol if protocol in supplier.protocols else next(iter(supplier.protocols))
            address = supplier.address_for(protocol) if not address or _owner(address) else address
        form = cls(initial={"supplier": asked.get("supplier", ""), "protocol": protocol, "address": address}, instance=instance)
        if supplier:
            spoken = form.fields["protocol"]
            assert isinstance(spoken, forms.ChoiceField)
            spoken.choices = [choice for choice in PROTOCOLS if choice[0] in supplier.protocols]
        return form

    def clean(self) -> dict[str, Any]:
        """Says with all else that is missing what the verb would say of the keys afterwards."""
        given = super().clean()
        if "generation" in given and not self._filled() and (field := self.place("key_0")) and field not in self.errors:
            self.add_error(field, ValidationError(NO_KEY))
        return given

    @classmethod
    def with_new_row(cls, asked: QueryDict, instance: Instance) -> tuple[Self, BoundField] | None:
        """A row behind those named by `row`; None when there are as many as a service takes."""
        kind = KEY if asked.get("kind") == KEY else VALUE
        used = [int(row) for row in asked.getlist("row") if ROW.fullmatch(row)] or [0]
        if len(used) >= KEYS_A_SERVICE:
            return None
        form = cls(rows={VALUE: [0], KEY: [0]} | {kind: [*used, max(used) + 1]}, instance=instance)
        return form, form[f"{kind}_{max(used) + 1}"]


class EditService(ServiceForm):
    """Starts from what is stored. Values of its own are kept unless new ones are entered, which take the place of all."""

    def __init__(self, *args: Any, service: AiService, **kwargs: Any) -> None:
        uses = service.uses
        self.was, self.was_keys = service.generation, [use.key.name or "" for use in uses]
        names = self.was_keys if service.generation == REFERENCE else [""]
        initial = {
            "lock_version": service.lock_version,
            "supplier": service.supplier,
            "protocol": service.protocol,
            "address": service.address,
            "generation": service.generation,
            **{f"{KEY}_{row}": name for row, name in enumerate(names)},
        }
        unbound = not (args and args[0]) and "rows" not in kwargs
        if unbound:
            kwargs["rows"] = {VALUE: [0], KEY: list(range(len(names)))}
        kwargs["initial"] = initial | kwargs.get("initial", {})
        super().__init__(*args, instance=service.instance, **kwargs)
        if unbound:
            self.initial["generation"] = service.generation

    @property
    def kept(self) -> int:
        """How many values of its own are stored."""
        return len(self.was_keys) if self.was == CUSTOM else 0

    def changed_keys(self) -> NewKeys | None:
        """None where the API keys stay as they are."""
        keys = self.keys()
        if keys.generation != self.was:
            return keys
        kept = list(keys.key_names) == self.was_keys if keys.generation == REFERENCE else not keys.values
        return None if kept else keys


def _owner(address: str) -> str:
    """Whose preset this is."""
    entered = address.rstrip("/")
    return next((str(row.label) for row in SUPPLIERS.values() if entered in (row.address, row.native_address)), "")
