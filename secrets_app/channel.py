"""How the control plane answers the web process, which can seal and never open: so that whoever asked reads it, and nobody else.

The asker makes an X25519 pair for one errand. The private half never leaves that request's memory; the public half goes with the errand
row, and its hash into the audit entry that the answerer insists on.

    answer = HPKE (RFC 9180, base mode: X25519, HKDF-SHA256, AES-256-GCM) of padded(0x01 | content), or of padded(0x00 | why it is refused)
    info   = framed("answer", shared, deployment, errand, action, subject, version)
    proof  = HMAC-SHA256(shared, framed("errand", deployment, errand, public key))

`shared` is derived from the fingerprint key, which both processes hold. Base mode names no sender: with `shared` in the info, whoever can
only write to the database can neither ask (no proof) nor answer in the control plane's place.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any, Never
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from secrets_app.errors import CannotOpen
from secrets_app.framing import framed, padded, unpadded

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_SERVED, _REFUSED = b"\x01", b"\x00"


@dataclass(frozen=True, slots=True)
class About:
    """What an answer is bound to. `subject` is the id of what the errand is about, `version` that of a key's value."""

    deployment: UUID
    errand: UUID
    action: str
    subject: str
    version: int = 0

    def info(self, shared: bytes) -> bytes:
        said = (self.action, self.subject, str(self.version))
        return framed(b"answer", shared, self.deployment.bytes, self.errand.bytes, *(word.encode() for word in said))


@dataclass(frozen=True, slots=True)
class Answer:
    """`content` of what was served; of a refusal its code."""

    served: bool
    content: bytes

    def __repr__(self) -> str:
        return "<Answer, hidden>"


class Asker:
    """The asking end of one errand. Its private half has no way out of this object."""

    __slots__ = ("__private", "public")

    def __init__(self) -> None:
        self.__private = X25519PrivateKey.generate()
        self.public = self.__private.public_key().public_bytes_raw()

    def read(self, sealed: bytes, about: About, shared: bytes) -> Answer:
        """Raises CannotOpen for anything that was not answered to this asker, about this."""
        try:
            content = unpadded(_SUITE.decrypt(sealed, self.__private, info=about.info(shared)))
        except (InvalidTag, ValueError):
            pass
        else:
            return Answer(content[:1] == _SERVED, content[1:])
        raise CannotOpen() from None

    def __reduce_ex__(self, protocol: Any) -> Never:
        raise TypeError("An Asker can be neither copied nor pickled.")


def answered(answer: Answer, public: bytes, about: About, shared: bytes) -> bytes:
    """Sealed for the holder of the other half. Raises CannotOpen for a public key that nothing can be sealed to."""
    content = padded((_SERVED if answer.served else _REFUSED) + answer.content)
    try:
        return _SUITE.encrypt(content, X25519PublicKey.from_public_bytes(public), info=about.info(shared))
    except ValueError:  # of another length, or a point of low order
        pass
    raise CannotOpen() from None


def proof(shared: bytes, deployment: UUID, errand: UUID, public: bytes) -> bytes:
    return hmac.digest(shared, framed(b"errand", deployment.bytes, errand.bytes, public), "sha256")


def named(public: bytes) -> str:
    """The public key's hash, as the audit entry of its errand states it."""
    return hashlib.sha256(public).hexdigest()
