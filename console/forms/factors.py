"""Adding, naming and removing second factors. No field is rendered with a seed that was typed: the offer carries it, encrypted."""

from typing import Any

from allauth.mfa.models import Authenticator
from django import forms
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from console import factors
from console.forms.base import DeedForm
from console.qr import data_url
from secrets_app.models import User


class AddApp(DeedForm):
    """With a new seed each time that it is drawn for the first time, and the same one again after a wrong code."""

    offer = forms.CharField(widget=forms.HiddenInput, required=False, max_length=1024)
    code = forms.CharField(
        label=_("Code"),
        max_length=16,
        help_text=_("The six digits that the app shows now."),
        error_messages={"required": _("Enter the code that the app shows.")},
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user, self.seed = user, ""

    def draw(self) -> None:
        """Before the page: with the seed offered before, unless that is too old by now."""
        self.seed = factors.offered_still(self.user, self["offer"].value() or "") if self.is_bound else ""
        if self.seed:
            return
        self.seed, offer = factors.offer_app(self.user)
        if self.is_bound:
            self._fill_in("offer", offer)
            self._fill_in("code", "")
        else:
            self.initial["offer"] = offer

    @property
    def typed_by_hand(self) -> str:
        return " ".join(self.seed[start : start + 4] for start in range(0, len(self.seed), 4))

    @property
    def picture(self) -> str:
        return data_url(factors.address_of_seed(self.user, self.seed))


class _Named(DeedForm):
    name = forms.CharField(
        label=_("Name"),
        max_length=64,
        help_text=_("So that you know it again, such as “Blue key” or “Laptop”."),
        error_messages={"required": _("Enter a name.")},
    )


class AddKey(_Named):
    answer = forms.CharField(
        widget=forms.HiddenInput,
        max_length=16384,
        error_messages={"required": _("No security key has answered yet. Press the button, then touch the key.")},
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    @cached_property
    def options(self) -> str:
        """Asked when the form is drawn: each drawing has a challenge of its own."""
        return factors.offer_key(self.user)

    def place(self, field: str) -> str | None:
        return None if field == "answer" else super().place(field)


class RenameFactor(_Named):
    def __init__(self, *args: Any, factor: Authenticator, **kwargs: Any) -> None:
        super().__init__(*args, initial={"name": factors.name_of(factor)}, **kwargs)
