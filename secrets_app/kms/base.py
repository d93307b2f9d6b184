"""What a KMS provider must offer. Sealing needs a Wrapper, opening an Unwrapper; a process may hold only the first."""

from pathlib import Path
from typing import Protocol


class Wrapper(Protocol):
    @property
    def kek_id(self) -> str:
        """The master key that wrap() wraps for. Stored beside the wrapped DEK."""
        ...

    def wrap(self, dek: bytes, info: bytes) -> bytes:
        """The result opens only with the same `info`. Raises CannotSeal."""
        ...


class Unwrapper(Protocol):
    def unwrap(self, wrapped: bytes, kek_id: str, info: bytes) -> bytes:
        """Raises CannotOpen for anything that wrap() did not make with this master key and this `info`."""
        ...


class Provider(Protocol):
    """A module of this package. `folder` is the data folder's `kms/`, where providers keep what they need."""

    def load_public(self, folder: Path) -> Wrapper: ...

    def load_private(self, folder: Path) -> Unwrapper: ...
