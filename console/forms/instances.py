from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from console.forms.base import DeedForm
from gateway.versions import COMPATIBILITY_VERSIONS, FIRST_WITH_REFERENCES, NEWEST, newer_than, supports_references


def _label(version: str) -> object:
    return version if supports_references(version) else _("%(version)s, without key references") % {"version": version}


class CreateInstance(DeedForm):
    name = forms.CharField(
        label=_("Instance name"),
        strip=False,
        error_messages={"required": _("Enter a name for the instance.")},
        help_text=_("What people call it. Its ID is made for it."),
    )
    version = forms.ChoiceField(
        label=_("Compatibility version"),
        choices=[(version, _label(version)) for version in COMPATIBILITY_VERSIONS],
        initial=NEWEST,
        help_text=_("Key references need %(version)s or later.") % {"version": FIRST_WITH_REFERENCES},
        error_messages={"required": _("Choose one of the versions listed.")},
    )


class UpgradeInstance(DeedForm):
    version = forms.ChoiceField(label=_("Compatibility version"), error_messages={"required": _("Choose one of the versions listed.")})

    def __init__(self, *args: Any, version: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["version"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(newer, _label(newer)) for newer in newer_than(version)]
