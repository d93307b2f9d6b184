"""Sealing a value into bytes for the database, and opening them again.

Every version gets a data key (DEK) of its own, made and used once inside seal(), so a repeated GCM nonce is not a question.
The DEK is wrapped for a master key (KEK) that never enters the database. Both layers authenticate where the record stands,
so a row moved to another key, version, region or deployment does not open.

    body    = format 0x01 | algorithm 0x01 | nonce (12) | AES-256-GCM ciphertext and tag (16)
    sealed  = u32 length (big-endian) | value | 0x00 up to a multiple of 64    this is what is encrypted: its size names no supplier
    AAD     = framed("value", format | algorithm, deployment, region, key, version)
    info    = framed("dek", format | algorithm, deployment, region, key, version, kek id)
    wrapped = the provider's own layout; authenticates `info`

`framed` is in framing.py; ids are the 16 bytes of their UUID. Names are in none of it: renaming seals nothing anew. The KEK's
id is not in the AAD: rewrapping leaves the body as it is, byte for byte.
"""

import os
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secrets_app.errors import CannotOpen, Invalid
from secrets_app.framing import framed, padded, unpadded
from secrets_app.kms.base import Unwrapper, Wrapper
from secrets_app.plaintext import Plaintext

# Format 1, algorithm 1 (AES-256-GCM). There is no "not encrypted" algorithm, and an unknown pair of bytes is refused.
_HEADER = b"\x01\x01"
_DEK = 32
_NONCE = 12


@dataclass(frozen=True, slots=True)
class Context:
    """Where a record stands. Fixed at birth: all four ids are known before the row is inserted."""

    deployment: UUID
    region: UUID
    key: UUID
    version: UUID


@dataclass(frozen=True, slots=True)
class Sealed:
    body: bytes
    wrapped: bytes
    kek_id: str


def seal(value: Plaintext, context: Context, wrapper: Wrapper) -> Sealed:
    """One call of the wrapper. Never the same bytes twice. Raises CannotSeal when the wrapper cannot wrap."""
    dek = os.urandom(_DEK)
    wrapped = wrapper.wrap(dek, _info(context, wrapper.kek_id))  # first: if this fails, the DEK has protected nothing yet
    nonce = os.urandom(_NONCE)
    body = _HEADER + nonce + AESGCM(dek).encrypt(nonce, padded(value.expose()), _aad(context))
    return Sealed(body, wrapped, wrapper.kek_id)


def open_sealed(sealed: Sealed, context: Context, unwrapper: Unwrapper) -> Plaintext:
    """One call of the unwrapper. Raises CannotOpen, always with the same text: why it failed is nobody's hint."""
    try:
        return _open(sealed, context, unwrapper)
    except (CannotOpen, InvalidTag, Invalid, ValueError):
        pass
    # Raised out here so that neither the cause nor the frames that held the DEK hang on the error.
    raise CannotOpen() from None


def _open(sealed: Sealed, context: Context, unwrapper: Unwrapper) -> Plaintext:
    if not sealed.body.startswith(_HEADER):
        raise CannotOpen()
    nonce, ciphertext = sealed.body[2 : 2 + _NONCE], sealed.body[2 + _NONCE :]
    dek = unwrapper.unwrap(sealed.wrapped, sealed.kek_id, _info(context, sealed.kek_id))
    if len(dek) != _DEK:  # AESGCM would take a 16-byte key as well
        raise CannotOpen()
    return Plaintext(unpadded(AESGCM(dek).decrypt(nonce, ciphertext, _aad(context))))


def _aad(context: Context) -> bytes:
    return framed(b"value", _HEADER, *_ids(context))


def _info(context: Context, kek_id: str) -> bytes:
    return framed(b"dek", _HEADER, *_ids(context), kek_id.encode())


def _ids(context: Context) -> tuple[bytes, ...]:
    return context.deployment.bytes, context.region.bytes, context.key.bytes, context.version.bytes
