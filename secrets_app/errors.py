"""What the vault refuses, as one small tree.

`message` is for people: what happened and what to do. It never holds a value, and neither does anything else on these errors.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _


class VaultError(Exception):
    """`status` is the HTTP answer, `code` a stable word for scripts and templates. The message may be a lazy translation."""

    status: ClassVar[int]
    code: ClassVar[str]

    def __init__(self, message: object) -> None:
        super().__init__(message)

    @property
    def message(self) -> str:
        return str(self.args[0])


class NotAllowed(VaultError):
    status = 403
    code = "not_allowed"

    def __init__(self, permission: str) -> None:
        super().__init__(f'This needs the permission "{permission}", which your roles do not give. Ask an owner for a role that does.')
        self.permission = permission


class NotFound(VaultError):
    """Also the answer for what exists but may not be seen: the two must look alike."""

    status = 404
    code = "not_found"

    def __init__(self, message: str = "There is nothing of that name here. Check the name and the region.") -> None:
        super().__init__(message)


class Invalid(VaultError):
    """`errors` holds texts by field name; "" stands for the whole form."""

    status = 422
    code = "invalid"

    def __init__(self, errors: Mapping[str, Sequence[object]]) -> None:
        self.errors: dict[str, list[str]] = {field: [str(text) for text in texts] for field, texts in errors.items()}
        lines = [f"{field}: {text}" if field else text for field, texts in self.errors.items() for text in texts]
        super().__init__(" ".join(["Nothing was changed.", *lines]))


class Conflict(VaultError):
    """The state no longer allows it: look again, then decide again."""

    status = 409
    code = "conflict"


class StaleEdit(Conflict):
    """`current` holds the fields of the form as they are stored now, for the editor to compare with."""

    code = "stale_edit"

    def __init__(self, current: Mapping[str, Any]) -> None:
        super().__init__(
            "Someone else changed this while you were editing. Nothing was saved: compare with the values now stored, then save again."
        )
        self.current = dict(current)


class KeyInUse(Conflict):
    """`holders` are what uses the key, as the raiser shows them."""

    code = "key_in_use"

    def __init__(self, holders: Sequence[Any]) -> None:
        count = "1 holder still uses" if len(holders) == 1 else f"{len(holders)} holders still use"
        super().__init__(f"{count} this key. Choose another key there, then delete this one.")
        self.holders = tuple(holders)


class AlreadyDone(Conflict):
    """The same form was sent twice; the first one counted. `name` tells what it made or changed."""

    code = "already_done"

    def __init__(self, name: str) -> None:
        super().__init__("This was already done, and is not done twice. A generated value is not shown again.")
        self.name = name


class FormReused(Conflict):
    """The form's token stands for another deed already: another person's, another thing's, or the same form with another name in it."""

    code = "form_reused"

    def __init__(self) -> None:
        super().__init__("This form was sent before, for something else. Nothing was done now: check what it says, then send it again.")


class OwnRights(Conflict):
    """Nobody gives to themselves, nor takes from themselves: not directly, and not by way of a team they are in."""

    status = 403
    code = "own_rights"

    def __init__(self) -> None:
        super().__init__(_("Nobody changes their own roles, alone or through a team they are in. Nothing was changed: ask another owner."))


class AboveOwn(Conflict):
    """Nobody gives more than they hold."""

    status = 403
    code = "above_own"

    def __init__(self) -> None:
        super().__init__(_("This gives more than you hold there yourself. Nothing was changed: choose another role or place."))


class LastOwner(Conflict):
    """Somebody active holds owner everywhere, at all times."""

    code = "last_owner"

    def __init__(self) -> None:
        super().__init__(_("Nobody active would be owner of all regions any more. Nothing was changed: make somebody else an owner first."))


class CannotSeal(VaultError):
    """No new value can be stored now; the message says which part is missing and how to put it right."""

    status = 503
    code = "cannot_seal"


class CannotOpen(VaultError):
    """A stored value cannot be opened. Why is not told apart: altered, moved to another record, sealed for another keyring."""

    status = 503
    code = "cannot_open"

    def __init__(
        self,
        message: str = "This stored value cannot be opened: it was altered, belongs to another record, or was sealed for another keyring. "
        "Restore the keyring or the database from the backup, or rotate the key.",
    ) -> None:
        super().__init__(message)


class NoAnswer(VaultError):
    """The control plane, which alone can open values, did not answer in time. Nothing was opened for this request."""

    status = 503
    code = "no_answer"

    def __init__(self) -> None:
        super().__init__(_("The control plane did not answer. Nothing was opened. Look whether it runs (Overview), then try again."))


class Withheld(Conflict):
    """The control plane looked for itself, and would not do what was asked. `reason` is a stable word."""

    code = "withheld"

    def __init__(self, reason: str, message: object) -> None:
        super().__init__(message)
        self.reason = reason


class TooOften(Conflict):
    status = 429
    code = "too_often"


class CannotSign(VaultError):
    """Checkpoints of the audit log cannot be signed, or their signatures not be told; the message says which file is missing and why."""

    status = 503
    code = "cannot_sign"
