"""The one encoding that everything authenticated goes through, so that no two inputs ever share their bytes."""

DOMAIN = b"latchkey/v1"


def framed(purpose: bytes, *parts: bytes) -> bytes:
    """`u32 length | bytes` (big-endian) for each of "latchkey/v1", purpose and parts: ("ab", "c") is not ("a", "bc")."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in (DOMAIN, purpose, *parts))
