"""The pair that signs checkpoints of the audit log: Ed25519 (RFC 8032), in the keyring's folder.

    checkpoints.key   private, 32 bytes as 64 hex digits; for the control plane alone, as private.json is
    checkpoints.pub   public, likewise; for everybody: whoever has written it down can tell what the control plane signed

It seals nothing: without it no value is lost, and no checkpoint is written any more.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from secrets_app.errors import CannotSign
from secrets_app.files import write_private
from secrets_app.kms.builtin import OTHERS_READ_OR_WRITE, OTHERS_WRITE, guarded

PRIVATE = "checkpoints.key"
PUBLIC = "checkpoints.pub"


@dataclass(frozen=True, slots=True)
class Verifier:
    """Knows what the pair's other half has signed."""

    public: str  # 64 hex digits
    _key: Ed25519PublicKey = field(repr=False)

    @classmethod
    def of(cls, public: str) -> "Verifier":
        """Raises CannotSign for what is no public key."""
        text = public.strip().lower()
        if not re.fullmatch(r"[0-9a-f]{64}", text):
            raise CannotSign("This is no public key: it has 64 hex digits. `manage.py checkpoint_key` prints it.")
        return cls(text, Ed25519PublicKey.from_public_bytes(bytes.fromhex(text)))

    def knows(self, signature: bytes, content: bytes) -> bool:
        try:
            self._key.verify(signature, content)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signer:
    verifier: Verifier
    _key: Ed25519PrivateKey = field(repr=False)

    def sign(self, content: bytes) -> bytes:
        return self._key.sign(content)


def create_pair(folder: Path) -> bool:
    """True if this call made it. Nothing that exists is overwritten; a private half whose public one is gone gets it back."""
    if not (folder / PRIVATE).exists() and (folder / PUBLIC).exists():
        return False  # the private half lies elsewhere, or is lost: another pair would not be the one that others know
    made = write_private(folder / PRIVATE, os.urandom(32).hex().encode() + b"\n", replace=False)
    write_private(folder / PUBLIC, load_signer(folder).verifier.public.encode() + b"\n", replace=False)
    return made


def load_signer(folder: Path) -> Signer:
    """Raises CannotSign, with the file and the way out, when it is missing, damaged or readable by others."""
    content = guarded(folder / PRIVATE, OTHERS_READ_OR_WRITE, CannotSign)
    if not re.fullmatch(rb"[0-9a-f]{64}\s*", content):
        raise CannotSign(f"{folder / PRIVATE} is damaged. Put it back from the backup of {folder}.")
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(content.decode()))
    return Signer(Verifier.of(key.public_key().public_bytes_raw().hex()), key)


def load_verifier(folder: Path) -> Verifier:
    """Raises CannotSign."""
    return Verifier.of(guarded(folder / PUBLIC, OTHERS_WRITE, CannotSign).decode("ascii", "replace"))
