"""The hash chain of the audit log, and how to check it.

    hash = SHA-256(prev_hash || canonical JSON of the entry in UTF-8, NFC, keys sorted, no spaces)

An entry that was changed, left out, put in or moved breaks it at that `seq`; entries cut from the end are missed by the head row.
Whoever can rewrite every later entry and the head as well cannot be caught by the log alone: compare the head with one written down.
"""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

GENESIS = "0" * 64

FIELDS = (
    "action", "actor", "actor_id", "address", "at", "facts", "operation", "outcome", "region", "region_id", "request_id", "seq",
    "target", "target_id", "target_kind",
)  # fmt: skip


def digest(entry: Mapping[str, Any], prev_hash: str) -> str:
    """What an entry's hash must be. `entry` holds at least FIELDS; `prev_hash` is 64 hex digits."""
    content = {
        **{name: entry[name] for name in FIELDS},
        "at": entry["at"].astimezone(UTC).isoformat(timespec="microseconds"),
        **{name: str(entry[name] or "") for name in ("actor_id", "operation", "region_id")},
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(bytes.fromhex(prev_hash) + unicodedata.normalize("NFC", canonical).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """`bad` is the first seq that is wrong, None when all `entries` are whole; `head` is the hash to write down."""

    entries: int
    head: str
    bad: int | None = None
    why: str = ""


def verify(entries: Iterable[Mapping[str, Any]], end_seq: int, end_hash: str) -> Verdict:
    """`entries` by seq, each with FIELDS, hash and prev_hash; the end is what the head row says. Holds one entry at a time."""
    seq, head = 0, GENESIS
    for entry in entries:
        if why := _wrong(entry, seq + 1, head):
            return Verdict(seq, head, seq + 1, why)
        seq, head = seq + 1, entry["hash"]
    if end_seq > seq:
        return Verdict(seq, head, seq + 1, f"the log goes on to entry {end_seq}, but its end was cut off")
    if end_seq < seq:
        return Verdict(seq, head, end_seq + 1, "it was put in behind the end of the log")
    if end_hash != head:
        return Verdict(seq, head, seq, "it is not the one that the head of the log names")
    return Verdict(seq, head)


def _wrong(entry: Mapping[str, Any], seq: int, head: str) -> str:
    if entry["seq"] != seq:
        return "it is missing"
    if entry["prev_hash"] != head:
        return "it does not follow the entry before it"
    if digest(entry, head) != entry["hash"]:
        return "its content is not what was written"
    return ""
