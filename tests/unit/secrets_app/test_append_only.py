"""The database itself refuses to change the audit log, whoever asks and however."""

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from secrets_app.models import AuditEntry, AuditHead, Region, SealedEpoch
from tests import cast

ENTRY, HEAD, EPOCH = "secrets_app_auditentry", "secrets_app_audithead", "secrets_app_sealedepoch"


def refused(text: str, *values: Any) -> bool:
    """Whether the database's own rule said no, and nothing else."""
    before = list(AuditEntry.objects.order_by("seq").values()), list(AuditHead.objects.values()), list(SealedEpoch.objects.values())
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(text, values)
    except IntegrityError as no:
        after = list(AuditEntry.objects.order_by("seq").values()), list(AuditHead.objects.values()), list(SealedEpoch.objects.values())
        assert before == after
        return "append-only" in str(no)
    return False


def copied(seq: str, *, verb: str = "INSERT", more: str = "", values: str = "") -> str:
    columns = ", ".join(field.column for field in AuditEntry._meta.concrete_fields if field.column not in ("seq", "operation"))
    return f"{verb} INTO {ENTRY} (seq{more}, {columns}) SELECT {seq}{values}, {columns} FROM {ENTRY} WHERE seq = 1"  # noqa: S608


def test_entries_neither_change_nor_go(region: Region) -> None:
    for column in ("actor", "facts", "hash", "prev_hash", "at", "seq"):
        assert refused(f"UPDATE {ENTRY} SET {column} = {column} WHERE seq = 1"), column  # noqa: S608
    assert refused(f"UPDATE {ENTRY} SET actor = 'nobody'")  # noqa: S608
    assert refused(f"DELETE FROM {ENTRY}")  # noqa: S608
    assert refused(f"DELETE FROM {ENTRY} WHERE seq = (SELECT MAX(seq) FROM {ENTRY})")  # noqa: S608


def test_entries_are_put_nowhere_but_behind_the_head(region: Region) -> None:
    head = AuditHead.objects.get().seq
    for seq in (0, -1, head + 2, head + 100):
        assert refused(copied(str(seq))), seq


def test_the_head_only_moves_forward(region: Region) -> None:
    head = AuditHead.objects.get().seq
    assert refused(f"UPDATE {HEAD} SET seq = seq - 1")  # noqa: S608
    assert refused(f"UPDATE {HEAD} SET seq = 0")  # noqa: S608
    assert refused(f"UPDATE {HEAD} SET hash = 'another'")  # noqa: S608
    assert refused(f"UPDATE {HEAD} SET id = 2, seq = seq + 1")  # noqa: S608
    assert refused(f"DELETE FROM {HEAD}")  # noqa: S608
    assert refused(f"INSERT INTO {HEAD} (id, seq, hash) VALUES (2, 0, '')")  # noqa: S608
    assert not refused(f"UPDATE {HEAD} SET seq = {head + 1}")  # noqa: S608


def test_replacing_is_no_way_round(region: Region) -> None:
    """SQLite's REPLACE takes a row away without asking the DELETE trigger, by any of its keys, the hidden one too."""
    if connection.vendor != "sqlite":
        assert refused(copied("1") + " ON CONFLICT (seq) DO UPDATE SET actor = 'nobody'")
        return
    cast.key(region, once=region.pk)
    head = AuditHead.objects.get().seq
    for verb in ("INSERT OR REPLACE", "REPLACE"):
        assert refused(copied("1", verb=verb))
        assert refused(copied(str(head + 1), verb=verb, more=", rowid", values=", 1"))
        assert refused(copied(str(head + 1), verb=verb, more=", operation", values=f", '{region.pk.hex}'"))
        assert refused(f"{verb} INTO {HEAD} (id, seq, hash) VALUES (1, 0, '')")
    assert refused(f"UPDATE OR REPLACE {ENTRY} SET seq = 2 WHERE seq = 1")  # noqa: S608


def test_truncating_is_refused_where_there_is_such_a_thing(region: Region) -> None:
    if connection.vendor == "postgresql":
        for table in (ENTRY, HEAD, EPOCH):
            assert refused(f"TRUNCATE {table}")
            assert refused(f"TRUNCATE {table} CASCADE")


def test_a_table_of_the_same_name_elsewhere_does_not_let_entries_go(region: Region) -> None:
    """On PostgreSQL pg_temp is looked into first, and anybody may put a table there; on SQLite temp is."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE {EPOCH} (last_seq bigint)")
        cursor.execute(f"INSERT INTO {EPOCH} VALUES (1000000)")  # noqa: S608
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {ENTRY}")  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {'temp' if connection.vendor == 'sqlite' else 'pg_temp'}.{EPOCH}")


def sealed(first: int, last: int) -> str:
    columns = "last_seq, first_seq, first_prev_hash, last_hash, entries, archive, digest, sealed_at, signature"
    return f"INSERT INTO {EPOCH} ({columns}) VALUES ({last}, {first}, '', '', 1, '', '', '2026-01-01 00:00:00+00:00', '')"  # noqa: S608


def test_only_what_a_sealed_epoch_covers_may_go(region: Region) -> None:
    head = AuditHead.objects.get().seq
    for number in range(5):
        cast.key(region, f"key_{number}")
    assert not refused(sealed(1, 2))
    assert refused(f"DELETE FROM {ENTRY} WHERE seq <= 3")  # noqa: S608
    assert not refused(f"DELETE FROM {ENTRY} WHERE seq <= 2")  # noqa: S608
    assert not AuditEntry.objects.filter(seq__lte=2).exists()
    assert AuditEntry.objects.filter(seq=3).exists()
    assert refused(sealed(2, head)), "they follow one another"
    assert refused(sealed(3, head + 100)), "what is not written yet cannot be sealed"
    assert refused(sealed(3, 2))
    assert refused(f"UPDATE {EPOCH} SET last_seq = {head + 5}")  # noqa: S608
    assert refused(f"DELETE FROM {EPOCH}")  # noqa: S608
