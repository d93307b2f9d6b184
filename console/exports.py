"""Entries of the audit log as files. What people typed stands in them: nothing of it becomes a formula or a line of its own.

CSV is for spreadsheets, which take a cell for a formula that begins with = + - @ (also in full width), even behind a separator that
another spreadsheet would split at: such a sign gets an apostrophe before it. What moves the cursor, ends a line or turns the reading order
(controls, NEL, U+2028, bidi) stands as its escape. JSON Lines is exact: everything beyond ASCII is escaped by JSON itself.
"""

import csv
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Any

from secrets_app.models import AuditEntry

CSV, JSON_LINES = "csv", "jsonl"
TYPES = {CSV: "text/csv; charset=utf-8", JSON_LINES: "application/x-ndjson"}
COLUMNS = (
    "seq", "at", "outcome", "actor", "action", "target_kind", "target", "region", "address", "facts", "actor_id", "target_id", "region_id",
    "session", "request_id", "operation", "prev_hash", "hash",
)  # fmt: skip

_FORMULA = re.compile("(^|[;,\t\"'|])(\\s*)(?=[=+\\-@\uff1d\uff0b\uff0d\uff20\u2212\ufe62\ufe63\ufe66\ufe6b])")
_BYTE_ORDER_MARK = "\ufeff"  # Excel takes a file without one for another encoding


def lines(entries: Iterable[AuditEntry], form: str) -> Iterator[bytes]:
    """One at a time; memory does not grow with their number."""
    return _as_csv(entries) if form == CSV else _as_json(entries)


def _as_csv(entries: Iterable[AuditEntry]) -> Iterator[bytes]:
    writer = csv.writer(_Echo(), quoting=csv.QUOTE_ALL)
    yield (_BYTE_ORDER_MARK + writer.writerow(COLUMNS)).encode()
    for entry in entries:
        said = _said(entry) | {"facts": json.dumps(entry.facts, ensure_ascii=False, sort_keys=True)}
        yield writer.writerow([_cell(said[column]) for column in COLUMNS]).encode()


def _as_json(entries: Iterable[AuditEntry]) -> Iterator[bytes]:
    for entry in entries:
        said = _said(entry)
        yield json.dumps({column: said[column] for column in COLUMNS}).encode() + b"\n"


def _said(entry: AuditEntry) -> dict[str, Any]:
    """As chain.py takes it, so that whoever has all entries can check them."""
    said = {column: getattr(entry, column) for column in COLUMNS}
    ids = {name: said[name].hex if said[name] else "" for name in ("actor_id", "region_id", "operation")}
    return said | ids | {"at": entry.at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")}


def _cell(value: object) -> str:
    text = str(value)
    if not (text.isascii() and text.isprintable()):
        text = "".join(map(_visible, text))
    return _FORMULA.sub(r"\1'\2", text)


def _visible(character: str) -> str:
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character.encode("unicode_escape", "surrogatepass").decode()
    return character


class _Echo:
    """csv writes into a file; here a line is what write() answers."""

    def write(self, line: str) -> str:
        return line
