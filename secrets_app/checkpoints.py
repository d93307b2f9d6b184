"""Checkpoints: what the control plane signs of the audit log, and writes where the console cannot change it.

One line of JSON each, appended to a file:

    {"deployment", "format": 1, "hash", "previous", "seq", "signature", "time"}

    hash       of entry `seq`, which covers every entry before it
    previous   SHA-256 of the line before it without its line end, 64 zeros in the first: a line taken out shows
    signature  Ed25519 in base64 over framed("checkpoint", the same JSON without "signature"), keys sorted, no spaces

Whoever holds the database can write the log anew from any entry on, head and all. They cannot sign, nor unsign what lies elsewhere.
"""

import base64
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from uuid import UUID

from secrets_app.chain import GENESIS, Broken, Mark
from secrets_app.errors import CannotSign
from secrets_app.framing import framed
from secrets_app.kms.signing import Signer, Verifier

_FORMAT = 1
_LONGEST = 4096  # bytes of a line


@dataclass(frozen=True, slots=True)
class Checkpoint:
    deployment: str
    seq: int
    hash: str
    time: str  # "2026-11-23T17:35:40Z"
    previous: str
    signature: str = ""
    format: int = _FORMAT

    @classmethod
    def signed(cls, signer: Signer, deployment: UUID, seq: int, head: str, now: datetime, previous: str) -> "Checkpoint":
        time = now.astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat() + "Z"
        draft = cls(str(deployment), seq, head, time, previous)
        return cls(str(deployment), seq, head, time, previous, base64.b64encode(signer.sign(draft.content())).decode())

    @classmethod
    def parse(cls, line: bytes) -> "Checkpoint | None":
        """None for what is none of ours, such as a line that was torn off when the machine lost its power."""
        try:
            found = cls(**json.loads(line))
        except (ValueError, TypeError, RecursionError):
            return None
        texts = (found.deployment, found.hash, found.time, found.previous, found.signature)
        whole = type(found.seq) is int and found.format == _FORMAT and all(isinstance(text, str) for text in texts)
        return found if whole and found.line() == line else None

    def content(self) -> bytes:
        said = asdict(self)
        del said["signature"]
        return framed(b"checkpoint", _json(said))

    def line(self) -> bytes:
        return _json(asdict(self))

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.line()).hexdigest()

    def is_signed(self, verifier: Verifier) -> bool:
        try:
            return verifier.knows(base64.b64decode(self.signature, validate=True), self.content())
        except ValueError:
            return False

    @property
    def mark(self) -> Mark:
        return Mark(self.seq, self.hash, f"the checkpoint of {self.time}")


def _json(said: object) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


class Misfit(Exception):
    """A file of checkpoints that cannot be believed; the text says from which line on."""


def read(file: Path, verifier: Verifier, deployment: UUID | None = None) -> Iterator[Checkpoint]:
    """Those that it holds now, in their order, one at a time: what is appended while they are read is left for another time.

    Raises Misfit at a line that is not signed, is missing before another, or is of another deployment; OSError at once. What is no
    line of ours is passed over: if it was one, the next one misses it.
    """
    return _read(file.open("rb"), file.stat().st_size, verifier, deployment)


def _read(opened: IO[bytes], size: int, verifier: Verifier, deployment: UUID | None) -> Iterator[Checkpoint]:
    before: Checkpoint | None = None
    with opened:
        number = 0
        while opened.tell() < size and (line := opened.readline(_LONGEST)):
            number += 1
            if (found := Checkpoint.parse(line.rstrip(b"\n"))) is None:
                continue
            where = f"line {number} of {opened.name}"
            if not found.is_signed(verifier):
                raise Misfit(f"{where} is not signed by this key")
            if deployment is not None and found.deployment != str(deployment):
                raise Misfit(f"{where} is of another deployment")
            if found.previous != (before.digest if before else GENESIS) or found.seq <= (before.seq if before else 0):
                raise Misfit(f"{where} does not follow the checkpoint before it")
            before = found
            yield found


def marks(file: Path, verifier: Verifier, deployment: UUID) -> Iterator[Mark]:
    """As chain.Walk takes them, and as of now. Raises OSError at once, and Broken where the file cannot be believed."""
    return _marks(read(file, verifier, deployment))


def _marks(found: Iterator[Checkpoint]) -> Iterator[Mark]:
    last = 0
    try:
        for checkpoint in found:
            last = checkpoint.seq
            yield checkpoint.mark
    except Misfit as misfit:
        raise Broken(last + 1, f"{misfit}: nothing vouches for it") from None


class Sink:
    """The file that checkpoints are appended to: durably, mode 0600, one process at a time. Raises OSError where the file does."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def last(self, verifier: Verifier) -> Checkpoint | None:
        """Raises CannotSign when the file ends with a checkpoint of another key: it is another deployment's, or the key was changed."""
        try:
            with self.file.open("rb") as opened:
                return self._last(opened, verifier)
        except FileNotFoundError:
            return None

    def append(self, signer: Signer, deployment: UUID, seq: int, head: str, now: datetime) -> Checkpoint | None:
        """None when another control plane has written as much already."""
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with closing(os.fdopen(descriptor, "r+b", buffering=0)) as opened:
            fcntl.flock(opened, fcntl.LOCK_EX)
            before = self._last(opened, signer.verifier)
            if before and before.seq >= seq:
                return None
            made = Checkpoint.signed(signer, deployment, seq, head, now, before.digest if before else GENESIS)
            torn = opened.seek(0, os.SEEK_END) > 0 and _tail(opened, 1) != b"\n"
            content = (b"\n" if torn else b"") + made.line() + b"\n"
            if os.write(descriptor, content) != len(content):
                raise OSError(f"{self.file} did not take the whole line")
            os.fsync(descriptor)
        return made

    def _last(self, opened: IO[bytes], verifier: Verifier) -> Checkpoint | None:
        for line in reversed(_tail(opened, 3 * _LONGEST).split(b"\n")):
            if found := Checkpoint.parse(line):
                if not found.is_signed(verifier):
                    raise CannotSign(
                        f"The last checkpoint in {self.file} was signed by another key. Name another file in CONSOLE_AUDIT_SINK, and keep "
                        "this one with the public key that belongs to it."
                    )
                return found
        return None


def _tail(opened: IO[bytes], size: int) -> bytes:
    end = opened.seek(0, os.SEEK_END)
    opened.seek(max(0, end - size))
    return opened.read(size) or b""
