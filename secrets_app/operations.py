"""Operations that follow from another: a form's token names the deed that it asks for, and the sender chooses it."""

import hmac
from uuid import UUID

from secrets_app import keyring
from secrets_app.framing import framed


def following(purpose: bytes, first: bytes) -> UUID:
    """Always the same, and known to the console's own processes alone: were it to be worked out from what a person sends, they could give
    the name to a deed of theirs before, and nothing could follow. Raises CannotSeal without the keyring."""
    return UUID(bytes=hmac.digest(keyring.derived(b"operations"), framed(purpose, first), "sha256")[:16], version=4)
