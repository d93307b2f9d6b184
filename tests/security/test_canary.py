"""Values go in through every form and every way a form can fail, and are found nowhere: in no file, log, answer or audit entry.

One `up` without a gateway, asked over HTTP; what a gateway adds is scanned with the same `Canaries` by the data-plane tests.
"""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.oidc import serving
from tests.processes import ROOT, Up, eventually, up
from tests.security.canary import Canaries, folder
from tests.security.people import single_sign_on
from tests.security.visitor import Visitor
from tests.security.ways import allowed, everywhere


@pytest.fixture(scope="module")
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture(scope="module")
def latchkey(tmp_path_factory: pytest.TempPathFactory, canaries: Canaries) -> Iterator[Up]:
    password = canaries.plant("the administrator's password", after="")
    with serving() as provider:
        env = {"CONSOLE_ADMIN_PASSWORD": password} | single_sign_on(canaries, provider)
        with up(tmp_path_factory.mktemp("canary") / "data", "--no-gateway", env=env) as running:
            running.password_given = password  # type: ignore[attr-defined]
            yield running


@pytest.fixture(scope="module")
def visitor(latchkey: Up, canaries: Canaries) -> Iterator[Visitor]:
    visitor = everywhere(latchkey, canaries, latchkey.password_given, partial(locked, latchkey))  # type: ignore[attr-defined]
    yield visitor
    visitor.http.close()


@contextmanager
def locked(latchkey: Up) -> Iterator[None]:
    holder = sqlite3.connect(latchkey.data_dir / "latchkey.sqlite3", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    logs = latchkey.data_dir / "logs"
    eventually(lambda: any(b"database is locked" in file.read_bytes() for file in logs.iterdir()), within=10)


def test_no_answer_holds_a_value(visitor: Visitor) -> None:
    found = [finding for finding in visitor.canaries.found_in(visitor.answers) if not allowed(finding.where, finding.what)]
    assert found == []
    assert len(visitor.answers) > 40


@pytest.mark.parametrize("what", ["a generated value", "a generated key set", "a revealed value"])
def test_a_value_that_is_shown_stands_in_one_answer(visitor: Visitor, what: str) -> None:
    found = {finding.where for finding in visitor.canaries.found_in(visitor.answers) if finding.what.startswith(what)}
    assert len(found) == 1


def test_the_data_folder_holds_no_value(visitor: Visitor, latchkey: Up) -> None:
    """Database, its journal, sessions, caches, keyring, logs of every process; while all of them run."""
    assert (latchkey.data_dir / "latchkey.sqlite3-wal").stat().st_size > 0
    assert visitor.canaries.found_in(folder(latchkey.data_dir)) == []


def test_no_process_prints_a_value(visitor: Visitor, latchkey: Up) -> None:
    assert visitor.canaries.found_in({"up": latchkey.output}) == []


def test_no_row_of_the_audit_log_holds_a_value(visitor: Visitor, latchkey: Up) -> None:
    database = sqlite3.connect(f"file:{latchkey.data_dir / 'latchkey.sqlite3'}?mode=ro", uri=True)
    rows = [repr(row) for row in database.execute("SELECT * FROM secrets_app_auditentry")]
    database.close()
    assert len(rows) > 10
    assert visitor.canaries.found_in({"audit log": "\n".join(rows)}) == []


def test_the_command_line_shows_no_value(visitor: Visitor, latchkey: Up) -> None:
    """What every user of the machine may read of a process: its arguments."""
    lines = {str(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in latchkey.descendants()}
    assert len(lines) >= 2
    assert visitor.canaries.found_in(lines) == []


@pytest.mark.usefixtures("visitor")
def test_one_planted_in_each_sink_is_seen(latchkey: Up) -> None:
    """By canaries of their own, so that the order of these tests does not matter."""
    seen = Canaries()
    visitor = Visitor(latchkey, seen)
    visitor.sign_in("admin", latchkey.password_given)  # type: ignore[attr-defined]
    key = {"generation": "custom", "value": "a value nobody looks for"}
    visitor.post("/local/keys/new/", {**key, "name": "told", "description": seen.plant("in the database and on a page")})
    visitor.post("/settings/regions/new/", {"name": "told", "title": seen.plant("in the audit log")})
    visitor.get("/local/keys/told/")
    with (latchkey.data_dir / "logs" / "web.log").open("a") as log:
        log.write(seen.plant("in a log") + "\n")
    subprocess.run([sys.executable, "-c", f"open({str(latchkey.log)!r}, 'a').write({seen.plant('printed')!r})"], cwd=ROOT, check=True)
    on_disk = {(finding.where, finding.what) for finding in seen.found_in(folder(latchkey.data_dir))}
    assert any(where.startswith("latchkey.sqlite3") and what == "in the database and on a page" for where, what in on_disk)
    assert any(where.startswith("latchkey.sqlite3") and what == "in the audit log" for where, what in on_disk)
    assert ("logs/web.log", "in a log") in on_disk
    assert {finding.what for finding in seen.found_in({"up": latchkey.output})} == {"printed"}
    assert "in the database and on a page" in {finding.what for finding in seen.found_in(visitor.answers)}
    visitor.http.close()
