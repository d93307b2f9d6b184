"""Revealing a key: what the verb asks of a person before the control plane is asked anything."""

import uuid
from typing import Any

import pytest

from secrets_app.actor import Actor
from secrets_app.broker import Broker
from secrets_app.errors import AlreadyDone, CannotOpen, Conflict, Invalid, NoAnswer, NotAllowed, StaleEdit, TooOften, Withheld
from secrets_app.models import AuditEntry, Deployment, Errand, Key, KeyVersion, Region
from secrets_app.scope import EVERYWHERE
from tests import cast

VALUE = "the-value-of-openai-0123456789"
REASON = "The supplier asks for it"


@pytest.fixture
def key(region: Region) -> Key:
    cast.revealing()
    return cast.key(region, "openai", VALUE)


def reveal(key: Key, who: str = "kim", **given: Any) -> bytes:
    given = {"by": cast.actor(who), "version": key.version, "once": uuid.uuid4()} | given
    return key.reveal(given.pop("reason", REASON), **given).expose()


def entries() -> list[tuple[str, str, str, Any]]:
    found = AuditEntry.objects.filter(action__in=("key.reveal", "key.show")).order_by("seq")
    return [(entry.actor, entry.action, entry.outcome, entry.facts.get("reason", "")) for entry in found]


def test_kim_is_shown_the_value_and_both_entries_tell(key: Key, broker: Broker) -> None:
    assert reveal(key) == VALUE.encode()
    assert entries() == [("kim", "key.reveal", "ok", REASON), ("control-plane", "key.show", "ok", "")]
    assert not Errand.objects.exists()
    assert AuditEntry.verify().bad is None


def test_the_entry_is_there_before_anything_is_opened(key: Key, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("secrets_app.broker.open_sealed", lambda *_given: (seen.extend(entries()), (_ for _ in ()).throw(CannotOpen()))[1])
    with pytest.raises(CannotOpen):
        reveal(key)
    assert seen == [("kim", "key.reveal", "ok", REASON)]


def test_it_is_off_unless_an_owner_turned_it_on(region: Region, broker: Broker) -> None:
    key = cast.key(region, "openai", VALUE)
    with pytest.raises(Conflict, match="off"):
        reveal(key)
    assert entries() == [("kim", "key.reveal", "refused", "conflict")]
    assert not Errand.objects.exists()


@pytest.mark.parametrize("who", ["alice", "olive", "vera", "audrey", "mallory"])
def test_nobody_else_may(key: Key, broker: Broker, who: str) -> None:
    with pytest.raises(NotAllowed):
        reveal(key, who)
    assert entries() == [(who, "key.reveal", "refused", "not_allowed")]


def test_no_process_of_the_console_may(key: Key, broker: Broker) -> None:
    with pytest.raises((NotAllowed, Conflict)):
        reveal(key, by=Actor.system("run_web"))
    assert ("control-plane", "key.show", "ok", "") not in entries()


def test_an_api_token_may_not_whatever_its_maker_may(key: Key, broker: Broker) -> None:
    with pytest.raises(Conflict, match="roles"):
        reveal(key, by=cast.actor("kim").confined(EVERYWHERE, ["key.reveal"]))
    assert entries() == [("kim", "key.reveal", "refused", "conflict")]


def test_the_right_counts_where_the_key_lies(key: Key, broker: Broker) -> None:
    abroad = Region.create("abroad", "Abroad", by=cast.SETUP)
    there, here = cast.somebody("tom", "key_manager", at=abroad.scope), cast.somebody("ann", "key_manager", at=key.scope)
    with pytest.raises(NotAllowed):
        reveal(key, by=there.as_actor())
    assert reveal(key, by=here.as_actor()) == VALUE.encode()


def test_a_log_that_cannot_be_written_shows_nothing(key: Key, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither without the entry that comes first nor without the one that says what came of it."""
    kim, real = cast.actor("kim"), AuditEntry.save
    for broken in ("key.reveal", "key.show"):

        def save(entry: AuditEntry, *args: Any, broken: str = broken, **kwargs: Any) -> None:
            if entry.action == broken:
                raise OSError("no space left")
            real(entry, *args, **kwargs)

        monkeypatch.setattr(AuditEntry, "save", save)
        with pytest.raises(OSError, match="no space"):
            reveal(key, by=kim)
        assert not Errand.objects.filter(answer__isnull=False).exists()


@pytest.mark.parametrize("reason", ["", "too short", "a   b   c   d", "x" * 501])
def test_a_reason_is_asked_for(key: Key, broker: Broker, reason: str) -> None:
    with pytest.raises(Invalid, match="why"):
        reveal(key, reason=reason)
    assert entries() == []


def test_three_an_hour(key: Key, broker: Broker) -> None:
    for _ in range(3):
        reveal(key)
    with pytest.raises(TooOften) as refused:
        reveal(key)
    assert refused.value.status == 429
    assert entries()[-1] == ("kim", "key.reveal", "refused", "too_often")


def test_the_same_form_twice_is_shown_once(key: Key, broker: Broker) -> None:
    once = uuid.uuid4()
    reveal(key, once=once)
    with pytest.raises(AlreadyDone):
        reveal(key, once=once)


def test_another_version_than_the_one_that_was_seen_is_not_shown(key: Key, broker: Broker) -> None:
    key.rotate(cast.value(), by=cast.SETUP)
    with pytest.raises(StaleEdit):
        reveal(key, version=1)
    assert reveal(key, version=2)


def test_a_disabled_key_is_not_shown(key: Key, broker: Broker) -> None:
    key.disable(by=cast.SETUP)
    with pytest.raises(Conflict, match="disabled"):
        reveal(key)


def test_what_the_control_plane_would_not_do_is_said_in_words(key: Key, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks for itself: here something changed after the entry was written."""
    real = broker.serve
    monkeypatch.setattr(broker, "serve", lambda: (Key.objects.filter(pk=key.pk).update(enabled=False), real()))
    with pytest.raises(Withheld, match="disabled") as refused:
        reveal(key)
    assert refused.value.status == 409
    assert entries()[-1] == ("control-plane", "key.show", "refused", "disabled")
    assert not Errand.objects.exists()


def test_a_value_that_does_not_open_is_told_without_it(key: Key, broker: Broker) -> None:
    KeyVersion.objects.filter(key=key).update(body=b"\1\1spoilt")
    with pytest.raises(CannotOpen) as refused:
        reveal(key)
    assert refused.value.status == 503
    assert VALUE not in str(refused.value)


@pytest.mark.usefixtures("control_plane_down")
def test_without_a_control_plane_it_ends_after_two_seconds_and_is_told(key: Key) -> None:
    with pytest.raises(NoAnswer) as refused:
        reveal(key)
    assert refused.value.status == 503
    assert entries() == [("kim", "key.reveal", "ok", REASON), ("kim", "key.reveal", "refused", "no_answer")]
    assert not Errand.objects.exists()


def test_no_value_is_in_the_database_while_it_is_on_its_way(key: Key, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.security.canary import Canaries
    from tests.security.world import everything

    canaries = Canaries()
    key.rotate(cast.value(canaries.plant("revealed")), by=cast.SETUP)
    rows: list[str] = []
    real = broker.serve
    monkeypatch.setattr(broker, "serve", lambda: (rows.append(everything()), real(), rows.append(everything())))
    assert canaries.found_in({"answer": reveal(key)})
    assert len(rows) == 2
    assert "secrets_app_errand" in rows[1]
    assert canaries.found_in({"before": rows[0], "answered": rows[1], "after": everything()}) == []


def test_setting_the_policy_is_a_deed_of_the_owners(region: Region) -> None:
    deployment = Deployment.here()
    assert deployment.reveal_policy() == "off"
    with pytest.raises(NotAllowed):
        deployment.edit_reveal("on", by=cast.actor("kim"))
    with pytest.raises(Invalid):
        deployment.edit_reveal("perhaps", by=cast.actor("alice"))
    deployment.edit_reveal("on", by=cast.actor("alice"))
    assert Deployment.here().reveal_policy() == "on"
    assert AuditEntry.objects.get(action="settings.edit_reveal", outcome="ok").facts == {"policy": "on", "previous": "off"}
