from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from console.forms.base import DeedForm
from secrets_app.actor import Actor
from secrets_app.models import Region
from secrets_app.models.token import FOR_TOKENS, LONGEST, USUAL
from secrets_app.scope import EVERYWHERE

WORDS = {
    "key.view": _("See keys and who refers to them"),
    "key.create": _("Create keys"),
    "key.rotate": _("Rotate keys"),
    "key.disable": _("Disable keys"),
    "key.enable": _("Enable keys"),
    "consumer.view": _("See consumers"),
    "audit.view": _("Read the audit log"),
}


class CreateToken(DeedForm):
    name = forms.CharField(
        label=_("Name"), max_length=64, help_text=_("What uses it, such as ci."), error_messages={"required": _("Enter a name.")}
    )
    region = forms.ChoiceField(label=_("Where"), required=False)
    permissions = forms.MultipleChoiceField(
        label=_("What it may do"), widget=forms.CheckboxSelectMultiple, error_messages={"required": _("Choose at least one.")}
    )
    days = forms.IntegerField(
        label=_("Days until it expires"),
        min_value=1,
        max_value=LONGEST,
        initial=USUAL,
        error_messages={"required": _("Enter 1 to 365 days.")},
    )
    networks = forms.CharField(
        label=_("Only from"),
        required=False,
        max_length=1000,
        help_text=_("Addresses or networks with spaces between. Empty: from anywhere."),
    )

    def __init__(self, *args: Any, by: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._regions = {one.name: one for one in Region.visible_to(by) if by.may("token.create", one)}
        choices = [(name, one.title) for name, one in self._regions.items()]
        if by.may("token.create", EVERYWHERE):
            choices.insert(0, ("", str(_("All regions"))))
        mine = [(name, WORDS[name]) for name in FOR_TOKENS if by.may_within(name)]
        for field, offered in (("region", choices), ("permissions", mine)):
            chosen = self.fields[field]
            assert isinstance(chosen, forms.ChoiceField)
            chosen.choices = offered

    def region_chosen(self) -> Region | None:
        return self._regions.get(self.cleaned_data["region"])

    def networks_given(self) -> list[str]:
        return str(self.cleaned_data["networks"]).replace(",", " ").split()
