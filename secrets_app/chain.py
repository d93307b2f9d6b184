"""The hash chain of the audit log, and how to check it.

    hash      = SHA-256(prev_hash as 64 hex digits in ASCII || canonical)
    canonical = JSON of the entry's FIELDS in UTF-8, NFC, keys sorted, no spaces; `at` as "2026-11-23 17:35:40.123456" in UTC,
                ids as 32 hex digits or "", `facts` the same JSON again

An entry that was changed, left out, put in or moved breaks it at that `seq`; entries cut from the end are missed by the head row, and
with the head put back by the checkpoints (checkpoints.py), which also find a log that was written anew from some entry on.

The canonical form is put together by hand, from what the database answers as text: that checks 100,000 entries a second, json.dumps
of a dictionary with dates a fifth of it.
"""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring as quoted  # as ensure_ascii=False writes a text
from typing import Any
from uuid import UUID

GENESIS = "0" * 64

FIELDS = (
    "action", "actor", "actor_id", "address", "at", "facts", "operation", "outcome", "region", "region_id", "request_id", "seq",
    "session", "target", "target_id", "target_kind",
)  # fmt: skip

Row = tuple[Any, ...]  # FIELDS in this order, then prev_hash and hash, each as the database has it as text; `seq` a number

_SECOND = len("2026-11-23 17:35:40")
_canonical_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def digest(entry: Mapping[str, Any], prev_hash: str) -> str:
    """What an entry's hash must be. `entry` holds at least FIELDS, as the model has them."""
    return digest_of_row(tuple(json.dumps(entry[name]) if name == "facts" else _as_text(entry[name]) for name in FIELDS), prev_hash)


def digest_of_row(row: Row, prev_hash: str) -> str:
    """Raises TypeError, ValueError or RecursionError for a row that no entry of ours could be."""
    action, actor, actor_id, address, at, facts, operation, outcome, region, region_id, request_id, seq, session = row[:13]
    if len(at) == _SECOND:
        at += ".000000"  # SQLite's text leaves them out
    content = (
        f'{{"action":{quoted(action)},"actor":{quoted(actor)},"actor_id":{quoted(actor_id or "")},"address":{quoted(address)},'
        f'"at":{quoted(at)},"facts":{_facts(facts)},"operation":{quoted(operation or "")},"outcome":{quoted(outcome)},'
        f'"region":{quoted(region)},"region_id":{quoted(region_id or "")},"request_id":{quoted(request_id)},"seq":{seq:d},'
        f'"session":{quoted(session)},"target":{quoted(row[13])},"target_id":{quoted(row[14])},"target_kind":{quoted(row[15])}}}'
    )
    if not content.isascii():
        content = unicodedata.normalize("NFC", content)
    # A lone surrogate can come out of JSON's escapes: it has to have bytes of its own, not end the check.
    return hashlib.sha256(prev_hash.encode("utf-8", "surrogatepass") + content.encode("utf-8", "surrogatepass")).hexdigest()


def _as_text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    if isinstance(value, UUID):
        return value.hex
    return value


@lru_cache(maxsize=2048)  # few of them differ: most entries of an action state the same
def _facts(text: str) -> str:
    return "{}" if text == "{}" else _canonical_json(json.loads(text))


@dataclass(frozen=True, slots=True)
class Mark:
    """A place that the log must pass through: what somebody wrote down of it earlier."""

    seq: int
    hash: str
    source: str  # "the checkpoint of 2026-11-23T17:35:40Z"


class Broken(Exception):
    """`seq` is the first entry that is wrong."""

    def __init__(self, seq: int, why: str, *, cut: bool = False) -> None:
        super().__init__(f"entry {seq}: {why}")
        self.seq, self.why, self.cut = seq, why, cut


@dataclass(slots=True)
class Walk:
    """A walk along the chain, which can be taken in parts. It has come to `seq`, whose hash is `head`; `entries` of them are whole.

    `marks` are what it has to pass on its way, in the order of their seq.
    """

    seq: int = 0
    head: str = GENESIS
    entries: int = 0
    marks: Iterator[Mark] = field(default_factory=lambda: iter(()))
    _mark: Mark | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._mark = self._next_mark(self.seq)

    def follow(self, rows: Iterable[Row]) -> None:
        """Raises Broken at the first entry that is wrong. Holds one entry at a time."""
        began, seq, head = self.seq, self.seq, self.head
        marked = self._mark.seq if self._mark else 0
        try:
            for row in rows:
                if row[11] != seq + 1:
                    raise Broken(seq + 1, "it is missing")
                if row[16] != head:
                    raise Broken(seq + 1, "it does not follow the entry before it")
                if not _is_whole(row):
                    raise Broken(seq + 1, "its content is not what was written")
                seq, head = seq + 1, row[17]
                if seq == marked:
                    marked = self._pass_mark(seq, head)
        finally:
            self.seq, self.head, self.entries = seq, head, self.entries + seq - began

    def _pass_mark(self, seq: int, head: str) -> int:
        """The seq of the next one, or 0."""
        if self._mark is not None and self._mark.hash != head:
            raise Broken(seq, f"it is not the one that {self._mark.source} names: the log was written anew at it, or before it")
        self._mark = self._next_mark(seq)
        return self._mark.seq if self._mark else 0

    def _next_mark(self, seq: int) -> Mark | None:
        return next((mark for mark in self.marks if mark.seq > seq), None)

    def arrive(self, end_seq: int, end_hash: str) -> None:
        """The end of the log is here, as its head row says. Raises Broken."""
        if self._mark is not None:
            raise Broken(self.seq + 1, f"{self._mark.source} names entry {self._mark.seq}, but the log ends before it", cut=True)
        if end_seq > self.seq:
            raise Broken(self.seq + 1, f"the log goes on to entry {end_seq}, but its end was cut off", cut=True)
        if end_seq < self.seq:
            raise Broken(end_seq + 1, "it was put in behind the end of the log")
        if end_hash != self.head:
            raise Broken(self.seq, "it is not the one that the head of the log names")


def _is_whole(row: Row) -> bool:
    try:
        return bool(digest_of_row(row, row[16]) == row[17])
    except (TypeError, ValueError, RecursionError):
        return False
