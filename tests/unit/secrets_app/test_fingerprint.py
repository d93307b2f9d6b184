import hashlib
import hmac
from uuid import UUID, uuid4

from secrets_app.fingerprint import fingerprint
from secrets_app.plaintext import Plaintext

KEY = b"k" * 32
HERE = UUID("11111111-1111-4111-8111-111111111111")


def test_equal_values_are_found_in_one_region_only() -> None:
    value = Plaintext("sk-the-same-everywhere")
    again = Plaintext(b"sk-the-same-everywhere")
    assert fingerprint(KEY, HERE, value) == fingerprint(KEY, HERE, again)
    assert fingerprint(KEY, HERE, value) != fingerprint(KEY, uuid4(), value)
    assert fingerprint(KEY, HERE, value) != fingerprint(KEY, HERE, Plaintext("sk-the-same-everywherE"))
    assert fingerprint(KEY, HERE, value) != fingerprint(b"K" * 32, HERE, value)


def test_a_short_value_has_none() -> None:
    assert fingerprint(KEY, HERE, Plaintext("x" * 15)) is None
    assert fingerprint(KEY, HERE, Plaintext("x" * 16)) is not None


def test_it_is_sixteen_bytes_of_the_documented_hmac() -> None:
    value = b"sk-0123456789abcdef"
    parts = [b"latchkey/v1", b"fingerprint", HERE.bytes, value]
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    assert fingerprint(KEY, HERE, Plaintext(value)) == hmac.new(KEY, framed, hashlib.sha256).digest()[:16]
