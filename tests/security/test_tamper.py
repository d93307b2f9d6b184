"""A log of 10,000 entries and somebody with the whole database in hand: every touch is found, with the right entry."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from secrets_app import chain
from secrets_app.checkpoints import Sink, marks
from secrets_app.kms.signing import Signer, create_pair, load_signer
from secrets_app.models import AuditEntry, AuditHead, Deployment, Region
from secrets_app.models.audit import Verdict
from tests import long_log
from tests.openlog import open_log

ENTRIES = 10_000
PLACES = (1, 2, 999, 1000, 5000, 9_999, ENTRIES)
TEXTS = [name for name in (*chain.FIELDS, "prev_hash", "hash") if name != "seq"]
IDS = {"actor_id", "region_id", "operation"}


@pytest.fixture
def log(region: Region) -> Iterator[None]:
    with open_log():
        sql("DELETE FROM secrets_app_auditentry")
        sql("UPDATE secrets_app_audithead SET seq = 0, hash = %s", chain.GENESIS)
        long_log.write(ENTRIES)
        yield


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    create_pair(tmp_path)
    return load_signer(tmp_path)


def sql(text: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text, values)


def after(touch: Callable[[], None], **how: Any) -> Verdict:
    """What a check says when this was done, which is then undone."""
    point = transaction.savepoint()
    touch()
    verdict = AuditEntry.verify(**how)
    transaction.savepoint_rollback(point)
    return verdict


def test_an_untouched_log_is_whole(log: None) -> None:
    verdict = AuditEntry.verify()
    assert (verdict.entries, verdict.seq, verdict.bad, verdict.cut) == (ENTRIES, ENTRIES, None, False)


def edits(column: str) -> Iterator[str]:
    if column == "at":
        yield from ("2026-01-01 00:00:00.000001", "2030-01-01 00:00:00")
    elif column in IDS:
        yield "0" * 31 + "f"
    elif column == "facts":
        yield from ('{"version": 4711}', '{"version": null}', '["version"]')
    else:
        yield from ("", "forged")


def test_an_edit_of_any_column_anywhere_is_found_where_it_is(log: None) -> None:
    for column, seq in product(TEXTS, PLACES):
        for text in edits(column):
            touched = after(partial(sql, f"UPDATE secrets_app_auditentry SET {column} = %s WHERE seq = %s", text, seq))  # noqa: S608
            assert touched.bad == seq, (column, seq, text)
            assert not touched.cut


def test_an_entry_taken_out_put_in_or_swapped_is_found_where_it_was(log: None) -> None:
    for seq in PLACES:
        gone = after(lambda seq=seq: sql("DELETE FROM secrets_app_auditentry WHERE seq = %s", seq))  # type: ignore[misc]
        assert (gone.bad, gone.cut) == (seq, seq == ENTRIES)
        for touch in (take_out, put_in_at, *((swap_with_next, swap_with_last) if seq < ENTRIES else ())):
            assert after(lambda seq=seq, touch=touch: touch(seq)).bad == seq, (touch.__name__, seq)  # type: ignore[misc]


def take_out(seq: int) -> None:
    """And the ones behind it moved up, head and all: the chain alone tells."""
    sql("DELETE FROM secrets_app_auditentry WHERE seq = %s", seq)
    renumber(seq, -1)
    if seq == ENTRIES:
        sql("UPDATE secrets_app_audithead SET hash = %s", "f" * 64)
    else:
        sql("UPDATE secrets_app_audithead SET seq = seq - 1")


def put_in_at(seq: int) -> None:
    renumber(seq - 1, 1)
    columns = ", ".join(field.column for field in AuditEntry._meta.concrete_fields if field.column not in ("seq", "operation"))
    copied = f"SELECT %s, {columns} FROM secrets_app_auditentry WHERE seq = %s"  # noqa: S608
    sql(f"INSERT INTO secrets_app_auditentry (seq, {columns}) {copied}", seq, seq + 1)


def renumber(above: int, by: int) -> None:
    """In two steps: a number may be in use until all have moved."""
    sql("UPDATE secrets_app_auditentry SET seq = -seq WHERE seq > %s", above)
    sql("UPDATE secrets_app_auditentry SET seq = -seq + %s WHERE seq < 0", by)


def swap_with_next(seq: int) -> None:
    swap(seq, seq + 1)


def swap_with_last(seq: int) -> None:
    swap(seq, ENTRIES)


def swap(one: int, other: int) -> None:
    sql("UPDATE secrets_app_auditentry SET seq = -1 WHERE seq = %s", one)
    sql("UPDATE secrets_app_auditentry SET seq = %s WHERE seq = %s", one, other)
    sql("UPDATE secrets_app_auditentry SET seq = %s WHERE seq = -1", other)


def test_a_cut_tail_is_found_by_the_head_and_with_the_head_put_back_by_the_checkpoints(log: None, signer: Signer, tmp_path: Path) -> None:
    file, deployment = tmp_path / "checkpoints.jsonl", Deployment.here().pk
    hashes = dict(AuditEntry.objects.filter(seq__in=[5000, ENTRIES]).values_list("seq", "hash"))
    for seq in (5000, ENTRIES):
        Sink(file).append(signer, deployment, seq, hashes[seq], datetime(2026, 1, 1, tzinfo=UTC))

    def cut(left: int) -> None:
        sql("DELETE FROM secrets_app_auditentry WHERE seq > %s", left)

    def cut_and_mend(left: int) -> None:
        cut(left)
        ends = AuditEntry.objects.filter(seq=left).values_list("hash", flat=True).first() or chain.GENESIS
        sql("UPDATE secrets_app_audithead SET seq = %s, hash = %s", left, ends)

    for left in (9_999, 9_000, 1, 0):
        seen = after(partial(cut, left))
        assert (seen.bad, seen.cut) == (left + 1, True)
        assert after(partial(cut_and_mend, left)).bad is None, "the log alone cannot tell"
        seen = after(partial(cut_and_mend, left), marks=marks(file, signer.verifier, deployment))
        assert (seen.bad, seen.cut) == (left + 1, True)
        assert "checkpoint" in seen.why


def test_a_log_written_anew_is_found_at_the_next_checkpoint(log: None, signer: Signer, tmp_path: Path) -> None:
    file, deployment = tmp_path / "checkpoints.jsonl", Deployment.here().pk
    for seq in (1000, 2000, 3000):
        known = AuditEntry.objects.get(seq=seq).hash
        Sink(file).append(signer, deployment, seq, known, datetime(2026, 1, 1, tzinfo=UTC))

    def forge() -> None:
        sql("UPDATE secrets_app_auditentry SET actor = 'nobody' WHERE seq = 1500")
        head = AuditEntry.objects.get(seq=1499).hash
        for entry in AuditEntry.objects.filter(seq__gte=1500).order_by("seq").iterator():
            entry.prev_hash = head
            head = entry.digest()
            sql("UPDATE secrets_app_auditentry SET prev_hash = %s, hash = %s WHERE seq = %s", entry.prev_hash, head, entry.seq)
        sql("UPDATE secrets_app_audithead SET hash = %s", head)

    assert after(forge).bad is None, "the log alone cannot tell"
    seen = after(forge, marks=marks(file, signer.verifier, deployment))
    assert (seen.bad, seen.cut) == (2000, False)
    assert "the checkpoint of 2026-01-01T00:00:00Z" in seen.why


def test_what_no_entry_could_hold_ends_no_check(log: None) -> None:
    """SQLite takes anything anywhere from who asks it to; PostgreSQL's types refuse what follows."""
    if connection.vendor != "sqlite":
        return
    sql("PRAGMA ignore_check_constraints = ON")
    facts = ('\'{"a": "\\ud800"}\'', "'{'", f"'{'[' * 100_000}'", "'\"text\"'", "'NaN'", "'{\"a\": 1e400}'", "''")
    touched = [("facts", text) for text in facts]
    touched += list(product(("actor", "at", "facts", "hash", "prev_hash"), ("X'FFFE'", "CAST(X'FFFE' AS TEXT)", "17")))
    for column, content in touched:
        update = f"UPDATE secrets_app_auditentry SET {column} = {content} WHERE seq = 5000"  # noqa: S608
        assert after(partial(sql, update)).bad == 5000, (column, content[:40])
    sql("PRAGMA ignore_check_constraints = OFF")


def test_a_head_that_is_gone_or_names_another_end(log: None) -> None:
    assert after(lambda: AuditHead.objects.all().delete() and None).bad == 1
    assert after(lambda: sql("UPDATE secrets_app_audithead SET seq = %s", ENTRIES + 5)).bad == ENTRIES + 1
    assert after(lambda: sql("UPDATE secrets_app_audithead SET seq = %s", ENTRIES - 5)).bad == ENTRIES - 4
