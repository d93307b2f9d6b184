"""The keyring of this deployment, as this process may use it: the web process seals, the control plane opens."""

import hmac
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from secrets_app.framing import framed
from secrets_app.kms import builtin, provider
from secrets_app.kms.base import Unwrapper, Wrapper

BUILTIN = "builtin:"


def folder() -> Path:
    return Path(settings.DATA_DIR) / "kms"


def wrapper(uri: str) -> Wrapper:
    """The sealing half of a KMS instance. Raises CannotSeal when it is missing or damaged."""
    return _public(uri, folder(), stamp(folder() / builtin.PUBLIC))


def unwrapper(check_values: Mapping[str, str]) -> Unwrapper:
    """The opening half, which only the control plane reads. Raises CannotOpen when it is missing, damaged, readable by others,
    or not the keyring that the database describes by its check values."""
    builtin.compare_private(folder(), check_values)
    return provider(BUILTIN).load_private(folder())


def fingerprint_key() -> bytes:
    return _fingerprint_key(folder(), stamp(folder() / builtin.FINGERPRINT_KEY))


def derived(purpose: bytes) -> bytes:
    """32 bytes for another use than fingerprints, that tell nothing of the fingerprint key."""
    return hmac.digest(fingerprint_key(), framed(b"derived", purpose), "sha256")


# Read once per content: a restored or exchanged file is seen without a restart.
def stamp(file: Path) -> tuple[int, int]:
    try:
        stat = file.stat()
    except OSError:
        return (0, 0)  # the loader then says in words what is missing
    return (stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=2)
def _public(uri: str, folder: Path, stamp: tuple[int, int]) -> Wrapper:
    return provider(uri).load_public(folder)


@lru_cache(maxsize=2)
def _fingerprint_key(folder: Path, stamp: tuple[int, int]) -> bytes:
    return builtin.load_fingerprint_key(folder)
