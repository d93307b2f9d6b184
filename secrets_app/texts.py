"""Texts that people write beside a thing (forms ask the same and more; an API hands on whatever JSON can say), and names in a row."""

from collections.abc import Iterable

from django.utils.text import get_text_list
from django.utils.translation import gettext as now

DESCRIPTION_LIMIT = 500  # characters


def description_problem(text: str) -> str:
    """Why it cannot be stored; empty when it can."""
    if len(text) > DESCRIPTION_LIMIT:
        return now("Use at most %(limit)d characters.") % {"limit": DESCRIPTION_LIMIT}
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):  # neither can be written as UTF-8 that a database takes
        return now("Use letters, digits and signs: there is something in it that is no character.")
    return ""


def listed(names: Iterable[str]) -> str:
    """As a sentence has them: "a, b and c"."""
    return str(get_text_list(list(names), now("and")))
