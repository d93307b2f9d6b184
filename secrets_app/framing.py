"""The one encoding that everything authenticated goes through, so that no two inputs ever share their bytes."""

DOMAIN = b"latchkey/v1"
_LENGTH = 4
_BLOCK = 64


def framed(purpose: bytes, *parts: bytes) -> bytes:
    """`u32 length | bytes` (big-endian) for each of "latchkey/v1", purpose and parts: ("ab", "c") is not ("a", "bc")."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in (DOMAIN, purpose, *parts))


def padded(value: bytes) -> bytes:
    """`u32 length (big-endian) | value | 0x00 up to a multiple of 64`: what is encrypted so has a size that tells little."""
    return (len(value).to_bytes(_LENGTH, "big") + value).ljust(_padded_size(len(value)), b"\0")


def unpadded(padded: bytes) -> bytes:
    """Raises ValueError unless `padded` is exactly what padded() makes: a record has one form only."""
    size = int.from_bytes(padded[:_LENGTH], "big")
    if len(padded) != _padded_size(size) or any(padded[_LENGTH + size :]):
        raise ValueError("bad padding")
    return padded[_LENGTH : _LENGTH + size]


def _padded_size(size: int) -> int:
    return -(-(_LENGTH + size) // _BLOCK) * _BLOCK
