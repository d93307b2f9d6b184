"""Creating a consumer, editing it, and rotating a credential of its own."""

from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from console.forms.base import DeedForm, DescriptionField, Entered, OverlapField, SecretField, SecretInput
from console.forms.branches import BranchedForm, Branches
from gateway.models import Consumer, NewCredential
from gateway.models.consumer import CUSTOM, REFERENCE, SYSTEM
from gateway.sources import BEARER, Source
from secrets_app.plaintext import Plaintext

ENABLED, DISABLED = "enabled", "disabled"


def _credential_field() -> SecretField:
    return SecretField(
        label=_("Credential"),
        widget=SecretInput,
        help_text=_("At least 16 characters. Stored sealed and never shown again."),
        error_messages={"required": _("Enter the credential that callers will present.")},
    )


class _CredentialForm(BranchedForm):
    """How the value comes to be, and where callers put it."""

    method_hints: ClassVar = {"api_key": _("Supports references")}

    method = forms.ChoiceField(
        label=_("Authentication method"),
        choices=[("api_key", _("API Key"))],
        initial="api_key",
        widget=forms.RadioSelect,
        required=False,
    )
    generation = forms.ChoiceField(
        label=_("Generation method"),
        choices=[(SYSTEM, _("System-generated")), (CUSTOM, _("Custom")), (REFERENCE, _("Reference Key"))],
        initial=REFERENCE,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one of the generation methods listed.")},
    )
    value = _credential_field()
    key = forms.CharField(
        label=_("Bind Key"),
        strip=False,
        help_text=_("Callers present this key's value: its current version, and the previous one while an overlap lasts."),
        error_messages={"required": _("Choose a key.")},
    )
    source_kind = forms.ChoiceField(
        label=_("Credential source"),
        choices=[("bearer", "Authorization: Bearer"), ("header", _("Custom HTTP header")), ("query", _("Custom query parameter"))],
        initial=BEARER.kind,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one of the sources listed.")},
    )
    header = forms.CharField(
        label=_("Header"), strip=False, initial="x-api-key", error_messages={"required": _("Enter the header's name, such as x-api-key.")}
    )
    parameter = forms.CharField(
        label=_("Parameter"),
        strip=False,
        initial="api_key",
        error_messages={"required": _("Enter the parameter's name, such as api_key.")},
    )

    def branches(self) -> Branches:
        return {
            "generation": {CUSTOM: ("value",), REFERENCE: ("key",)},
            "source_kind": {"header": ("header",), "query": ("parameter",)},
        }

    @property
    def chosen(self) -> str:
        """The generation method that the page shows now, whatever is wrong with the rest."""
        return str(self["generation"].value())

    @property
    def source(self) -> Source:
        given = self.cleaned_data
        if given["source_kind"] == "header":
            return Source("header", given["header"].lower())
        return Source("query", given["parameter"]) if given["source_kind"] == "query" else BEARER

    def place(self, field: str) -> str | None:
        """The verb speaks of the source's name; which field holds it depends on the kind."""
        if field == "source_name":
            return {"header": "header", "query": "parameter"}.get(self.cleaned_data["source_kind"], "source_kind")
        return super().place(field)

    def _new_credential(self) -> NewCredential:
        """A system-generated value is made here, for the one page that shows it."""
        generation, entered = self.cleaned_data["generation"], self.cleaned_data["value"]
        if generation == REFERENCE:
            return NewCredential(REFERENCE, key_name=self.cleaned_data["key"])
        if generation == SYSTEM:
            return NewCredential(SYSTEM, Plaintext.generate())
        assert isinstance(entered, Entered)
        return NewCredential(CUSTOM, entered.value, trimmed=entered.trimmed)


class CreateConsumer(_CredentialForm):
    name = forms.CharField(
        label=_("Consumer name"),
        strip=False,
        help_text=_("Lower-case letters, digits, hyphens and underscores, up to 63. It cannot be changed later."),
        error_messages={"required": _("Enter a name for the consumer.")},
    )
    state = forms.ChoiceField(
        label=_("Status"),
        choices=[(ENABLED, _("Enabled")), (DISABLED, _("Disabled"))],
        initial=ENABLED,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one of the two.")},
    )
    description = DescriptionField(widget=forms.Textarea(attrs={"rows": 2}))

    field_order = ("name", "method", "generation", "value", "key", "source_kind", "header", "parameter", "state", "description")

    @property
    def enabled(self) -> bool:
        return bool(self.cleaned_data["state"] == ENABLED)

    def credential(self) -> NewCredential:
        return self._new_credential()


class EditConsumer(_CredentialForm):
    """Starts from what is stored. A value of its own is kept unless a new one is entered."""

    description = DescriptionField(widget=forms.Textarea(attrs={"rows": 2}))

    field_order = ("description", "method", "generation", "value", "key", "source_kind", "header", "parameter")

    def __init__(self, *args: Any, consumer: Consumer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.was, self.was_key = consumer.generation, consumer.reference.key.name or ""
        self.fields["value"].required = self.was != CUSTOM
        named = {"header": "header", "query": "parameter"}.get(consumer.source_kind)
        self.initial = {
            **self.initial,
            "lock_version": consumer.lock_version,
            "description": consumer.description,
            "generation": consumer.generation,
            "key": self.was_key,
            "source_kind": consumer.source_kind,
            **({named: consumer.source_name} if named else {}),
        }

    def credential(self) -> NewCredential | None:
        """None where what callers present stays as it is."""
        given = self.cleaned_data
        kept = {SYSTEM: True, CUSTOM: given["value"] is None, REFERENCE: given["key"] == self.was_key}[given["generation"]]
        return None if given["generation"] == self.was and kept else self._new_credential()


class RotateConsumer(DeedForm):
    """A new value for a credential of its own: made by the console for a system-generated one, entered for a custom one."""

    value = _credential_field()
    overlap = OverlapField()

    def __init__(self, *args: Any, consumer: Consumer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.generated = consumer.generation == SYSTEM
        if self.generated:
            del self.fields["value"]

    def new_value(self) -> Entered:
        return Entered(Plaintext.generate(), trimmed=False) if self.generated else self.cleaned_data["value"]
