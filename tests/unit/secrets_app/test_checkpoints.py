"""Checkpoints: signed, chained, appended durably; and the notary that writes them and walks around the log."""

import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from secrets_app import chain, keyring, notary
from secrets_app.checkpoints import Checkpoint, Misfit, Sink, read
from secrets_app.errors import CannotSign
from secrets_app.kms import signing
from secrets_app.kms.signing import Signer, Verifier, create_pair, load_signer, load_verifier
from secrets_app.models import AuditEntry, AuditHead, AuditWatch, Deployment, Region, SealedEpoch
from secrets_app.notary import Notary
from tests import cast, long_log
from tests.openlog import open_log

HERE = UUID(int=7)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    create_pair(tmp_path / "kms")
    return load_signer(tmp_path / "kms")


@pytest.fixture
def sink(tmp_path: Path) -> Sink:
    return Sink(tmp_path / "audit" / "checkpoints.jsonl")


def three(sink: Sink, signer: Signer) -> list[bytes]:
    for seq in (10, 20, 30):
        sink.append(signer, HERE, seq, f"{seq:064x}", NOON + timedelta(seconds=seq))
    return sink.file.read_bytes().splitlines()


def found(sink: Sink, verifier: Verifier, deployment: UUID | None = HERE) -> list[int]:
    return [checkpoint.seq for checkpoint in read(sink.file, verifier, deployment)]


def test_checkpoints_follow_one_another_and_are_told_by_the_public_key(sink: Sink, signer: Signer) -> None:
    lines = three(sink, signer)
    assert found(sink, signer.verifier) == [10, 20, 30]
    first = Checkpoint.parse(lines[0])
    assert first is not None
    assert (first.previous, first.time, first.deployment) == (chain.GENESIS, "2026-01-01T12:00:10Z", str(HERE))
    assert json.loads(lines[1])["previous"] == first.digest


def test_the_file_is_its_users_alone(sink: Sink, signer: Signer) -> None:
    three(sink, signer)
    assert stat.S_IMODE(sink.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(sink.file.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("touch", "why"),
    [
        (lambda lines: [lines[0], lines[2]], "line 2 .* does not follow"),
        (lambda lines: lines[1:], "line 1 .* does not follow"),
        (lambda lines: [lines[1], lines[0], lines[2]], "line 1 .* does not follow"),
        (lambda lines: [*lines, lines[2]], "line 4 .* does not follow"),
        (lambda lines: [lines[0], lines[1].replace(b'"seq":20', b'"seq":21'), lines[2]], "line 2 .* is not signed"),
        (lambda lines: [lines[0].replace(b"00:10Z", b"00:11Z"), *lines[1:]], "line 1 .* is not signed"),
        (lambda lines: [lines[0], lines[1][:40], lines[2]], "line 3 .* does not follow"),
        (lambda lines: [lines[0], b" " + lines[1], lines[2]], "line 3 .* does not follow"),
    ],
)
def test_whatever_is_done_to_the_file_is_told(sink: Sink, signer: Signer, touch: Any, why: str) -> None:
    sink.file.write_bytes(b"\n".join(touch(three(sink, signer))) + b"\n")
    with pytest.raises(Misfit, match=why):
        found(sink, signer.verifier)


def test_another_key_or_another_deployment_vouches_for_nothing(sink: Sink, signer: Signer, tmp_path: Path) -> None:
    three(sink, signer)
    create_pair(tmp_path / "other")
    with pytest.raises(Misfit, match="is not signed by this key"):
        found(sink, load_verifier(tmp_path / "other"))
    with pytest.raises(Misfit, match="another deployment"):
        found(sink, signer.verifier, UUID(int=8))


def test_a_line_torn_off_is_passed_over_and_the_next_one_follows(sink: Sink, signer: Signer) -> None:
    three(sink, signer)
    with sink.file.open("ab") as file:
        file.write(b'{"deployment": "torn')
    assert sink.append(signer, HERE, 40, "4" * 64, NOON)
    assert found(sink, signer.verifier) == [10, 20, 30, 40]


def test_lines_that_are_none_of_ours_cost_nothing(sink: Sink, signer: Signer) -> None:
    three(sink, signer)
    with sink.file.open("ab") as file:
        file.write(b"[" * 50_000 + b"\n\xff\xfe\n" + b'{"seq": true}\n' + b"null\n")
    assert found(sink, signer.verifier) == [10, 20, 30]


def test_two_control_planes_on_one_file_do_not_fork_it(sink: Sink, signer: Signer) -> None:
    three(sink, signer)
    assert Sink(sink.file).append(signer, HERE, 30, "3" * 64, NOON) is None
    assert Sink(sink.file).append(signer, HERE, 31, "3" * 64, NOON)
    assert found(sink, signer.verifier) == [10, 20, 30, 31]


def test_a_file_of_another_key_is_not_written_on(sink: Sink, signer: Signer, tmp_path: Path) -> None:
    three(sink, signer)
    create_pair(tmp_path / "other")
    with pytest.raises(CannotSign, match="signed by another key"):
        sink.append(load_signer(tmp_path / "other"), HERE, 40, "4" * 64, NOON)


def test_a_link_in_the_place_of_the_file_is_not_followed(sink: Sink, signer: Signer, tmp_path: Path) -> None:
    sink.file.parent.mkdir()
    sink.file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        sink.append(signer, HERE, 1, "1" * 64, NOON)
    assert not (tmp_path / "elsewhere").exists()


def test_the_pair_is_made_once_and_private(tmp_path: Path) -> None:
    assert create_pair(tmp_path)
    before = (tmp_path / signing.PRIVATE).read_bytes()
    assert not create_pair(tmp_path)
    assert (tmp_path / signing.PRIVATE).read_bytes() == before
    assert stat.S_IMODE((tmp_path / signing.PRIVATE).stat().st_mode) == 0o600
    assert before.decode().strip() not in repr(load_signer(tmp_path))
    (tmp_path / signing.PRIVATE).chmod(0o644)
    with pytest.raises(CannotSign, match="chmod 600"):
        load_signer(tmp_path)
    (tmp_path / signing.PRIVATE).unlink()
    assert not create_pair(tmp_path), "another pair is not the one that others wrote down"
    with pytest.raises(CannotSign, match="is missing"):
        load_signer(tmp_path)


# The notary


class Clock:
    """The notary's own: moved by hand."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self) -> datetime:
        return self.time

    def later(self, **by: int) -> None:
        self.time += timedelta(**by)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(notary, "timezone", clock)
    return clock


@pytest.fixture
def desk(region: Region, sink: Sink, clock: Clock) -> Notary:
    return Notary(sink, cast.SETUP)


def settle(desk: Notary) -> None:
    """Until it has nothing to do for now."""
    for _step in range(200):
        if desk.step() == notary.REST:
            return
    raise AssertionError("it never rests")


def actions() -> list[str]:
    return list(AuditEntry.objects.filter(action__startswith="audit.").order_by("seq").values_list("action", flat=True))


def written(sink: Sink) -> list[int]:
    return [line.seq for line in read(sink.file, load_verifier(keyring.folder()), Deployment.here().pk)] if sink.file.exists() else []


def test_a_minute_after_something_was_written_there_is_a_checkpoint(desk: Notary, sink: Sink, clock: Clock) -> None:
    seq = AuditHead.objects.get().seq
    settle(desk)
    assert written(sink) == [], "not before the minute is over"
    assert AuditEntry.objects.latest("seq").facts["verdict"] == "whole"
    clock.later(seconds=61)
    settle(desk)
    assert written(sink) == [seq + 1]
    watch = AuditWatch.here()
    assert (watch.checkpoint_seq, watch.trouble, watch.sink) == (seq + 1, "", str(sink.file))
    assert watch.public_key == load_verifier(keyring.folder()).public


def test_a_quiet_log_is_not_filled_by_its_own_checkpoints(desk: Notary, sink: Sink, clock: Clock) -> None:
    for _minute in range(200):
        clock.later(seconds=61)
        settle(desk)
    assert len(written(sink)) == 1
    assert actions() == ["audit.verify", "audit.checkpoint"]


def test_entries_state_checkpoints_once_an_hour_with_their_number(desk: Notary, region: Region, clock: Clock) -> None:
    for number in range(63):
        cast.key(region, f"key_{number}")
        clock.later(seconds=61)
        settle(desk)
    entries = AuditEntry.objects.filter(action="audit.checkpoint").order_by("seq")
    assert [entry.facts["count"] for entry in entries] == [1, 60]


def test_a_thousand_entries_do_not_wait_for_the_minute(desk: Notary, sink: Sink) -> None:
    long_log.write(2500)
    settle(desk)
    assert len(written(sink)) == 1
    assert written(sink)[0] >= 2500


def test_a_second_notary_goes_on_where_the_file_ends(desk: Notary, sink: Sink, clock: Clock, region: Region) -> None:
    clock.later(seconds=61)
    settle(desk)
    cast.key(region)
    again = Notary(Sink(sink.file), cast.SETUP)
    clock.later(seconds=61)
    settle(again)
    clock.later(seconds=61)
    settle(again)
    assert len(written(sink)) == 2


def test_at_rest_it_asks_one_question(desk: Notary, clock: Clock, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    settle(desk)
    clock.later(seconds=61)
    settle(desk)
    settle(desk)
    with django_assert_num_queries(1):
        desk.step()


def test_a_file_that_fails_is_told_and_nothing_else_stops(desk: Notary, sink: Sink, clock: Clock, region: Region) -> None:
    sink.file.parent.write_text("a file where the folder should be")
    for _minute in range(5):
        clock.later(seconds=61)
        settle(desk)
    assert "exists" in AuditWatch.here().trouble or "directory" in AuditWatch.here().trouble
    assert actions().count("audit.miss_checkpoint") == 1
    assert AuditWatch.here().verified_at, "the walk around the log goes on"
    sink.file.parent.unlink()
    clock.later(seconds=61)
    settle(desk)
    assert AuditWatch.here().trouble == ""
    assert actions()[-1] == "audit.checkpoint"


def test_without_its_key_nothing_is_signed_and_that_is_told(desk: Notary, sink: Sink, clock: Clock) -> None:
    hidden = (keyring.folder() / signing.PRIVATE).rename(keyring.folder() / "hidden")
    try:
        clock.later(seconds=61)
        settle(desk)
        assert "checkpoints.key is missing" in AuditWatch.here().trouble
        assert written(sink) == []
    finally:
        hidden.rename(keyring.folder() / signing.PRIVATE)


@pytest.fixture
def signed_log(desk: Notary, sink: Sink, clock: Clock) -> Iterator[Notary]:
    long_log.write(2500)
    settle(desk)
    with open_log():
        yield desk


def sql(text: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text, values)


def test_what_is_changed_behind_the_last_checkpoint_is_found_within_the_hour(signed_log: Notary, clock: Clock) -> None:
    sql("UPDATE secrets_app_auditentry SET actor = 'nobody' WHERE seq = 1200")
    settle(signed_log)
    assert AuditWatch.here().bad_seq is None
    clock.later(hours=1)
    settle(signed_log)
    assert (AuditWatch.here().bad_seq, AuditWatch.here().bad_why) == (1200, "its content is not what was written")
    entry = AuditEntry.objects.filter(action="audit.verify").latest("seq")
    assert (entry.facts["verdict"], entry.facts["upto"]) == ("broken", 1200)
    clock.later(hours=1)
    settle(signed_log)
    assert actions().count("audit.verify") == 2, "the same verdict is told once"


def test_a_log_set_back_is_not_signed_on(signed_log: Notary, sink: Sink, clock: Clock, region: Region) -> None:
    """An older database was put back, or a tail cut off and the head with it."""
    known = AuditEntry.objects.get(seq=2000).hash
    sql("DELETE FROM secrets_app_auditentry WHERE seq > 2000")
    sql("UPDATE secrets_app_audithead SET seq = 2000, hash = %s", known)
    before = written(sink)
    for _minute in range(3):
        cast.key(region)
        clock.later(minutes=61)
        settle(signed_log)
        settle(Notary(Sink(sink.file), cast.SETUP))
    assert written(sink) == before
    watch = AuditWatch.here()
    assert watch.bad_seq
    assert "is wrong" in watch.trouble


# The commands


def test_the_public_key_is_printed(region: Region, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("checkpoint_key")
    assert capsys.readouterr().out.strip() == load_verifier(keyring.folder()).public
    with pytest.raises(CommandError, match="There is a pair"):
        call_command("checkpoint_key", "--new")


def run(*words: str) -> int:
    try:
        call_command("verify_audit_log", *words)
    except CommandError as wrong:
        return wrong.returncode
    return 0


def test_the_command_compares_with_checkpoints_and_tells_a_cut_tail_by_its_exit_code(
    signed_log: Notary, sink: Sink, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ("--checkpoints", str(sink.file))
    assert run(*files) == 0
    assert "passes through 1 signed checkpoints" in capsys.readouterr().out
    known = AuditEntry.objects.get(seq=2000).hash
    sql("DELETE FROM secrets_app_auditentry WHERE seq > 2000")
    sql("UPDATE secrets_app_audithead SET seq = 2000, hash = %s", known)
    assert run("--no-entry") == 0
    assert "would not show" in capsys.readouterr().out
    assert run(*files, "--no-entry") == 3
    assert run(*files, "--public-key", "ab" * 32, "--no-entry") == 2, "not signed by that key"
    sql("UPDATE secrets_app_auditentry SET actor = 'nobody' WHERE seq = 3")
    assert run(*files, "--no-entry") == 2
    assert run(*files, "--no-entry", "--from", "4") == 3, "what stands before it is believed"


def test_the_command_says_what_is_wrong_with_what_it_was_given(region: Region, tmp_path: Path) -> None:
    for words, why in (
        (("--checkpoints", str(tmp_path / "none")), "cannot be read"),
        (("--public-key", "short"), "no public key"),
        (("--from", "0"), "no entry"),
    ):
        with pytest.raises(CommandError, match=why):
            call_command("verify_audit_log", *words)


def test_a_check_is_an_entry_with_its_verdict(region: Region) -> None:
    seq = AuditHead.objects.get().seq
    assert run() == 0
    entry = AuditEntry.objects.latest("seq")
    assert (entry.actor, entry.action, entry.facts["verdict"], entry.facts["upto"]) == ("verify_audit_log", "audit.verify", "whole", seq)


def test_a_head_that_is_gone_hides_no_verdict(region: Region) -> None:
    with open_log():
        sql("DELETE FROM secrets_app_audithead")
    assert run() == 2


def test_the_sink_is_the_environments_alone() -> None:
    assert settings.AUDIT_SINK == settings.DATA_DIR / "audit" / "checkpoints.jsonl"


def test_an_epoch_that_nobody_signed_hides_no_deletion(desk: Notary, clock: "Clock", region: Region) -> None:
    """The database lets entries below a sealed epoch go; who wrote that row is for the signature to say."""
    for _ in range(6):
        cast.key(region)
    settle(desk)
    kept = AuditEntry.objects.get(seq=AuditEntry.objects.latest("seq").seq - 2)
    SealedEpoch.objects.create(
        last_seq=kept.seq,
        first_seq=1,
        first_prev_hash=chain.GENESIS,
        last_hash=kept.hash,
        entries=kept.seq,
        archive="mine.gz",
        digest="0" * 64,
        sealed_at=kept.at,
        signature="AAAA",
    )
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM secrets_app_auditentry WHERE seq <= %s", [kept.seq])
    clock.later(hours=2)
    settle(desk)
    assert AuditWatch.here().bad_seq == 1
