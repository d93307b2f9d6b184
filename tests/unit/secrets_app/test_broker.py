"""The broker opens a value for what the audit log says, and for nothing that anybody else says."""

import uuid
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from secrets_app import broker as module
from secrets_app.actor import Actor
from secrets_app.broker import Broker
from secrets_app.channel import About, Answer, Asker, answered, named, proof
from secrets_app.errors import CannotOpen
from secrets_app.models import AuditEntry, AuditHead, Deployment, Errand, Key, KeyVersion, Region, RoleGrant, deed
from secrets_app.models.audit import Draft
from tests import cast
from tests.openlog import open_log

VALUE = "the-value-of-openai-0123456789"


@pytest.fixture
def key(region: Region) -> Key:
    cast.revealing()
    return cast.key(region, "openai", VALUE)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every value that the broker opened."""
    seen: list[str] = []
    real = module.open_sealed
    monkeypatch.setattr(
        module, "open_sealed", lambda sealed, context, unwrapper: (seen.append(str(context.key)), real(sealed, context, unwrapper))[1]
    )
    return seen


class Intruder:
    """Code that runs in the web process: it holds all that process holds, and writes to the database what it likes."""

    def __init__(self, key: Key, by: Actor | None = None) -> None:
        self.key, self.asker, self.errand = key, Asker(), uuid.uuid4()
        self.by = by or cast.actor("kim")

    def entry(self, **facts: Any) -> AuditEntry:
        """As the log would hold it for a reveal, with nothing looked at before."""
        draft = Draft(self.by, "key.reveal", self.key, self.errand)
        draft.facts = {"version": self.key.version, "reason": "because I can", "public_key": named(self.asker.public)} | facts
        return draft.write()

    def row(self, **columns: Any) -> Errand:
        shared, here = Errand.shared(), Deployment.here().pk
        given = {"pk": self.errand, "public_key": self.asker.public, "proof": proof(shared, here, self.errand, self.asker.public)}
        return Errand.objects.create(**given | columns)

    def about(self) -> About:
        return About(Deployment.here().pk, self.errand, "key.reveal", str(self.key.pk), self.key.version)

    def answer(self) -> Answer | None:
        """What the broker made of it: None where it took the row away."""
        Broker(cast.CONTROL_PLANE).serve()
        row = Errand.objects.filter(pk=self.errand).first()
        return self.asker.read(bytes(row.answer), self.about(), Errand.shared()) if row and row.answer else None


def outcomes() -> list[tuple[str, str, Any]]:
    """What the control plane wrote down."""
    entries = AuditEntry.objects.filter(actor="control-plane", action="key.show").order_by("seq")
    return [(entry.target, entry.outcome, entry.facts.get("reason", "")) for entry in entries]


def test_an_entry_of_the_log_opens_its_value_and_what_came_of_it_is_an_entry_too(key: Key) -> None:
    intruder = Intruder(key)
    entry = intruder.entry()
    intruder.row()
    assert intruder.answer() == Answer(True, VALUE.encode())
    assert outcomes() == [("openai", "ok", "")]
    shown = AuditEntry.objects.get(action="key.show")
    assert shown.facts == {"version": 1, "person": "kim", "entry": entry.seq}
    assert AuditEntry.verify().bad is None


def test_a_row_without_an_entry_opens_nothing(key: Key, opened: list[str]) -> None:
    intruder = Intruder(key)
    intruder.row()
    assert intruder.answer() is None
    assert not Errand.objects.exists()
    assert (opened, outcomes()) == ([], [("", "refused", "forged")])


def test_a_row_that_was_answered_is_not_answered_again(key: Key, opened: list[str]) -> None:
    intruder = Intruder(key)
    intruder.entry()
    intruder.row()
    assert intruder.answer() == Answer(True, VALUE.encode())
    Errand.objects.all().delete()
    intruder.row()
    assert intruder.answer() == Answer(False, b"already_done")
    Errand.objects.update(answer=None)
    assert intruder.answer() == Answer(False, b"already_done")
    assert opened == [str(key.pk)]
    assert [outcome for _name, outcome, _why in outcomes()] == ["ok", "refused"]  # the second refusal of a minute is a number


def test_another_public_key_than_the_entrys_opens_nothing(key: Key, opened: list[str]) -> None:
    intruder = Intruder(key)
    intruder.entry()
    intruder.asker = Asker()
    intruder.row()
    assert intruder.answer() is None
    assert (opened, outcomes()) == ([], [("", "refused", "forged")])


def test_an_entry_opens_the_key_that_it_names_and_no_other(key: Key, region: Region, opened: list[str]) -> None:
    """A row names no key at all: what somebody wants to read with another one's entry is not even sealed for that."""
    intruder, other = Intruder(key), cast.key(region, "other", "the-other-value-0123456789")
    intruder.entry()
    intruder.row()
    intruder.key = other
    with pytest.raises(CannotOpen):
        intruder.answer()
    assert opened == [str(key.pk)]


def test_the_entry_of_another_errand_is_none(key: Key, opened: list[str]) -> None:
    intruder = Intruder(key)
    intruder.entry()
    intruder.errand = uuid.uuid4()
    intruder.row()
    assert intruder.answer() is None
    assert opened == []


def test_an_entry_of_another_action_is_none(key: Key, opened: list[str]) -> None:
    intruder = Intruder(key)
    with deed(cast.actor("kim"), "key.disable", key, once=intruder.errand) as entry:
        entry.facts = {"holders": 0}
    intruder.row()
    assert intruder.answer() is None
    assert opened == []


@pytest.mark.parametrize("aged", [timedelta(seconds=61), timedelta(days=1), timedelta(seconds=-6)])
def test_an_entry_of_another_time_opens_nothing(key: Key, opened: list[str], aged: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    intruder = Intruder(key)
    intruder.entry()
    intruder.row()
    later = timezone.now() + aged
    monkeypatch.setattr(module, "timezone", SimpleNamespace(now=lambda: later))
    assert intruder.answer() == Answer(False, b"expired")
    assert opened == []


def test_a_row_of_the_log_that_was_put_in_past_it_is_none(key: Key, opened: list[str]) -> None:
    """Its hashes may be whatever they like: the neighbours do not know it."""
    for seq, hashed in ((10_000, False), (10_001, True)):
        intruder = Intruder(key)
        facts = {"version": 1, "reason": "because I can", "public_key": named(intruder.asker.public)}
        kim = cast.person("kim")
        made = AuditEntry(
            seq=seq, at=timezone.now(), region_id=key.region_id, region="local", actor="kim", actor_id=kim.pk, action="key.reveal",
            outcome="ok", target_kind="key", target_id=str(key.pk), target="openai", facts=facts, operation=intruder.errand,
            prev_hash=AuditHead.objects.get().hash,
        )  # fmt: skip
        made.hash = made.digest() if hashed else "0" * 64
        with open_log():
            made.save()
        intruder.row()
        assert intruder.answer() is None
    assert opened == []


def test_an_entry_that_was_made_to_name_another_key_is_none(key: Key, region: Region, opened: list[str]) -> None:
    other, intruder = cast.key(region, "other"), Intruder(key)
    entry = intruder.entry()
    intruder.row()
    with open_log(), connection.cursor() as cursor:
        cursor.execute("UPDATE secrets_app_auditentry SET target_id = %s WHERE seq = %s", [str(other.pk), entry.seq])
    assert intruder.answer() is None
    assert opened == []


@pytest.mark.parametrize("who", ["alice", "olive", "vera", "audrey", "mallory"])
def test_an_entry_of_somebody_who_may_not_opens_nothing(key: Key, opened: list[str], who: str) -> None:
    intruder = Intruder(key, cast.actor(who))
    intruder.entry()
    intruder.row()
    assert intruder.answer() == Answer(False, b"not_allowed")
    assert (opened, outcomes()) == ([], [("openai", "refused", "not_allowed")])


def test_rights_count_as_they_are_when_it_is_opened(key: Key, opened: list[str]) -> None:
    kim = cast.person("kim")
    for take_away in (
        lambda: RoleGrant.objects.filter(user=kim).delete(),
        lambda: type(kim).objects.filter(pk=kim.pk).update(is_active=False),
    ):
        intruder = Intruder(key)
        intruder.entry()
        intruder.row()
        take_away()
        assert intruder.answer() == Answer(False, b"not_allowed")
    assert opened == []


def test_neither_a_process_nor_a_name_without_a_person_is_shown_anything(key: Key, opened: list[str]) -> None:
    for nobody in (cast.SETUP, Actor("kim", frozenset(), cast.person("vera").pk), Actor("kim", frozenset(), uuid.uuid4())):
        intruder = Intruder(key, nobody)
        intruder.entry()
        intruder.row()
        assert intruder.answer() == Answer(False, b"not_allowed")
    assert opened == []


def test_a_policy_that_was_set_past_the_log_counts_as_off(region: Region, opened: list[str]) -> None:
    key = cast.key(region, "openai", VALUE)
    for said in ("off", "on"):
        Deployment.objects.update(reveal=said)
        intruder = Intruder(key)
        intruder.entry()
        intruder.row()
        assert intruder.answer() == Answer(False, b"off")
    assert opened == []


def test_a_policy_that_was_turned_off_meanwhile_opens_nothing(key: Key, opened: list[str]) -> None:
    intruder = Intruder(key)
    intruder.entry()
    intruder.row()
    cast.revealing("off")
    Deployment.objects.update(reveal="on")
    assert intruder.answer() == Answer(False, b"off")
    assert opened == []


def test_the_fourth_within_an_hour_opens_nothing_whoever_wrote_its_entry(key: Key, opened: list[str]) -> None:
    answers = []
    for _ in range(4):
        intruder = Intruder(key)
        intruder.entry()
        intruder.row()
        answers.append(intruder.answer())
    assert answers == [Answer(True, VALUE.encode())] * 3 + [Answer(False, b"too_often")]
    assert len(opened) == 3


def test_who_can_only_write_to_the_database_cannot_ask(key: Key, opened: list[str]) -> None:
    """The proof takes a key that lies in a file of the web process's."""
    intruder = Intruder(key)
    intruder.entry()
    for made_up in (b"", b"\0" * 32, proof(b"\0" * 32, Deployment.here().pk, intruder.errand, intruder.asker.public)):
        intruder.row(proof=made_up)
        assert intruder.answer() is None
    assert opened == []


@pytest.mark.parametrize("public", [b"", b"\0" * 32, b"x" * 31])
def test_a_public_key_that_is_none_is_answered_nothing_and_stops_nobody(key: Key, public: bytes) -> None:
    broken, sound = Intruder(key), Intruder(key)
    broken.asker = SimpleNamespace(public=public)  # type: ignore[assignment]
    for intruder in (broken, sound):
        intruder.entry()
        intruder.row()
    assert sound.answer() == Answer(True, VALUE.encode())
    assert not Errand.objects.filter(pk=broken.errand).exists()


@pytest.mark.parametrize("version", [0, 2, -1, "1; drop", None, True, "१", 10**30])
def test_a_version_that_is_none_opens_nothing(key: Key, version: Any) -> None:
    intruder = Intruder(key)
    intruder.entry(version=version)
    intruder.row()
    Broker(cast.CONTROL_PLANE).serve()
    assert ("openai", "ok", "") not in outcomes() or version == "१"


def test_disabled_deleted_and_unreadable_keys_are_told_apart_and_not_shown(key: Key, region: Region) -> None:
    def asked(of: Key) -> Answer | None:
        intruder = Intruder(of)
        intruder.entry()
        intruder.row()
        return intruder.answer()

    key.disable(by=cast.SETUP)
    assert asked(key) == Answer(False, b"disabled")
    key.enable(by=cast.SETUP)
    KeyVersion.objects.filter(key=key).update(body=b"\1\1 something else")
    assert asked(key) == Answer(False, b"cannot_open")
    intruder = Intruder(key)
    intruder.entry()
    intruder.row()
    pk, key.pk = key.pk, key.pk
    key.delete(by=cast.SETUP)
    key.pk = pk
    assert intruder.answer() == Answer(False, b"gone")


def test_another_versions_value_put_in_its_place_does_not_open(key: Key, region: Region) -> None:
    other = KeyVersion.objects.get(key=cast.key(region, "other"))
    KeyVersion.objects.filter(key=key).update(body=bytes(other.body), wrapped=bytes(other.wrapped))
    intruder = Intruder(key)
    intruder.entry()
    intruder.row()
    assert intruder.answer() == Answer(False, b"cannot_open")


def test_who_does_not_wait_any_more_is_shown_nothing(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row went while the value was being opened: nothing is handed over, and no entry says that it was."""
    intruder, real = Intruder(key), module.open_sealed
    intruder.entry()
    intruder.row()

    def meanwhile(*given: Any) -> Any:
        Errand.objects.all().delete()
        return real(*given)

    monkeypatch.setattr(module, "open_sealed", meanwhile)
    assert intruder.answer() is None
    assert outcomes() == [("openai", "refused", "conflict")]


def test_two_control_planes_at_one_errand_answer_it_once(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    intruder, real = Intruder(key), module.open_sealed
    intruder.entry()
    intruder.row()
    second = Broker(cast.CONTROL_PLANE)

    def meanwhile(*given: Any) -> Any:
        monkeypatch.setattr(module, "open_sealed", real)
        second.serve()
        return real(*given)

    monkeypatch.setattr(module, "open_sealed", meanwhile)
    assert intruder.answer() == Answer(True, VALUE.encode())
    assert [outcome for _name, outcome, _why in outcomes()].count("ok") == 1


def test_an_answer_by_somebody_else_is_none(key: Key) -> None:
    """Who can only write to the database cannot put a value of their own before somebody's eyes."""
    intruder = Intruder(key)
    forged = answered(Answer(True, b"use this one"), intruder.asker.public, intruder.about(), b"\0" * 32)
    with pytest.raises(CannotOpen):
        intruder.asker.read(forged, intruder.about(), Errand.shared())


def test_what_was_left_behind_is_swept(key: Key) -> None:
    old = Intruder(key)
    old.row(made_at=timezone.now() - timedelta(minutes=2), answer=b"sealed")
    fresh = Intruder(key)
    fresh.entry()
    fresh.row()
    fresh.answer()
    assert [row.pk for row in Errand.objects.all()] == [fresh.errand]


def test_at_rest_it_asks_the_database_once(key: Key, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        Broker(cast.CONTROL_PLANE).serve()
