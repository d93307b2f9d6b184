"""Signing in, showing again who one is, and choosing a password."""

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.forms import LoginForm
from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from console import factors
from console.accounts import check_factor
from console.forms.base import SecretInput
from console.requests import path_of_ours
from secrets_app.models import User


class SignIn(LoginForm):  # type: ignore[misc]
    """allauth's own, with words that name the field: the summary above the form repeats them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].error_messages["required"] = _("Enter your username.")
        self.fields["password"].error_messages["required"] = _("Enter your password.")


class GiveFactor(forms.Form):
    """A code of the app, or a recovery code, or what a security key answers. `method` says after cleaning which it was."""

    code = forms.CharField(required=False, max_length=64)
    answer = forms.CharField(required=False, max_length=8192, widget=forms.HiddenInput)

    method = ""

    def __init__(self, *args: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request, self.user = request, user
        kinds = set(factors.of(user).values_list("type", flat=True))
        self.has_app = factors.TOTP in kinds
        self.fields["code"].label = _("Code") if self.has_app else _("Recovery code")
        if kinds == {factors.TOTP} and not self.is_bound:
            self.fields["code"].widget.attrs["autofocus"] = True

    @cached_property
    def options(self) -> str:
        """Asked when the form is drawn: each drawing has a challenge of its own."""
        return factors.ask_key(self.user)

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if given.get("code") or given.get("answer"):
            self.method = check_factor(self.request, self.user, given.get("code", ""), given.get("answer", ""))
        elif not self.errors:
            self.add_error("code", ValidationError(_("Enter a code."), "required"))
        return given


class Confirm(forms.Form):
    """Who is signed in shows it again. `next` is where this leads, `back` where Cancel does."""

    next = forms.CharField(widget=forms.HiddenInput, required=False)
    back = forms.CharField(widget=forms.HiddenInput, required=False)
    method = ""

    @property
    def to(self) -> str:
        return path_of_ours(self["next"].value() or "/")

    @property
    def below(self) -> str:
        return path_of_ours(self["back"].value() or "/")


class ConfirmByFactor(GiveFactor, Confirm):
    pass


class ConfirmByPassword(Confirm):
    password = forms.CharField(label=_("Password"), strip=False, widget=SecretInput, error_messages={"required": _("Enter your password.")})
    method = "password"

    def __init__(self, *args: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request, self.user = request, user

    def clean_password(self) -> None:
        check_password(self.request, self.user, self.cleaned_data["password"])


def check_password(request: HttpRequest, user: User, password: str) -> None:
    """Counted with the passwords tried at sign-in, and refused with the same limits. Raises ValidationError."""
    if not get_adapter().authenticate(request, username=user.get_username(), password=password):
        raise ValidationError(_("The password is wrong."), code="wrong")


class RevokeTokens(forms.Form):
    """Mix-in: whether the API tokens of whoever it is about go too. Not asked where there are none."""

    revoke_tokens = forms.BooleanField(required=False, initial=True)
    tokens_told = forms.BooleanField(required=False, initial=True, widget=forms.HiddenInput)

    def ask_about_tokens(self, count: int, label: str, hint: object) -> None:
        if not count:
            del self.fields["revoke_tokens"], self.fields["tokens_told"]
            return
        self.fields["revoke_tokens"].label = label
        self.fields["revoke_tokens"].help_text = str(hint)

    @property
    def revokes(self) -> bool:
        """What was made after the page was, nobody meant to keep."""
        return "tokens_told" in self.fields and (self.cleaned_data["revoke_tokens"] or not self.cleaned_data["tokens_told"])


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


class ChangePassword(NewPassword, RevokeTokens):
    """One's own, which asks for the old one too."""

    old = forms.CharField(
        label=_("Password now"), strip=False, widget=SecretInput, error_messages={"required": _("Enter the password that you have now.")}
    )
    field_order = ["old", "password", "again", "revoke_tokens"]  # noqa: RUF012 (Django's own declaration)

    def __init__(self, *args: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
        super().__init__(*args, user=user, **kwargs)
        self.request = request
        count = user.api_tokens.count()
        label = ngettext("Also revoke my API token", "Also revoke my %(n)d API tokens", count) % {"n": count}
        self.ask_about_tokens(count, label, _("Whoever knew the old password may have made one. Scripts need new ones then."))

    def clean_old(self) -> None:
        check_password(self.request, self.user, self.cleaned_data["old"])
