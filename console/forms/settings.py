from django import forms
from django.utils.translation import gettext_lazy as _

from console.forms.base import DeedForm
from secrets_app.access import ROLES


class CreateRegion(DeedForm):
    title = forms.CharField(
        label=_("Name"),
        max_length=64,
        help_text=_("What people read, such as “China East 1”."),
        error_messages={"required": _("Enter a name for the region.")},
    )
    name = forms.CharField(
        label=_("Region ID"),
        max_length=32,
        strip=False,
        help_text=_("Lower-case letters, digits and hyphens, such as cn-east-1. Stands in every address and is never changed."),
        error_messages={"required": _("Enter an ID for the region.")},
    )


class EditSecondFactor(DeedForm):
    roles = forms.MultipleChoiceField(
        label=_("Roles that need a second factor"),
        choices=[(role, label) for role, (label, _text) in ROLES.items()],
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
