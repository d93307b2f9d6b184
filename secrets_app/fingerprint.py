"""Finding equal values without opening them."""

import hashlib
import hmac
from uuid import UUID

from secrets_app.framing import framed
from secrets_app.plaintext import Plaintext


def fingerprint(key: bytes, region: UUID, value: Plaintext) -> bytes | None:
    """First 16 bytes of HMAC-SHA256(key, framed("fingerprint", region id, value)): equal in one region exactly for equal values.

    The region stands in it, so equality shows nothing across regions. None for a value under 16 characters: whoever holds
    `key` can test guesses, and a short value would be guessed. Never shown, never logged, never in the audit log.
    """
    if not value.traits.long_enough:
        return None
    return hmac.new(key, framed(b"fingerprint", region.bytes, value.expose()), hashlib.sha256).digest()[:16]
