"""The audit log: a change and its entry together or not at all, one entry a deed, refusals counted, and a chain that shows every touch."""

import re
import traceback
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, OperationalError, connection
from django.utils import timezone

from secrets_app.access import ACTIONS
from secrets_app.actor import Actor, Held
from secrets_app.errors import AlreadyDone, Conflict, NotAllowed
from secrets_app.models import AuditEntry, AuditHead, Key, RefusalTally, Region, User, deed
from secrets_app.models.refusals import record_refusal
from tests import cast
from tests.openlog import open_log


def entries() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.order_by("seq").values_list("actor", "action", "outcome"))


def test_a_deed_writes_exactly_one_entry_with_who_what_and_where(region: Region) -> None:
    before = AuditEntry.objects.count()
    by = Actor("kim", frozenset({Held("key_manager")}), cast.person("kim").pk, "203.0.113.9", "a-request")
    before += 1  # kim
    key = Key.create(region, "one", cast.value(), by=by)
    assert AuditEntry.objects.count() == before + 1
    entry = AuditEntry.objects.latest("seq")
    assert (entry.actor, entry.actor_id, entry.address, entry.request_id) == ("kim", by.user_id, "203.0.113.9", "a-request")
    assert (entry.target_kind, entry.target_id, entry.target) == ("key", str(key.pk), "one")
    assert (entry.region, entry.region_id) == ("local", region.pk)


def test_a_failure_to_write_the_entry_undoes_the_change(region: Region) -> None:
    before = entries()
    with patch.object(AuditEntry, "save", side_effect=OSError("disk full")), pytest.raises(OSError, match="disk full"):
        Key.create(region, "one", cast.value(), by=cast.SETUP)
    assert not Key.objects.exists()
    assert entries() == before


def test_a_failure_of_the_deed_writes_no_entry(region: Region) -> None:
    before = entries()

    def broken() -> None:
        with deed(cast.SETUP, "key.bind", region):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert entries() == before


def test_deeds_never_nest(region: Region) -> None:
    with pytest.raises(RuntimeError, match="durable"), deed(cast.SETUP, "key.bind", region):
        cast.key(region)
    assert not Key.objects.exists()


def test_a_fact_outside_the_allow_list_is_an_error_and_nothing_is_written(region: Region) -> None:
    def telling() -> None:
        with deed(cast.SETUP, "key.create", region) as entry:
            entry.facts = {"value": "a value"}

    before = entries()
    with pytest.raises(ValueError, match="may not state"):
        telling()
    assert entries() == before


@pytest.mark.usefixtures("one_minute")
def test_a_refusal_is_an_entry_and_its_repeats_a_number(region: Region) -> None:
    vera = cast.actor("vera")
    before = AuditEntry.objects.count()
    for _ in range(5):
        with pytest.raises(NotAllowed):
            Key.create(region, "one", cast.value(), by=vera)
    assert AuditEntry.objects.count() == before + 1
    tally = RefusalTally.objects.get()
    assert (tally.actor, tally.action, tally.count) == ("vera", "key.create", 4)


@pytest.mark.usefixtures("one_minute")
def test_the_number_of_repeats_is_stated_when_the_minute_is_over(region: Region) -> None:
    vera = cast.actor("vera")
    for _ in range(3):
        record_refusal(vera, "key.create")
    RefusalTally.objects.update(minute=timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=2))
    record_refusal(vera, "key.rotate")
    repeat = AuditEntry.objects.get(action="audit.repeat")
    assert (repeat.actor, repeat.facts["action"], repeat.facts["count"]) == ("vera", "key.create", 2)
    assert RefusalTally.objects.get().action == "key.rotate"


def over(minutes: int = 2) -> AuditEntry:
    """The tallies' minute has passed, and the next refusal settles them."""
    RefusalTally.objects.update(minute=timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=minutes))
    record_refusal(cast.SETUP, "audit.view")
    return AuditEntry.objects.get(action="audit.repeat")


@pytest.mark.usefixtures("one_minute")
def test_repeats_on_other_targets_are_told_by_their_names(region: Region) -> None:
    vera, keys = cast.actor("vera"), [cast.key(region, name) for name in ("a", "b", "c")]
    for key in (keys[0], keys[1], keys[1], keys[2], keys[0]):
        with pytest.raises(NotAllowed):
            key.delete(by=vera)
    first = AuditEntry.objects.get(outcome="refused")
    assert first.target == "a"
    assert over().facts == {
        "action": "key.delete",
        "count": 4,
        "minute": over_minute(),
        "targets": ["key b (local)", "key c (local)", "key a (local)"],
    }


def over_minute() -> str:
    facts: dict[str, str] = AuditEntry.objects.get(action="audit.repeat").facts
    return facts["minute"]


@pytest.mark.usefixtures("one_minute")
def test_a_tally_of_very_many_targets_stays_small_and_says_how_many_refusals_it_does_not_name(region: Region) -> None:
    vera, keys = cast.actor("vera"), [cast.key(region, f"key_{number:02}") for number in range(30)]
    for key in [*keys, keys[1], keys[29]]:
        with pytest.raises(NotAllowed):
            key.delete(by=vera)
    assert len(RefusalTally.objects.get().targets) == 20
    facts = over().facts
    assert (facts["count"], facts["unlisted"]) == (31, 10)
    assert facts["targets"] == [f"key key_{number:02} (local)" for number in range(1, 21)]


@pytest.mark.usefixtures("one_minute")
def test_what_was_typed_for_a_name_is_not_told_of_a_refusal(region: Region) -> None:
    vera = cast.actor("vera")
    for _ in range(3):
        with pytest.raises(NotAllowed):
            Key.create(region, "a-password-in-the-wrong-field", cast.value(), by=vera)
    assert AuditEntry.objects.filter(outcome="refused").get().target == ""
    facts = over().facts
    assert (facts["count"], "targets" in facts, "unlisted" in facts) == (2, False, False)


def test_another_actor_address_or_action_is_another_refusal(region: Region) -> None:
    vera, elsewhere = cast.actor("vera"), cast.person("vera").as_actor("203.0.113.9")
    before = AuditEntry.objects.count()
    for by, action in ((vera, "key.create"), (elsewhere, "key.create"), (vera, "key.rotate"), (cast.actor("olive"), "key.create")):
        record_refusal(by, action)
    assert AuditEntry.objects.filter(outcome="refused").count() == 4
    assert AuditEntry.objects.count() == before + 5  # and olive


def test_entries_are_only_ever_added(region: Region) -> None:
    entry = AuditEntry.objects.latest("seq")
    entry.actor = "nobody"
    for touch in (
        entry.save,
        entry.delete,
        AuditEntry.objects.all().delete,
        lambda: AuditEntry.objects.update(actor="nobody"),
        lambda: AuditEntry.objects.bulk_update([entry], ["actor"]),
    ):
        with pytest.raises(TypeError, match="append-only"):
            touch()


def test_what_an_entry_may_state_is_never_a_value() -> None:
    forbidden = {"value", "content", "secret", "body", "wrapped", "fingerprint", "hash", "token", "password"}
    for name, action in ACTIONS.items():
        assert not action.facts & forbidden, name


class Taken(Exception):
    """As psycopg raises it."""

    sqlstate = "23505"


class Deadlock(Exception):
    sqlstate = "40P01"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (IntegrityError("Key (name)=(quoted by the driver) already exists"), Taken()),
        (OperationalError("deadlock detected: quoted by the driver"), Deadlock()),
    ],
)
def test_the_loser_of_a_race_meets_a_conflict_and_not_the_drivers_words(region: Region, error: Exception, cause: Exception) -> None:
    def losing() -> None:
        with deed(cast.SETUP, "key.bind", region):
            raise error from cause

    with pytest.raises(Conflict, match="at the same moment") as lost:
        losing()
    assert "quoted by the driver" not in "".join(traceback.format_exception(lost.value))
    assert (AuditEntry.objects.latest("seq").outcome, AuditEntry.objects.latest("seq").facts) == ("refused", {"reason": "conflict"})


def test_the_loser_of_a_race_with_its_own_twin_is_told_that_it_is_done(region: Region) -> None:
    def losing() -> None:
        with deed(cast.SETUP, "key.create", region, once=region.pk):
            raise IntegrityError from Taken()

    seen = [None, AlreadyDone("one")]  # nothing before the deed began; the twin's entry after it failed
    with patch("secrets_app.models.deeds._check_once", side_effect=seen), pytest.raises(AlreadyDone):
        losing()
    assert AuditEntry.objects.latest("seq").outcome == "ok"


def test_any_other_broken_constraint_is_a_failure_of_ours(region: Region) -> None:
    with pytest.raises(IntegrityError), deed(cast.SETUP, "key.bind", region):
        raise IntegrityError("NOT NULL constraint failed")
    with pytest.raises(OperationalError), deed(cast.SETUP, "key.bind", region):
        raise OperationalError("the disk is full")


# The chain


@pytest.fixture
def log(region: Region) -> int:
    """A log of some entries; its length."""
    for number in range(6):
        cast.key(region, f"key_in_the_log_{number}")
    return AuditHead.objects.get().seq


def touch(sql: str, *values: Any) -> None:
    """By somebody with the whole database in hand, triggers included."""
    with open_log(), connection.cursor() as cursor:
        cursor.execute(sql, values)


def broken_at() -> int | None:
    return AuditEntry.verify().bad


def test_an_untouched_log_is_whole(log: int) -> None:
    verdict = AuditEntry.verify()
    assert (verdict.entries, verdict.bad, verdict.head) == (log, None, AuditHead.objects.get().hash)


def test_an_empty_log_is_whole(db: None) -> None:
    assert AuditEntry.verify().bad is None


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "nobody"),
        ("action", "key.delete"),
        ("outcome", "refused"),
        ("target", "another"),
        ("target_id", "1"),
        ("target_kind", "user"),
        ("region", "eu"),
        ("address", "203.0.113.9"),
        ("request_id", "another"),
        ("facts", '{"version": 2}'),
        ("at", "2020-01-01 00:00:00"),
        ("actor_id", "00000000000000000000000000000001"),
        ("region_id", "00000000000000000000000000000001"),
        ("operation", "00000000000000000000000000000001"),
        ("hash", "0" * 64),
        ("prev_hash", "0" * 64),
        ("prev_hash", "not even hex"),
    ],
)
def test_a_change_of_any_column_is_found_where_it_is(log: int, column: str, value: str) -> None:
    touch(f"UPDATE secrets_app_auditentry SET {column} = %s WHERE seq = 4", value)  # noqa: S608 (a column of ours)
    assert broken_at() == 4


@pytest.mark.parametrize("seq", [1, 4])
def test_an_entry_left_out_is_found_where_it_was(log: int, seq: int) -> None:
    touch("DELETE FROM secrets_app_auditentry WHERE seq = %s", seq)
    assert broken_at() == seq


def test_an_entry_left_out_with_the_rest_moved_up_is_found(log: int) -> None:
    touch("DELETE FROM secrets_app_auditentry WHERE seq = 4")
    for seq in range(5, log + 1):
        touch("UPDATE secrets_app_auditentry SET seq = %s WHERE seq = %s", seq - 1, seq)
    assert broken_at() == 4


def test_an_entry_put_in_is_found(log: int) -> None:
    for seq in range(log, 3, -1):
        touch("UPDATE secrets_app_auditentry SET seq = %s WHERE seq = %s", seq + 1, seq)
    copy(6, 4)
    assert broken_at() == 4


def test_an_entry_put_in_behind_the_end_is_found(log: int) -> None:
    copy(log, log + 1)
    touch("UPDATE secrets_app_auditentry SET prev_hash = (SELECT hash FROM secrets_app_audithead) WHERE seq = %s", log + 1)
    rehash(log + 1)
    assert broken_at() == log + 1


def test_two_entries_that_changed_places_are_found(log: int) -> None:
    touch("UPDATE secrets_app_auditentry SET seq = 1000 WHERE seq = 4")
    touch("UPDATE secrets_app_auditentry SET seq = 4 WHERE seq = 5")
    touch("UPDATE secrets_app_auditentry SET seq = 5 WHERE seq = 1000")
    assert broken_at() == 4


def test_a_log_cut_at_its_end_is_found(log: int) -> None:
    touch("DELETE FROM secrets_app_auditentry WHERE seq > %s", log - 2)
    assert broken_at() == log - 1


def test_a_log_that_is_gone_is_found(log: int) -> None:
    touch("DELETE FROM secrets_app_auditentry")
    assert broken_at() == 1


def test_a_head_that_names_another_end_is_found(log: int) -> None:
    touch("UPDATE secrets_app_audithead SET hash = %s", "f" * 64)
    assert broken_at() == log
    touch("DELETE FROM secrets_app_audithead")
    assert broken_at() == 1


def test_an_entry_changed_with_its_own_hash_is_found_at_the_next(log: int) -> None:
    touch("UPDATE secrets_app_auditentry SET actor = 'nobody' WHERE seq = 4")
    rehash(4)
    assert broken_at() == 5


def copy(seq: int, to: int) -> None:
    columns = ", ".join(field.column for field in AuditEntry._meta.concrete_fields if field.column not in ("seq", "operation"))
    touch(f"INSERT INTO secrets_app_auditentry (seq, {columns}) SELECT %s, {columns} FROM secrets_app_auditentry WHERE seq = %s", to, seq)  # noqa: S608


def rehash(seq: int) -> None:
    touch("UPDATE secrets_app_auditentry SET hash = %s WHERE seq = %s", AuditEntry.objects.get(seq=seq).digest(), seq)


def test_the_command_prints_a_figure_and_the_head(log: int, capsys: pytest.CaptureFixture[str]) -> None:
    head = AuditHead.objects.get()
    call_command("verify_audit_log")
    assert re.match(rf"{log} entries, the chain is whole \(\d+\.\d s\)\. Head: {log} {head.hash}\n", capsys.readouterr().out)


def test_the_command_exits_2_with_the_first_bad_entry(log: int) -> None:
    touch("UPDATE secrets_app_auditentry SET actor = 'nobody' WHERE seq IN (4, 6)")
    with pytest.raises(CommandError, match="broken at entry 4") as broken:
        call_command("verify_audit_log")
    assert broken.value.returncode == 2


def test_checking_reads_the_log_row_by_row(log: int) -> None:
    with patch("secrets_app.chain.digest_of_row", side_effect=AssertionError) as digest, pytest.raises(AssertionError):
        AuditEntry.verify()
    assert digest.call_count == 1


def test_names_in_any_script_are_chained_alike(region: Region) -> None:
    user = User.objects.create(username="ämélie")
    for name in ("Ämélie", "e\u0301", "名前", "🗝", '"quoted"\\'):
        with deed(user.as_actor(), "user.sign_in", User(username=name)):
            pass
    assert broken_at() is None
