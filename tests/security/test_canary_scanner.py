"""The scanner sees what it is to look for: one planted value in each dress, in each kind of place."""

import base64
import gzip
import html
import json
import logging
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.security.canary import Canaries, folder

DRESSES: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda value: value,
    "reversed": lambda value: value[::-1],
    "base64": base64.b64encode,
    "base64 after one byte": lambda value: base64.b64encode(b"x" + value),
    "base64 after two bytes": lambda value: base64.b64encode(b"xy" + value),
    "base64 for addresses": base64.urlsafe_b64encode,
    "hex": lambda value: value.hex().encode(),
    "HEX": lambda value: value.hex().upper().encode(),
    "in an address": lambda value: quote(value).encode(),
    "percent-encoded throughout": lambda value: "".join(f"%{byte:02X}" for byte in value).encode(),
    "in JSON": lambda value: json.dumps({"a": value.decode()}).encode(),
    "in JSON, escaped throughout": lambda value: "".join(f"\\u{byte:04x}" for byte in value).encode(),
    "in a page": lambda value: html.escape(value.decode()).encode(),
    "in a repr": lambda value: repr(value).encode(),
    "in UTF-16": lambda value: value.decode().encode("utf-16"),
    "as numbers": lambda value: repr(list(value)).encode(),
    "packed by gzip": lambda value: b"before" + gzip.compress(value) + b"behind",
    "packed by zlib": lambda value: b"before" + zlib.compress(value) + b"behind",
    "packed, then base64": lambda value: gzip.compress(base64.b64encode(value)),
    "packed twice": lambda value: gzip.compress(b"x" + gzip.compress(value)),
    "packed and cut off": lambda value: gzip.compress(value + bytes(range(256)) * 200)[:-40],
    "cut short": lambda value: value[: len(value) // 2],
    "its end": lambda value: value[-40:],
}


@pytest.mark.parametrize("dress", DRESSES)
def test_a_value_is_seen_in_every_dress(dress: str) -> None:
    canaries = Canaries()
    value = canaries.plant("the value").encode()
    noise = bytes(range(256)) * 20
    for shift in range(4):
        assert canaries.found_in({"a sink": noise + b"." * shift + DRESSES[dress](value) + noise}), f"{dress}, {shift} off"


def test_what_is_clean_is_said_to_be_clean() -> None:
    canaries = Canaries()
    values = [canaries.plant(f"value {number}") for number in range(30)]
    other = [Canaries().plant("another") for _ in range(30)]
    dressed = b"\n".join(DRESSES[dress](value.encode()) for dress in DRESSES for value in other)
    assert canaries.found_in({"others": dressed, "nothing": b"", "noise": bytes(range(256)) * 1000}) == []
    assert len({finding.what for finding in canaries.found_in({"all": "\n".join(values)})}) == 30


def test_a_finding_names_the_place_and_never_the_value() -> None:
    canaries = Canaries()
    value = canaries.plant("pasted into Create key")
    found = canaries.found_in({"web.log": f"POST {value}"})
    assert {finding.where for finding in found} == {"web.log"}
    assert {finding.what for finding in found} == {"pasted into Create key"}
    assert canaries.found_in({"findings": repr(found)}) == []


def test_a_value_in_a_database_its_journal_a_log_or_a_folder_below_is_seen(tmp_path: Path) -> None:
    canaries = Canaries()
    database = sqlite3.connect(tmp_path / "latchkey.sqlite3")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE t (body BLOB, facts TEXT)")
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.execute("INSERT INTO t VALUES (?, ?)", (canaries.plant("a blob").encode(), json.dumps({"k": canaries.plant("a fact")})))
    database.commit()
    (tmp_path / "logs").mkdir()
    handler = logging.FileHandler(tmp_path / "logs" / "web.log")
    handler.emit(logging.makeLogRecord({"msg": f"refused {canaries.plant('a log line')!r}"}))
    handler.close()
    (tmp_path / "logs" / "old.log.gz").write_bytes(gzip.compress(canaries.plant("an old log").encode()))
    found = canaries.found_in(folder(tmp_path))
    assert {(finding.where, finding.what) for finding in found} >= {
        ("latchkey.sqlite3-wal", "a blob"),
        ("latchkey.sqlite3-wal", "a fact"),
        ("logs/web.log", "a log line"),
        ("logs/old.log.gz", "an old log"),
    }
    database.close()
    assert ("latchkey.sqlite3", "a blob") in {(finding.where, finding.what) for finding in canaries.found_in(folder(tmp_path))}
