"""Signing in, showing again who one is, and choosing a password."""

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.forms import LoginForm
from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from console.forms.base import SecretInput
from console.requests import path_of_ours
from secrets_app.models import User


class SignIn(LoginForm):  # type: ignore[misc]
    """allauth's own, with words that name the field: the summary above the form repeats them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].error_messages["required"] = _("Enter your username.")
        self.fields["password"].error_messages["required"] = _("Enter your password.")


class Confirm(forms.Form):
    """Who is signed in enters the password again. `next` is where this leads, `back` where Cancel does."""

    next = forms.CharField(widget=forms.HiddenInput, required=False)
    back = forms.CharField(widget=forms.HiddenInput, required=False)
    password = forms.CharField(label=_("Password"), strip=False, widget=SecretInput, error_messages={"required": _("Enter your password.")})

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request

    @property
    def to(self) -> str:
        return path_of_ours(self["next"].value() or "/")

    @property
    def below(self) -> str:
        return path_of_ours(self["back"].value() or "/")

    def clean_password(self) -> None:
        """Counted with the passwords tried at sign-in, and refused with the same limits."""
        username = self.request.user.get_username()
        if not get_adapter().authenticate(self.request, username=username, password=self.cleaned_data["password"]):
            raise ValidationError(_("The password is wrong."), code="wrong")


class NewPassword(forms.Form):
    """A password, twice. `user` is whose it will be: it may not resemble the name."""

    password = forms.CharField(
        label=_("New password"),
        strip=False,
        max_length=256,
        widget=SecretInput,
        help_text=_("At least 12 characters. Several unrelated words are good, and easy to remember."),
        error_messages={"required": _("Enter a new password.")},
    )
    again = forms.CharField(
        label=_("New password again"),
        strip=False,
        max_length=256,
        widget=SecretInput,
        error_messages={"required": _("Enter the new password again.")},
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        validate_password(password, self.user)
        return password

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if "password" in given and "again" in given and given["password"] != given["again"]:
            self.add_error("again", ValidationError(_("The two are not the same. Enter both again."), code="differ"))
        return given
