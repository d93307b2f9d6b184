"""Questions before a deed that hurts."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from console.forms.account import RevokeTokens
from console.forms.base import DeedForm
from secrets_app.models import User


class Confirm(DeedForm):
    """Asks nothing more: reading the page and pressing the button is the answer."""


class DisablePerson(Confirm, RevokeTokens):
    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        count = user.api_tokens.count()
        label = ngettext("Also revoke their API token", "Also revoke their %(n)d API tokens", count) % {"n": count}
        self.ask_about_tokens(count, label, _("They open nothing meanwhile. Left alive, they work again once the person is enabled."))


class TypedName(DeedForm):
    """The name of what goes, typed. Compared exactly: fields are not stripped."""

    confirm = forms.CharField(label=_("Name"), strip=False, error_messages={"required": _("Type the name to confirm.")})

    def __init__(self, *args: Any, name: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = name

    def clean_confirm(self) -> str:
        typed = str(self.cleaned_data["confirm"])
        if typed != self.name:
            raise ValidationError(_("This is not the name. Type it exactly as it stands above."))
        return typed
