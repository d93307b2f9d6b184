"""What every form of the console shares: values that are never rendered again, and verbs whose refusals become field errors."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from secrets_app.errors import AlreadyDone, CannotOpen, CannotSeal, Conflict, FormReused, Invalid, NoAnswer, StaleEdit, Withheld
from secrets_app.models.rotation import OVERLAPS
from secrets_app.plaintext import Plaintext

T = TypeVar("T")
TRIMMED = _("A line end at the end of the value was dropped.")
REPEATED = _("This form was sent before, and was done then. Nothing was changed now.")


DRESSED = _(
    "The value begins with “Bearer”, or with a name and “=”, or stands in quotation marks. If that is no part of it, rotate the key."
)

_DRESSED = re.compile(r"""\s*(Bearer\s|[A-Z][A-Z0-9_]{2,}=\S|(["']).+\2\s*$)""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entered:
    """A value as a person entered it. `trimmed`: one line end was dropped from its end, which the page says. `dressed`: it looks like more
    than the value alone."""

    value: Plaintext
    trimmed: bool
    dressed: bool = False


class SecretInput(forms.PasswordInput):
    """One line, hidden while typing. Never renders a value, whatever happened to the form."""

    template_name = "components/_secret_input.html"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        quiet = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off", "data-1p-ignore": ""}
        super().__init__(quiet | (attrs or {}), render_value=False)


class SecretText(forms.Textarea):
    """Several lines, such as a service-account file. Renders empty: Django's own textarea would show the value again."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off", "rows": 3} | (attrs or {}))

    def format_value(self, value: Any) -> str:
        return ""


class SecretField(forms.Field):
    """Cleans to Entered, or None when left empty and not required. Not stripped; CRLF becomes LF; one trailing line end is dropped."""

    widget = SecretText

    def to_python(self, value: Any) -> Entered | None:
        if not value:
            return None
        text = re.sub(r"\r\n?", "\n", value)
        trimmed = text.endswith("\n")
        try:
            return Entered(Plaintext(text.removesuffix("\n")), trimmed, dressed=bool(_DRESSED.match(text)))
        except Invalid as refused:
            raise ValidationError(refused.errors["value"]) from None


class Asked(forms.Field):
    """Mix-in for a field that is asked for, while the form as a whole decides whether it may stay empty."""

    def validate(self, value: Any) -> None:
        pass


class DeedForm(forms.Form):
    """A form around one verb. `once` names the operation, so that the same post twice is one deed."""

    once = forms.UUIDField(widget=forms.HiddenInput, required=False)
    lock_version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("once", uuid.uuid4())
        self.current: dict[str, Any] = {}  # after a stale edit: the fields as they are stored now
        self.status = 200
        for field in self.fields.values():
            if "invalid_choice" in field.error_messages:  # Django's own words repeat what was sent, and that might be a value
                field.error_messages["invalid_choice"] = _("Choose one of those listed.")

    @property
    def token(self) -> uuid.UUID:
        return self.cleaned_data.get("once") or uuid.uuid4()

    def is_valid(self) -> bool:
        valid = super().is_valid()
        self.status = 422 if self.is_bound and not valid else 200
        return valid

    def attempt(self, deed: Callable[[], T]) -> T | None:
        """Do the deed. What it refuses stands at its field, or above the form, and None is returned; AlreadyDone passes through."""
        try:
            return deed()
        except Invalid as refused:
            for field, messages in refused.errors.items():
                self.add_error(self.place(field), [ValidationError(message) for message in messages])
            self.status = 422
        except StaleEdit as refused:
            self.current = refused.current
            self.add_error(None, refused.message)
            self.status = refused.status
        except AlreadyDone:
            raise
        except (Conflict, CannotSeal, CannotOpen, NoAnswer) as refused:
            if isinstance(refused, FormReused | Withheld | CannotOpen | NoAnswer):  # its token is used up
                self._fill_in("once", str(uuid.uuid4()))
            self.add_error(None, refused.message)
            self.status = refused.status
        return None

    def did(self, deed: Callable[[], None]) -> bool:
        """Attempt a verb that has nothing to return; whether it was done."""
        self.attempt(deed)
        return not self.errors

    def place(self, field: str) -> str | None:
        """Which field shows what the verb refuses at its own; None stands above the form."""
        return field if field in self.fields else None

    def resume(self, lock_version: int) -> None:
        """After a stale edit: who saves now has seen what is stored, so the next save is meant to replace it."""
        self._fill_in("lock_version", str(lock_version))

    def _fill_in(self, field: str, value: str) -> None:
        """For the form as it is shown again."""
        assert isinstance(self.data, QueryDict)
        self.data = self.data.copy()
        self.data[field] = value


class OverlapField(forms.TypedChoiceField):
    """For how many hours callers may go on presenting the previous value. They need time to switch, so a day unless they say otherwise."""

    def __init__(self, **kwargs: Any) -> None:
        texts = {0: _("None"), 1: _("1 hour"), 24: _("24 hours"), 168: _("7 days")}
        super().__init__(
            label=_("Keep the previous value valid for"),
            choices=[(hours, texts[hours]) for hours in OVERLAPS],
            coerce=int,
            initial=24,
            widget=forms.RadioSelect,
            error_messages={"required": _("Choose one of the periods listed.")},
            **kwargs,
        )


class DescriptionField(forms.CharField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"label": _("Description"), "required": False, "max_length": 500, "strip": False, **kwargs})
