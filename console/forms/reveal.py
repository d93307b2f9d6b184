"""Revealing a value: why it is asked for, and whether it may be at all."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from console.facts.reveal import POLICIES
from console.forms.base import DeedForm
from secrets_app.models import Key


class RevealKey(DeedForm):
    """`lock_version` is the version that is shown."""

    reason = forms.CharField(
        label=_("Reason"),
        strip=False,
        widget=forms.Textarea(attrs={"rows": 2, "maxlength": 500}),
        help_text=_(
            "At least 10 characters, such as the number of a ticket and what it is about. Stands in the audit log: no value in here."
        ),
        error_messages={"required": _("Say why you need the value.")},
    )

    def __init__(self, *args: Any, key: Key, approved: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["lock_version"] = key.version
        if approved:
            del self.fields["reason"]  # that of the request counts


class DecideReveal(DeedForm):
    """The button that was pressed says which."""

    decision = forms.ChoiceField(
        choices=[("approve", _("Approve")), ("deny", _("Deny"))], error_messages={"required": _("Approve or deny.")}
    )

    @property
    def approves(self) -> bool:
        return bool(self.cleaned_data["decision"] == "approve")


class EditReveal(DeedForm):
    policy = forms.ChoiceField(
        label=_("Revealing values"),
        choices=[(policy, label) for policy, (label, _text) in POLICIES.items()],
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one of the policies listed.")},
    )

    @property
    def hints(self) -> dict[str, Any]:
        return {policy: text for policy, (_label, text) in POLICIES.items()}
