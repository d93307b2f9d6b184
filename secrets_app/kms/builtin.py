"""The provider "builtin:": master keys are X25519 pairs in the data folder, DEKs are wrapped with HPKE (RFC 9180, base mode).

Whoever has only public.json can seal and cannot open; private.json is for the control plane alone.

    wrapped = format 0x01 | u16 KEM id (IANA, big-endian) | encapsulated key | ciphertext and tag (16)
    info    = the three bytes before the encapsulated key | what the envelope hands in
    kek id  = hex of SHA-256(framed("kek", u16 KEM id, public key))[:8]

    public.json       {"format": 1, "primary": kek id, "keys": {kek id: {"kem", "public", "created"}}}
    private.json      the same with "private" in place of "public"; keys are raw bytes in base64
    fingerprint.key   32 bytes as 64 hex digits
    sign_in.key       likewise (secrets_app/sign_in_key.py)

New values are sealed for the primary; the other pairs stay so that older values open.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import shlex
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from secrets_app.errors import CannotOpen, CannotSeal, CannotSign, VaultError
from secrets_app.files import write_private
from secrets_app.framing import framed

PUBLIC = "public.json"
PRIVATE = "private.json"
FINGERPRINT_KEY = "fingerprint.key"
SIGN_IN_KEY = "sign_in.key"

_FORMAT = 1
OTHERS_READ_OR_WRITE = 0o077
OTHERS_WRITE = 0o022  # whoever could replace the public key would read all later values

Refusal = type[CannotSeal] | type[CannotOpen] | type[CannotSign]


@dataclass(frozen=True, slots=True)
class Kem:
    """One way to wrap. Private and public keys are raw bytes in the files and in the id."""

    id: int  # IANA "HPKE KEM Identifiers"
    name: str
    suite: Suite
    make: Callable[[], bytes]
    public_of: Callable[[bytes], bytes]
    public_key: Callable[[bytes], X25519PublicKey]
    private_key: Callable[[bytes], X25519PrivateKey]

    @property
    def head(self) -> bytes:
        return bytes([_FORMAT]) + self.id.to_bytes(2, "big")

    def kek_id(self, public: bytes) -> str:
        return hashlib.sha256(framed(b"kek", self.id.to_bytes(2, "big"), public)).digest()[:8].hex()


X25519 = Kem(
    id=0x0020,
    name="X25519",
    suite=Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
    make=lambda: os.urandom(32),  # every 32 bytes are a private key (RFC 7748)
    public_of=lambda private: X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw(),
    public_key=X25519PublicKey.from_public_bytes,
    private_key=X25519PrivateKey.from_private_bytes,
)
KEMS = {kem.name: kem for kem in (X25519,)}  # ML-KEM-768 with X25519 (0x647a, same module) would be the next row


@dataclass(frozen=True, slots=True)
class Public:
    """Seals for the primary master key. Implements Wrapper."""

    kek_id: str
    kek_ids: frozenset[str]
    _kem: Kem = field(repr=False)
    _key: X25519PublicKey = field(repr=False)

    def wrap(self, dek: bytes, info: bytes) -> bytes:
        return self._kem.head + self._kem.suite.encrypt(dek, self._key, info=self._kem.head + info)


@dataclass(frozen=True, slots=True)
class Private:
    """Opens what was sealed for any master key of the keyring. Implements Unwrapper."""

    kek_id: str
    kek_ids: frozenset[str]
    _keys: Mapping[str, tuple[Kem, X25519PrivateKey]] = field(repr=False)

    def unwrap(self, wrapped: bytes, kek_id: str, info: bytes) -> bytes:
        if kek_id in self._keys:
            kem, key = self._keys[kek_id]
            if wrapped.startswith(kem.head):
                try:
                    return kem.suite.decrypt(wrapped[len(kem.head) :], key, info=kem.head + info)
                except InvalidTag:
                    pass
        raise CannotOpen()


def create_keyring(folder: Path) -> bool:
    """Make what a new deployment needs; True if this call did. Nothing that exists is ever overwritten.

    Call it only while the database holds no check values: with a database that has some, a missing file is a lost one, and
    the load functions say so. Safe against a second process and against being killed at any point: fingerprint.key
    and sign_in.key come first, private.json decides who won, public.json follows from it.
    """
    if (folder / PUBLIC).exists():
        return False
    if not (folder / PRIVATE).exists():
        for name in (FINGERPRINT_KEY, SIGN_IN_KEY):
            write_private(folder / name, os.urandom(32).hex().encode() + b"\n", replace=False)
        write_private(folder / PRIVATE, _new_private(), replace=False)
    return write_private(folder / PUBLIC, _public_half(_load(folder / PRIVATE, "private", CannotOpen)), replace=False)


def load_public(folder: Path) -> Public:
    """Raises CannotSeal, with the file and the way out, when public.json is missing, damaged or open to others' writing."""
    keyring = _load(folder / PUBLIC, "public", CannotSeal)
    kem, raw, _ = keyring.keys[keyring.primary]
    return Public(keyring.primary, frozenset(keyring.keys), kem, kem.public_key(raw))


def load_private(folder: Path) -> Private:
    """Raises CannotOpen, with the file and the way out, when private.json is missing, damaged, readable by others, or not
    the other half of the public.json beside it."""
    file = folder / PRIVATE
    keyring = _load(file, "private", CannotOpen)
    private = Private(
        keyring.primary, frozenset(keyring.keys), {i: (kem, kem.private_key(raw)) for i, (kem, raw, _) in keyring.keys.items()}
    )
    try:
        sealing = load_public(folder).kek_id
    except CannotSeal:
        return private  # opening needs no public half; whoever seals is told
    if sealing not in private.kek_ids:
        raise CannotOpen(
            f"{file} and {folder / PUBLIC} do not belong together: what is sealed now could never be opened. "
            f"Put both back from the same backup of {folder}."
        )
    return private


def load_fingerprint_key(folder: Path) -> bytes:
    """Raises CannotSeal, with the file and the way out, when fingerprint.key is missing, damaged or readable by others."""
    return _load_raw(folder / FINGERPRINT_KEY)


def load_sign_in_key(folder: Path) -> bytes:
    """Raises CannotSeal likewise for sign_in.key."""
    return _load_raw(folder / SIGN_IN_KEY)


def _load_raw(file: Path) -> bytes:
    content = guarded(file, OTHERS_READ_OR_WRITE, CannotSeal)
    if not re.fullmatch(rb"[0-9a-f]{64}\s*", content):
        raise _damaged(file, CannotSeal)
    return bytes.fromhex(content.decode())


def check_values(folder: Path) -> dict[str, str]:
    """What the database keeps to know its keyring again: no secret, and none can be worked out from it. Raises CannotSeal."""
    return {"keyring": load_public(folder).kek_id, "fingerprint": _key_check(load_fingerprint_key(folder))}


def compare_public(folder: Path, expected: Mapping[str, str]) -> None:
    """For a process that seals. Raises CannotSeal unless the files are those that check_values() once described."""
    if expected["keyring"] not in load_public(folder).kek_ids:
        raise _stranger(folder / PUBLIC, CannotSeal)
    if not hmac.compare_digest(expected["fingerprint"], _key_check(load_fingerprint_key(folder))):
        raise _stranger(folder / FINGERPRINT_KEY, CannotSeal)


def compare_private(folder: Path, expected: Mapping[str, str]) -> None:
    """For the process that opens. Raises CannotOpen unless private.json holds the master key that check_values() named."""
    if expected["keyring"] not in load_private(folder).kek_ids:
        raise _stranger(folder / PRIVATE, CannotOpen)


@dataclass(frozen=True, slots=True)
class _Keyring:
    primary: str
    keys: dict[str, tuple[Kem, bytes, str]]  # kek id: how, raw key, when made


def _new_private() -> bytes:
    raw = X25519.make()
    created = datetime.now(UTC).isoformat(timespec="seconds")
    kek_id = X25519.kek_id(X25519.public_of(raw))
    return _written(_Keyring(kek_id, {kek_id: (X25519, raw, created)}), "private")


def _public_half(private: _Keyring) -> bytes:
    keys = {kek_id: (kem, kem.public_of(raw), created) for kek_id, (kem, raw, created) in private.keys.items()}
    return _written(_Keyring(private.primary, keys), "public")


def _written(keyring: _Keyring, half: str) -> bytes:
    keys = {
        kek_id: {"kem": kem.name, half: base64.b64encode(raw).decode(), "created": created}
        for kek_id, (kem, raw, created) in keyring.keys.items()
    }
    return json.dumps({"format": _FORMAT, "primary": keyring.primary, "keys": keys}, indent=2).encode() + b"\n"


def _load(file: Path, half: str, refusal: Refusal) -> _Keyring:
    keyring = _parsed(guarded(file, OTHERS_READ_OR_WRITE if half == "private" else OTHERS_WRITE, refusal), half)
    if keyring is None:
        raise _damaged(file, refusal)
    return keyring


def _parsed(content: bytes, half: str) -> _Keyring | None:
    """None for anything that is not a keyring. The errors of parsing end here: JSON's carries the whole file."""
    try:
        data = json.loads(content)
        keys = {
            kek_id: (KEMS[entry["kem"]], base64.b64decode(entry[half], validate=True), str(entry["created"]))
            for kek_id, entry in data["keys"].items()
        }
        whole = data["format"] == _FORMAT and data["primary"] in keys
        for kek_id, (kem, raw, _) in keys.items():
            public = raw if half == "public" else kem.public_of(raw)
            kem.suite.encrypt(b"", kem.public_key(public))  # a point of low order would show itself only here
            whole = whole and kem.kek_id(public) == kek_id
        return _Keyring(data["primary"], keys) if whole else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def guarded(file: Path, forbidden: int, refusal: Refusal) -> bytes:
    """Looks at the mode of what it opened, not of what stands under the name a moment later."""
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            content = b"" if mode & forbidden else opened.read()
    except FileNotFoundError:
        raise refusal(f"{file} is missing. {_from_backup(file)}") from None
    except OSError as error:
        raise refusal(
            f"{file} cannot be read ({error.strerror}). It must be a file that belongs to the user who runs this process."
        ) from None
    if mode & forbidden:
        verb = "change" if forbidden == OTHERS_WRITE else "read or change"
        raise refusal(f"{file} has mode {mode:04o}: other users could {verb} it. Run: chmod 600 {shlex.quote(str(file))}")
    return content


def _damaged(file: Path, refusal: Refusal) -> VaultError:
    return refusal(f"{file} is damaged, or was written by a newer version of Latchkey. {_from_backup(file)}")


def _stranger(file: Path, refusal: Refusal) -> VaultError:
    return refusal(f"{file} is not the one this database was set up with: its stored values would not open. {_from_backup(file)}")


def _from_backup(file: Path) -> str:
    return f"Put {file.name} back from the backup of {file.parent} that belongs to this database; a new one cannot take its place."


def _key_check(key: bytes) -> str:
    return hmac.new(key, framed(b"check"), hashlib.sha256).digest()[:8].hex()
