"""A credential of a consumer: how its value comes to be, and a new value for it."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from console.forms.base import DeedForm, Entered, OverlapField, SecretField, SecretInput
from console.forms.branches import BranchedForm, Branches
from gateway.models import Credential, NewCredential
from gateway.models.credential import CUSTOM, REFERENCE, SYSTEM
from secrets_app.plaintext import Plaintext


def _value_field() -> SecretField:
    return SecretField(
        label=_("Credential"),
        widget=SecretInput,
        help_text=_("At least 16 characters. Stored sealed and never shown again."),
        error_messages={"required": _("Enter the credential that callers will present.")},
    )


class CredentialForm(BranchedForm):
    generation = forms.ChoiceField(
        label=_("Generation method"),
        choices=[(SYSTEM, _("System-generated")), (CUSTOM, _("Custom")), (REFERENCE, _("Reference Key"))],
        initial=REFERENCE,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one of the generation methods listed.")},
    )
    value = _value_field()
    key = forms.CharField(
        label=_("Bind Key"),
        strip=False,
        help_text=_("Callers present this key's value: its current version, and the previous one while an overlap lasts."),
        error_messages={"required": _("Choose a key.")},
    )

    def branches(self) -> Branches:
        return super().branches() | {"generation": {CUSTOM: ("value",), REFERENCE: ("key",)}}

    @property
    def chosen(self) -> str:
        """The generation method that the page shows now, whatever is wrong with the rest."""
        return str(self["generation"].value())

    def new_credential(self) -> NewCredential:
        """A system-generated value is made here, for the one page that shows it."""
        generation, entered = self.cleaned_data["generation"], self.cleaned_data["value"]
        if generation == REFERENCE:
            return NewCredential(REFERENCE, key_name=self.cleaned_data["key"])
        if generation == SYSTEM:
            return NewCredential(SYSTEM, Plaintext.generate())
        assert isinstance(entered, Entered)
        return NewCredential(CUSTOM, entered.value, trimmed=entered.trimmed)


class AddCredential(CredentialForm):
    pass


class EditCredential(CredentialForm):
    """Starts from what is stored. A value of its own is kept unless a new one is entered."""

    def __init__(self, *args: Any, credential: Credential, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.was, self.was_key = credential.generation, credential.reference.key.name or ""
        self.fields["value"].required = self.was != CUSTOM
        self.initial.update(lock_version=credential.consumer.lock_version, generation=self.was, key=self.was_key)

    def changed_credential(self) -> NewCredential | None:
        """None where what callers present stays as it is."""
        given = self.cleaned_data
        kept = {SYSTEM: True, CUSTOM: given["value"] is None, REFERENCE: given["key"] == self.was_key}[given["generation"]]
        return None if given["generation"] == self.was and kept else self.new_credential()


class RotateConsumer(DeedForm):
    """A new value for a credential of its own: made by the console for a system-generated one, entered for a custom one."""

    value = _value_field()
    overlap = OverlapField()

    def __init__(self, *args: Any, credential: Credential, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.generated = credential.generation == SYSTEM
        if self.generated:
            del self.fields["value"]

    def new_value(self) -> Entered:
        return Entered(Plaintext.generate(), trimmed=False) if self.generated else self.cleaned_data["value"]
