"""Retention: whole epochs into a file, read back, signed, recorded, and only then deleted; the chain goes on where they end."""

import gzip
import json
import stat
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from secrets_app import archive, keyring
from secrets_app.checkpoints import Sink
from secrets_app.kms.signing import load_signer
from secrets_app.models import AuditEntry, Deployment, Region, SealedEpoch
from tests import cast, long_log
from tests.openlog import open_log

YOUNG = "--although-younger-than-400-days"


@pytest.fixture
def sink(region: Region, tmp_path: Path) -> Sink:
    """Checkpoints at entries 500, 1000 and 1500 of 2000, one entry an hour since the first of January 2020."""
    with open_log(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM secrets_app_auditentry")
        cursor.execute("UPDATE secrets_app_audithead SET seq = 0, hash = %s", ["0" * 64])
    long_log.write(2000, apart=3600, began=long_log.BEGAN.replace(year=2020))
    sink, signer = Sink(tmp_path / "checkpoints.jsonl"), load_signer(keyring.folder())
    for seq in (500, 1000, 1500):
        one = AuditEntry.objects.get(seq=seq)
        sink.append(signer, Deployment.here().pk, seq, one.hash, one.at)
    return sink


def day(seq: int) -> str:
    return f"{AuditEntry.objects.get(seq=seq).at + timedelta(days=1):%Y-%m-%d}"


def run(sink: Sink, to: Path, seq: int, *more: str) -> None:
    call_command("archive_audit_log", "--before", day(seq), "--to", str(to), "--checkpoints", str(sink.file), *more)


def verified(sink: Sink, *files: Path) -> int:
    words = [word for file in files for word in ("--archive", str(file))]
    try:
        call_command("verify_audit_log", "--checkpoints", str(sink.file), "--no-entry", *words)
    except CommandError as wrong:
        return wrong.returncode
    return 0


def test_the_oldest_entries_go_up_to_a_checkpoint_and_the_chain_goes_on(sink: Sink, tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl.gz", tmp_path / "second.jsonl.gz"
    run(sink, first, 1200)
    epoch = SealedEpoch.objects.get()
    assert (epoch.first_seq, epoch.last_seq, epoch.entries, epoch.archive) == (1, 1000, 1000, "first.jsonl.gz")
    assert AuditEntry.objects.order_by("seq")[0].seq == 1001
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    entry = AuditEntry.objects.latest("seq")
    assert (entry.actor, entry.action, entry.facts["upto"], entry.facts["file_digest"]) == (
        "archive_audit_log", "audit.archive", 1000, epoch.digest,
    )  # fmt: skip
    with gzip.open(first) as lines:
        head, *entries = [json.loads(line) for line in lines]
    assert (head["first_seq"], head["last_seq"], len(entries)) == (1, 1000, 1000)
    assert verified(sink, first) == 0
    run(sink, second, 1600)
    assert [(one.first_seq, one.last_seq) for one in SealedEpoch.objects.all()] == [(1, 1000), (1001, 1500)]
    assert verified(sink, first, second) == 0
    assert AuditEntry.verify().entries == AuditEntry.objects.count()


def test_what_is_young_stays_unless_told_in_so_many_words(sink: Sink, tmp_path: Path) -> None:
    long_log.write(10, began=long_log.BEGAN.replace(year=2026))
    newest = AuditEntry.objects.latest("seq")
    known = Sink(sink.file).append(load_signer(keyring.folder()), Deployment.here().pk, newest.seq, newest.hash, newest.at)
    assert known
    with pytest.raises(CommandError, match="400 days"):
        run(sink, tmp_path / "a.gz", newest.seq)
    assert not SealedEpoch.objects.exists()
    run(sink, tmp_path / "a.gz", newest.seq, YOUNG)
    assert SealedEpoch.objects.get().last_seq == newest.seq


def test_nothing_is_deleted_when_anything_goes_wrong(sink: Sink, tmp_path: Path) -> None:
    count = AuditEntry.objects.count()
    there = tmp_path / "there.gz"
    there.write_text("somebody's")
    for to, seq, why in (
        (there, 1200, "exists"),
        (tmp_path / "no" / "folder.gz", 1200, "No such file"),
        (tmp_path / "a.gz", 10, "No checkpoint"),
    ):
        with pytest.raises(CommandError, match=why):
            run(sink, to, seq)
    assert there.read_text() == "somebody's"
    with patch.object(archive, "digest_of", side_effect=OSError("disk")), pytest.raises(CommandError, match="Nothing was deleted"):
        run(sink, tmp_path / "b.gz", 1200)
    with patch.object(AuditEntry, "save", side_effect=OSError("disk")), pytest.raises(CommandError, match="Nothing was deleted"):
        run(sink, tmp_path / "c.gz", 1200)
    sink.file.write_bytes(sink.file.read_bytes().replace(b'"seq":1000', b'"seq":1001'))
    with pytest.raises(CommandError, match="not signed"):
        run(sink, tmp_path / "d.gz", 1200)
    assert (AuditEntry.objects.count(), SealedEpoch.objects.count()) == (count, 0)


def test_a_broken_log_is_not_archived(sink: Sink, tmp_path: Path) -> None:
    with open_log(), connection.cursor() as cursor:
        cursor.execute("UPDATE secrets_app_auditentry SET actor = 'nobody' WHERE seq = 700")
    with pytest.raises(CommandError, match="broken at entry 700"):
        run(sink, tmp_path / "a.gz", 1200)
    assert not SealedEpoch.objects.exists()


def test_an_archive_that_was_changed_is_told(sink: Sink, tmp_path: Path) -> None:
    file = tmp_path / "a.gz"
    run(sink, file, 1200)
    with gzip.open(file) as lines:
        content = lines.read()
    file.write_bytes(gzip.compress(content.replace(b'"actor": "kim"', b'"actor": "tim"', 1)))
    assert verified(sink, file) == 2
    file.write_bytes(b"no archive")
    assert verified(sink, file) == 2
    file.rename(tmp_path / "b.gz")
    assert verified(sink, tmp_path / "b.gz") == 2


def test_an_epoch_that_nobody_signed_is_told(sink: Sink, tmp_path: Path) -> None:
    """Who can write to the database could record one and then delete entries."""
    last = AuditEntry.objects.get(seq=300)
    SealedEpoch.objects.create(
        first_seq=1,
        last_seq=300,
        first_prev_hash="0" * 64,
        last_hash=last.hash,
        entries=300,
        archive="x",
        digest="0" * 64,
        signature="AAAA",
    )
    assert archive.let_go() == 300
    assert AuditEntry.verify().bad is None, "the chain alone cannot tell"
    assert verified(sink) == 2


def test_what_was_not_deleted_when_it_was_ended_goes_the_next_time(sink: Sink, tmp_path: Path) -> None:
    with patch.object(archive, "let_go", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        run(sink, tmp_path / "a.gz", 700)
    assert AuditEntry.objects.filter(seq__lte=500).count() == 500
    assert verified(sink, tmp_path / "a.gz") == 0
    with patch.object(archive, "A_TIME", 70):
        run(sink, tmp_path / "b.gz", 1200)
    assert not AuditEntry.objects.filter(seq__lte=1000).exists()
    assert cast.SETUP
