"""Records sealed long ago must open for ever, and by anyone who has only the documented layout.

The second half opens them with nothing of ours: HPKE from RFC 9180's text and AES-GCM from another interface of the library.
"""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

from secrets_app.envelope import Context, Sealed, open_sealed
from secrets_app.fingerprint import fingerprint
from secrets_app.kms import builtin
from secrets_app.plaintext import Plaintext

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "format_1.json").read_text())
DEPLOYMENT, REGION = UUID(VECTORS["deployment"]), UUID(VECTORS["region"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in VECTORS["files"].items():
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        (tmp_path / name).chmod(0o600)
    return tmp_path


def test_the_frozen_records_open(folder: Path) -> None:
    private = builtin.load_private(folder)
    for record in VECTORS["records"]:
        context = Context(DEPLOYMENT, REGION, UUID(record["key"]), UUID(record["version"]))
        sealed = Sealed(bytes.fromhex(record["body"]), bytes.fromhex(record["wrapped"]), record["kek_id"])
        assert open_sealed(sealed, context, private).expose() == bytes.fromhex(record["value"])


def test_the_frozen_fingerprints_and_check_values_are_still_made(folder: Path) -> None:
    key = builtin.load_fingerprint_key(folder)
    for record in VECTORS["records"]:
        made = fingerprint(key, REGION, Plaintext(bytes.fromhex(record["value"])))
        assert (made and made.hex()) == record["fingerprint"]
    assert builtin.check_values(folder) == VECTORS["check_values"]


def test_the_vectors_cover_both_master_keys_and_all_paddings() -> None:
    records = VECTORS["records"]
    assert {record["kek_id"] for record in records} == set(VECTORS["files"]["private.json"]["keys"])
    assert {len(record["body"]) // 2 - 30 for record in records} == {64, 128}
    assert {record["fingerprint"] is None for record in records} == {True, False}


@pytest.mark.parametrize("record", VECTORS["records"], ids=lambda record: record["version"][:8])
def test_the_documented_layout_is_enough_to_open_them(record: dict[str, str]) -> None:
    ids = [DEPLOYMENT.bytes, REGION.bytes, UUID(record["key"]).bytes, UUID(record["version"]).bytes]
    body, wrapped = bytes.fromhex(record["body"]), bytes.fromhex(record["wrapped"])
    entry = VECTORS["files"]["private.json"]["keys"][record["kek_id"]]
    private = X25519PrivateKey.from_private_bytes(base64.b64decode(entry["private"]))

    assert wrapped[:3] == b"\x01\x00\x20"
    assert hashlib.sha256(_framed(b"kek", b"\x00\x20", private.public_key().public_bytes_raw())).hexdigest()[:16] == record["kek_id"]
    info = wrapped[:3] + _framed(b"dek", body[:2], *ids, record["kek_id"].encode())
    dek = _hpke_open(private, wrapped[3:35], wrapped[35:], info)

    assert body[:2] == b"\x01\x01"
    padded = _gcm_open(dek, body[2:14], body[14:], _framed(b"value", body[:2], *ids))
    size = int.from_bytes(padded[:4], "big")
    assert padded[4 : 4 + size] == bytes.fromhex(record["value"])
    assert padded[4 + size :] == bytes(-(4 + size) % 64)


def _framed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in (b"latchkey/v1", *parts))


def _gcm_open(key: bytes, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
    decryptor = Cipher(AES(key), GCM(nonce, ciphertext[-16:])).decryptor()
    decryptor.authenticate_additional_data(aad)
    return decryptor.update(ciphertext[:-16]) + decryptor.finalize()


def _hpke_open(private: X25519PrivateKey, encapsulated: bytes, ciphertext: bytes, info: bytes) -> bytes:
    """RFC 9180, 4.1 Decap and 5.1 KeySchedule in base mode, for DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM."""
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x02"
    shared = private.exchange(X25519PublicKey.from_public_bytes(encapsulated))
    prk = _extract(kem, b"", b"eae_prk", shared)
    secret = _expand(kem, prk, b"shared_secret", encapsulated + private.public_key().public_bytes_raw(), 32)
    schedule = b"\0" + _extract(suite, b"", b"psk_id_hash", b"") + _extract(suite, b"", b"info_hash", info)
    prk = _extract(suite, secret, b"secret", b"")
    return _gcm_open(_expand(suite, prk, b"key", schedule, 32), _expand(suite, prk, b"base_nonce", schedule, 12), ciphertext, b"")


def _extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    return hmac.new(salt or bytes(32), b"HPKE-v1" + suite + label + material, hashlib.sha256).digest()


def _expand(suite: bytes, prk: bytes, label: bytes, info: bytes, size: int) -> bytes:
    return hmac.new(prk, size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info + b"\x01", hashlib.sha256).digest()[:size]
