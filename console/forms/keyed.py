"""What the forms of AI and Agent services share: a name, an address, and API keys in rows, as values or as names of keys."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext as now
from django.utils.translation import gettext_lazy as _

from console.forms.base import Asked, DeedForm, SecretField, SecretInput
from console.forms.branches import BranchedForm
from gateway.address import parse_address
from gateway.models import Instance
from gateway.models.credential import CUSTOM, REFERENCE
from gateway.models.service import AGENT, AI, KEYS_A_SERVICE
from gateway.versions import FIRST_WITH_REFERENCES
from secrets_app.errors import Invalid

ROW = re.compile(r"[0-9]{1,3}")  # not \d or isdigit(): other scripts have digits too, and "²" is one that is no number
VALUE, KEY = "value", "key"  # of the fields value_0, value_1, ... (Custom) and key_0, key_1, ... (Reference Key)


class Address(Asked, forms.CharField):
    pass


class NewService(DeedForm):
    """What a new service is asked first, whatever its source."""

    source_hints: ClassVar = {AI: _("Large models behind one address"), AGENT: _("An agent or an app, with its own API")}

    source = forms.ChoiceField(
        label=_("Service Source"),
        choices=[(AI, _("AI Services")), (AGENT, _("Agent Services"))],
        initial=AI,
        widget=forms.RadioSelect,
        required=False,
    )
    name = forms.CharField(
        label=_("Service name"),
        strip=False,
        help_text=_("Lower-case letters, digits, hyphens and underscores, up to 63. Callers use it in the address."),
        error_messages={"required": _("Enter a name for the service.")},
    )


class KeyedForm(BranchedForm):
    generation = forms.ChoiceField(
        label=_("Generation method"),
        choices=[(CUSTOM, _("Custom")), (REFERENCE, _("Reference Key"))],
        initial=REFERENCE,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one of the generation methods listed.")},
    )

    def __init__(self, *args: Any, instance: Instance, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance = instance
        if not instance.supports_references:
            self.initial["generation"] = CUSTOM

    @property
    def off(self) -> dict[str, str]:
        """Why a generation method cannot be chosen: the documented version gate."""
        if self.instance.supports_references:
            return {}
        text = now("Key references need version %(needed)s or later; this instance has %(version)s.")
        return {REFERENCE: text % {"needed": FIRST_WITH_REFERENCES, "version": self.instance.version}}

    @property
    def in_clear(self) -> bool:
        try:
            return parse_address(str(self["address"].value() or "")).in_clear
        except Invalid:
            return False


class ValueRow(Asked, SecretField):
    kind = VALUE
    row = 0


class KeyRow(Asked, forms.CharField):
    kind = KEY
    row = 0


def key_field(kind: str, place: int, row: int) -> ValueRow | KeyRow:
    """For one API key: a value of the service's own, or a key's name."""
    label = numbered(now("API Key"), place)
    field = ValueRow(label=label, widget=SecretInput) if kind == VALUE else KeyRow(label=label, strip=False)
    field.row = row
    return field


def numbered(label: str, place: int) -> str:
    return f"{label} {place + 1}" if place else label


def posted_rows(data: Mapping[str, Any], kind: str) -> list[int]:
    """The rows that a post holds, in order; one when it holds none. No more than the verb needs to see that they are too many."""
    rows = (name.removeprefix(f"{kind}_") for name in data if name.startswith(f"{kind}_"))
    return sorted({int(row) for row in rows if ROW.fullmatch(row)})[: KEYS_A_SERVICE + 1] or [0]
