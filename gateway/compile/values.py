"""What compiling needs of a key's value. Plaintext is one."""

import re
from typing import Protocol

_HEADER_SAFE = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


class Value(Protocol):
    def expose(self) -> bytes: ...


def header_safe(raw: bytes) -> bool:
    """Arrives as it was sent: printable ASCII without a space at either end, and not empty.

    Envoy would take more, and then answer 503 to every request (a line end) or trim what it sends.
    """
    return _HEADER_SAFE.fullmatch(raw) is not None
