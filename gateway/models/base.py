"""What every noun of the gateway has: a name, a version for stale edits, and the audit entry it last changed with."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from secrets_app.db import locked
from secrets_app.errors import Invalid, NotFound, StaleEdit
from secrets_app.models import Key
from secrets_app.models.audit import Draft
from secrets_app.plaintext import Plaintext
from secrets_app.texts import description_problem

NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")
RESERVED_NAMES = {"new", "options"}
LONGEST_SEARCH = 200  # characters


class Named(models.Model):
    """Known by its name, on pages and in the audit log."""

    if TYPE_CHECKING:
        name: models.CharField[Any, Any]

    audit_kind: str

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.name)

    @property
    def audit_name(self) -> str:
        return str(self.name)


class Noun(Named):
    lock_version = models.PositiveIntegerField(default=1)
    changed_seq = models.BigIntegerField(default=0)

    class Meta:
        abstract = True

    _widened: tuple[Key, ...] = ()

    def _lock(self, lock_version: int | None = None) -> None:
        """Read this row anew and hold it until the deed ends. Raises NotFound when it is gone, StaleEdit when it changed meanwhile."""
        fresh = locked(type(self)._default_manager.filter(pk=self.pk)).first()
        if fresh is None:
            raise NotFound()
        if lock_version is not None and fresh.lock_version != lock_version:
            raise StaleEdit(fresh._as_edited())
        for column in self._meta.concrete_fields:
            setattr(self, column.attname, getattr(fresh, column.attname))

    def _as_edited(self) -> dict[str, Any]:
        """What an editor with a stale form is shown: the fields as they are now."""
        return {}

    def _note(self, key: Key) -> None:
        """Whether this deed let the key go further than it could, its entry will tell."""
        if key.widened:
            self._widened = (*self._widened, key)

    def _tell_policies(self, entry: Draft) -> None:
        if self._widened:
            entry.stamp(*self._widened)
            entry.facts |= {"policy": [f"{key}: {key.policy}" for key in self._widened]}
            self._widened = ()

    def _save(self, *columns: str) -> None:
        type(self)._default_manager.filter(pk=self.pk).update(lock_version=F("lock_version") + 1)
        self.lock_version += 1
        self.save(update_fields=list(columns))


def searched(typed: str) -> str:
    """What to look for: no longer than a database's LIKE takes, and without NUL, which PostgreSQL refuses to compare."""
    return typed.replace("\0", "").strip()[:LONGEST_SEARCH]


def check_name(name: str, taken: Callable[[], bool]) -> dict[str, list[str]]:
    """Errors for the name of a consumer or service, by field. `taken` is asked of what can be a name alone: PostgreSQL compares no NUL."""
    if not NAME.fullmatch(name):
        return {
            "name": [
                str(_("Use 1 to 63 lower-case letters, digits, hyphens and underscores; the first and last must be a letter or a digit."))
            ]
        }
    if name in RESERVED_NAMES:
        return {"name": [str(_("This word is an address of the console. Choose another name."))]}
    return {"name": [str(_("This name is taken. Choose another."))]} if taken() else {}


def check_description(description: str) -> dict[str, list[str]]:
    wrong = description_problem(description)
    return {"description": [wrong]} if wrong else {}


def check_custom(value: Plaintext, field: str) -> dict[str, list[str]]:
    """Errors for a value of a holder's own: a reference typed here would be taken literally, by callers and back ends alike."""
    if value.traits.refers:
        return {field: [str(_("This looks like a reference. Choose Reference Key instead, and the key by its name."))]}
    return {}


def refuse(*checks: dict[str, list[str]]) -> None:
    """Raises Invalid with all the errors found, if any."""
    if errors := {field: messages for check in checks for field, messages in check.items()}:
        raise Invalid(errors)
