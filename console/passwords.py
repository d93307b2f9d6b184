"""Which passwords are refused because they would be guessed: those of breaches, and what people make of them.

zxcvbn brings 30,000 passwords of breaches, words and names of several languages and the ways of dressing them up (Pa$$w0rd, 2026!, qwerty,
repeats), and counts the guesses that somebody who knows all that needs. Nothing is asked of anybody outside.
"""

from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from zxcvbn import zxcvbn

GUESSES = 10**9
_LOOKED_AT = 28  # characters at a time: made-up texts of twice that kept zxcvbn busy for seconds
_OURS = ("latchkey", "gateway", "console", "admin")


class Unguessable:
    """Of Django's password validators."""

    def validate(self, password: str, user: Any = None) -> None:
        known = [*_OURS, *filter(None, [getattr(user, "username", "")])]
        parts = [password[start : start + _LOOKED_AT] for start in range(0, min(len(password), 4 * _LOOKED_AT), _LOOKED_AT)]
        if not any(zxcvbn(part, user_inputs=known)["guesses"] >= GUESSES for part in parts):
            raise ValidationError(_("This password is common, or easy to guess. Take several unrelated words."), code="guessable")

    def get_help_text(self) -> str:
        return _("It may not be common, or easy to guess.")
