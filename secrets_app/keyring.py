"""The keyring of this deployment, as this process may use it: the web process seals, the control plane opens."""

from functools import lru_cache
from pathlib import Path

from django.conf import settings

from secrets_app.kms import builtin
from secrets_app.kms.base import Unwrapper, Wrapper


def folder() -> Path:
    return Path(settings.DATA_DIR) / "kms"


def wrapper() -> Wrapper:
    """The public half. Raises CannotSeal when it is missing or damaged."""
    return _public(folder(), _stamp(folder() / "public.json"))


def unwrapper() -> Unwrapper:
    """The private half, which only the control plane reads. Raises CannotOpen when it is missing, damaged or readable by others."""
    return builtin.load_private(folder())


def fingerprint_key() -> bytes:
    return _fingerprint_key(folder(), _stamp(folder() / "fingerprint.key"))


# Read once per content: a restored or exchanged file is seen without a restart.
def _stamp(file: Path) -> tuple[int, int]:
    try:
        stat = file.stat()
    except OSError:
        return (0, 0)  # the loader then says in words what is missing
    return (stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=2)
def _public(folder: Path, stamp: tuple[int, int]) -> Wrapper:
    return builtin.load_public(folder)


@lru_cache(maxsize=2)
def _fingerprint_key(folder: Path, stamp: tuple[int, int]) -> bytes:
    return builtin.load_fingerprint_key(folder)
