"""Old entries leave the audit log as whole epochs: written to a file, read back, signed, recorded, and only then deleted.

An epoch begins where the one before ended and ends at a checkpoint. The file is JSON Lines in gzip: a head line that says what it holds,
then each entry with its hashes, so that whoever has the file can check the chain without the database (chain.py says how).
"""

import base64
import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import connection

from secrets_app import chain
from secrets_app.actor import Actor
from secrets_app.checkpoints import Checkpoint
from secrets_app.db import reading
from secrets_app.errors import Conflict
from secrets_app.kms.signing import Signer
from secrets_app.logbook import rows, seq_before
from secrets_app.models import Deployment, SealedEpoch, deed

A_TIME = 5000  # entries deleted in one transaction: other writers wait no longer than that takes

_NAMES = (*chain.FIELDS, "prev_hash", "hash")
_LONGEST = 8 * 1024 * 1024  # bytes of a line


@dataclass(frozen=True, slots=True)
class Plan:
    """The epoch that can be sealed: everything behind `start` up to a checkpoint."""

    start: chain.Walk
    end: Checkpoint

    @classmethod
    def before(cls, moment: datetime, checkpoints: Iterable[Checkpoint]) -> "Plan":
        """Raises Conflict when no checkpoint lies among the entries written before that moment, Broken and Misfit where nothing fits."""
        start, last = SealedEpoch.chained(), seq_before(moment)
        fitting = [found for found in checkpoints if start.seq < found.seq <= last][-1:]
        if not fitting:
            raise Conflict(f"No checkpoint lies between entry {start.seq} and entry {last}, the last one before {moment:%Y-%m-%d}.")
        return cls(start, fitting[0])


def seal(plan: Plan, file: Path, signer: Signer, *, by: Actor) -> SealedEpoch:
    """Raises OSError (FileExistsError too: nothing is overwritten), Broken when what is written or read back is not whole."""
    _write(plan, file)
    _check(file, chain.Walk(plan.start.seq, plan.start.head), plan.end.seq, plan.end.hash)
    epoch = SealedEpoch(
        first_seq=plan.start.seq + 1,
        last_seq=plan.end.seq,
        first_prev_hash=plan.start.head,
        last_hash=plan.end.hash,
        entries=plan.end.seq - plan.start.seq,
        archive=file.name[:255],
        digest=digest_of(file),
    )
    epoch.signature = base64.b64encode(signer.sign(epoch.content())).decode()
    with deed(by, "audit.archive", Deployment.here()) as entry:
        epoch.save()
        entry.facts = {"first": epoch.first_seq, "upto": epoch.last_seq, "archive": epoch.archive, "file_digest": epoch.digest}
    return epoch


def let_go() -> int:
    """Delete what sealed epochs cover, a part at a time; how many there were. Begun anew, it goes on where it was ended."""
    last, gone = SealedEpoch.last(), 0
    while last is not None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT MAX(seq) FROM (SELECT seq FROM secrets_app_auditentry ORDER BY seq LIMIT %s) AS oldest", [A_TIME])
            (upto,) = cursor.fetchone()
            cursor.execute("DELETE FROM secrets_app_auditentry WHERE seq <= %s", [min(upto or 0, last.last_seq)])
            if not cursor.rowcount:
                break
            gone += cursor.rowcount
    return gone


def check(file: Path, epoch: SealedEpoch) -> None:
    """Raises Broken when the file is not the one that was sealed, or its entries are not whole; OSError."""
    if digest_of(file) != epoch.digest:
        raise chain.Broken(epoch.first_seq, f"{file} is not the archive that was sealed")
    _check(file, chain.Walk(epoch.first_seq - 1, epoch.first_prev_hash), epoch.last_seq, epoch.last_hash)


def digest_of(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _write(plan: Plan, file: Path) -> None:
    walk = chain.Walk(plan.start.seq, plan.start.head)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as raw:
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as out, reading():
            head = {"format": 1, "deployment": str(Deployment.here().pk), "first_seq": walk.seq + 1, "last_seq": plan.end.seq}
            out.write(json.dumps(head).encode() + b"\n")
            with closing(rows(walk.seq, plan.end.seq)) as found:
                walk.follow(_written(found, out))
            walk.arrive(plan.end.seq, plan.end.hash)
        raw.flush()
        os.fsync(descriptor)


def _written(found: Iterable[chain.Row], out: Any) -> Iterator[chain.Row]:
    for row in found:
        out.write(json.dumps(dict(zip(_NAMES, row, strict=True))).encode() + b"\n")
        yield row


def _check(file: Path, walk: chain.Walk, last_seq: int, last_hash: str) -> None:
    with gzip.open(file, "rb") as lines:
        lines.readline(_LONGEST)
        walk.follow(_read(iter(lambda: lines.readline(_LONGEST), b""), walk))
    walk.arrive(last_seq, last_hash)


def _read(lines: Iterator[bytes], walk: chain.Walk) -> Iterator[chain.Row]:
    seq = walk.seq
    for line in lines:
        seq += 1
        try:
            said = json.loads(line)
            yield tuple(said[name] for name in _NAMES)
        except (ValueError, TypeError, KeyError):
            raise chain.Broken(seq, "its line in the archive cannot be read") from None
