"""What the web process must read again to let people in, such as the seed of an authenticator app, is kept under a key of its own.

It opens no stored value: those are sealed for the control plane. A token is Fernet's (AES-128-CBC and HMAC-SHA256); what it is about
stands inside it, so that one made for another purpose or person does not open.

    sign_in.key       32 bytes as 64 hex digits, beside the keyring
"""

import base64
from functools import lru_cache
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from secrets_app import keyring
from secrets_app.errors import CannotOpen
from secrets_app.framing import framed
from secrets_app.kms import builtin


def encrypt(text: str, about: str) -> str:
    """Raises CannotSeal when the key is missing, damaged or readable by others."""
    return _fernet().encrypt(_head(about) + text.encode()).decode()


def decrypt(token: str, about: str, *, within: int | None = None) -> str:
    """`within`: not older than so many seconds. Raises CannotOpen: altered, too old, about something else, or of another key."""
    try:
        content = _fernet().decrypt(token.encode(), ttl=within)
    except (InvalidToken, UnicodeEncodeError):
        raise CannotOpen(REFUSED) from None
    if not content.startswith(_head(about)):
        raise CannotOpen(REFUSED)
    return content.removeprefix(_head(about)).decode()


REFUSED = "This cannot be read with the sign-in key of this console (kms/sign_in.key): restore that file from the backup."


def _head(about: str) -> bytes:
    return framed(b"sign-in", about.encode())


def _fernet() -> Fernet:
    file = keyring.folder() / builtin.SIGN_IN_KEY
    return _loaded(file, keyring.stamp(file))


@lru_cache(maxsize=2)
def _loaded(file: Path, stamp: tuple[int, int]) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(builtin.load_sign_in_key(file.parent)))
