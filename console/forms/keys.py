"""Creating a key, giving it a new value, and editing what people read about it."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from console.forms.base import DeedForm, DescriptionField, Entered, OverlapField, SecretField
from console.forms.branches import BranchedForm, Branches
from console.forms.policy import PolicyForm
from secrets_app.models import Key, KmsInstance, MasterKey
from secrets_app.plaintext import Plaintext

CUSTOM, SYSTEM = "custom", "system"


class _ValueForm(BranchedForm):
    """A value pasted, or made here."""

    generation = forms.ChoiceField(
        label=_("Generation method"),
        choices=[(CUSTOM, _("Custom")), (SYSTEM, _("System-generated"))],
        initial=CUSTOM,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one of the generation methods listed.")},
    )
    value = SecretField(
        label=_("Key content"),
        help_text=_("Up to 64 KiB. Sealed at once and never shown again."),
        error_messages={"required": _("Enter the key content.")},
    )

    def branches(self) -> Branches:
        return {"generation": {CUSTOM: ("value",)}}

    def clean_value(self) -> Entered | None:
        entered: Entered | None = self.cleaned_data["value"]
        if entered and entered.value.traits.refers:
            raise ValidationError(
                _("This looks like a reference to a key. Enter the value itself, and refer to this key where it is used.")
            )
        return entered

    @property
    def generated(self) -> bool:
        return bool(self.cleaned_data["generation"] == SYSTEM)

    def new_value(self) -> Entered:
        """What was pasted, or a value made now, for the one answer that shows it."""
        if self.generated:
            return Entered(Plaintext.generate(), trimmed=False)
        entered = self.cleaned_data["value"]
        assert isinstance(entered, Entered)
        return entered

    def place(self, field: str) -> str | None:
        """The vault says "key" of a value that the holders of a key could not use; here the value is what is wrong."""
        return super().place("value" if field == "key" else field)


class CreateKey(_ValueForm, PolicyForm):
    name = forms.CharField(
        label=_("Key name"),
        strip=False,
        help_text=_("Letters, digits and underscores, up to 64. It cannot be changed later."),
        error_messages={"required": _("Enter a name for the key.")},
    )
    description = DescriptionField(widget=forms.Textarea(attrs={"rows": 2}))
    kms_instance = forms.ModelChoiceField(label=_("KMS instance"), queryset=KmsInstance.objects.order_by("name"), empty_label=None)
    master_key = forms.ModelChoiceField(
        label=_("Master key"), queryset=MasterKey.objects.select_related("kms_instance").order_by("name"), empty_label=None
    )

    field_order = ("name", "description", "generation", "value", "kms_instance", "master_key", "reach", "kinds", "hosts")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reach"].required = False  # left out, it is nowhere yet
        master_keys = list(MasterKey.objects.select_related("kms_instance").order_by("pk")[:2])
        self.storage = master_keys[0] if len(master_keys) == 1 else None  # one choice is none: a line says it
        if len(master_keys) < 2:
            del self.fields["kms_instance"], self.fields["master_key"]

    def branches(self) -> Branches:
        return _ValueForm.branches(self) | PolicyForm.branches(self)

    def clean_master_key(self) -> MasterKey:
        master_key: MasterKey = self.cleaned_data["master_key"]
        if master_key.kms_instance != self.cleaned_data.get("kms_instance"):
            raise ValidationError(_("This master key lies in another KMS instance. Choose one of the chosen instance."))
        return master_key


class _NextVersion(DeedForm):
    """`overlap` is asked for only where a caller presents the key. `lock_version` is the version that steps down."""

    overlap = OverlapField()

    def __init__(self, *args: Any, key: Key, inbound: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["lock_version"] = key.version
        if not inbound:
            del self.fields["overlap"]

    @property
    def overlap_hours(self) -> int:
        return int(self.cleaned_data.get("overlap", 0))


class RotateKey(_NextVersion, _ValueForm):
    pass


class RollBackKey(_NextVersion):
    pass


class EditKey(DeedForm):
    description = DescriptionField(widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, *args: Any, key: Key, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial = {**self.initial, "lock_version": key.lock_version, "description": key.description}
