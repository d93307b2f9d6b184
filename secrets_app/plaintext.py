"""A value in the clear, in a wrapper that no log line, page, traceback or pickle can open by accident."""

import os
import string
from dataclasses import dataclass
from typing import Any, Never, Self

from secrets_app.errors import Invalid
from secrets_app.refs import looks_like_reference

MAX = 64 * 1024  # bytes
LONG_ENOUGH = 16  # characters; a shorter value could be found by trying fingerprints
PREFIX = "lk_"

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_BYTES = 32
_DIGITS = 43  # 62 ** 43 > 2 ** 256: every value has the same length


@dataclass(frozen=True, slots=True)
class Traits:
    """What may be known of a value after it is sealed. Noted at sealing, because the web process cannot look again."""

    size: int  # bytes
    header_safe: bool  # printable ASCII, no space at either end: travels in an HTTP header unchanged
    long_enough: bool  # at least 16 characters: may be bound to a consumer, and has a fingerprint
    refers: bool = False  # holds `$ref{`: meant as a reference, not as a value


class Plaintext:
    """1 byte to 64 KiB without NUL; a str is taken as UTF-8. Raises Invalid on the field "value".

    repr() hides it. str(), format(), comparing, hashing, copying and pickling raise TypeError: each would either leak the
    value or quietly give a wrong answer ("Bearer <hidden>" on the wire, two equal values said to differ).
    Wiping memory is not promised: Python copies strings where it likes.
    """

    __slots__ = ("__value",)

    def __init__(self, value: bytes | str) -> None:
        raw = _encoded(value)
        problem = _problem(raw)
        if problem:
            del value, raw  # a traceback that shows locals must not show them
            raise Invalid({"value": [problem]})
        assert raw is not None
        self.__value = raw

    @classmethod
    def generate(cls) -> Self:
        """ "lk_" and 43 base62 digits that hold 256 random bits."""
        number = int.from_bytes(os.urandom(_RANDOM_BYTES), "big")
        digits = []
        for _ in range(_DIGITS):
            number, digit = divmod(number, 62)
            digits.append(_BASE62[digit])
        return cls(PREFIX + "".join(reversed(digits)))

    def expose(self) -> bytes:
        """The value itself. Every call site is one that the README names under "where plaintext lives"."""
        return self.__value

    @property
    def traits(self) -> Traits:
        raw = self.__value
        return Traits(
            size=len(raw),
            header_safe=all(0x20 <= byte <= 0x7E for byte in raw) and raw == raw.strip(b" "),
            long_enough=len(raw.decode("utf-8", "replace")) >= LONG_ENOUGH,
            refers=looks_like_reference(raw),
        )

    def __repr__(self) -> str:
        return "<Plaintext, hidden>"

    def __str__(self) -> Never:
        raise TypeError("A Plaintext has no text form: hand on the object itself, and expose() it where it is used.")

    def __format__(self, spec: str) -> Never:
        raise TypeError("A Plaintext cannot be formatted: hand on the object itself, and expose() it where it is used.")

    def __eq__(self, other: object) -> bool:
        # Anything else is simply not equal: Django's fields ask `value in [None, "", [], (), {}]`.
        if isinstance(other, Plaintext | str | bytes) and other:
            raise TypeError("Plaintexts are not compared: compare fingerprints, or exposed bytes with hmac.compare_digest.")
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __reduce_ex__(self, protocol: Any) -> Never:
        raise TypeError("A Plaintext can be neither copied nor pickled.")

    def __getstate__(self) -> Never:
        raise TypeError("A Plaintext can be neither copied nor pickled.")


def _encoded(value: bytes | str) -> bytes | None:
    """None where there is no UTF-8 form. The UnicodeEncodeError ends here because it carries the value."""
    try:
        return value.encode() if isinstance(value, str) else bytes(value)
    except UnicodeEncodeError:
        return None


def _problem(raw: bytes | None) -> str:
    if raw is None:
        return "The value holds characters that are not valid Unicode. Paste it again from its source."
    if not raw:
        return "The value is empty. Enter at least one character."
    if len(raw) > MAX:
        return f"The value is longer than {MAX // 1024} KiB. Store a shorter one."
    if 0 in raw:
        return "The value holds a NUL character. Paste it again without it."
    return ""
