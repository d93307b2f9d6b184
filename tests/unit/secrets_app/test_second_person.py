"""The second person of a reveal: somebody else, for this very request, once, and in time. Both sides of the channel see to it."""

import uuid
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from secrets_app.actor import Actor
from secrets_app.broker import Broker
from secrets_app.channel import Answer
from secrets_app.errors import Conflict, FormReused, Invalid, NotAllowed, NotFound, StaleEdit
from secrets_app.models import AuditEntry, Key, Region, RoleGrant, second
from secrets_app.models.audit import Draft
from secrets_app.models.second import Request, decision_on
from tests import cast
from tests.unit.secrets_app.test_broker import Intruder

VALUE = "the-value-of-openai-0123456789"
REASON = "The supplier asks for it"


@pytest.fixture
def key(region: Region) -> Key:
    cast.revealing("two")
    return cast.key(region, "openai", VALUE)


def other() -> Actor:
    return cast.somebody("keeper", "key_manager").as_actor()


def asked(key: Key, by: Actor | None = None) -> Request:
    return key.ask_reveal(REASON, by=by or cast.actor("kim"), version=key.version, once=uuid.uuid4())


def reveal(key: Key, by: Actor | None = None) -> bytes:
    return key.reveal("", by=by or cast.actor("kim"), version=key.version, once=uuid.uuid4()).expose()


def later(monkeypatch: pytest.MonkeyPatch, minutes: float) -> None:
    now = timezone.now() + timedelta(minutes=minutes)
    monkeypatch.setattr(second, "timezone", SimpleNamespace(now=lambda: now))


def test_kim_asks_another_approves_and_kim_is_shown_it_once(key: Key, broker: Broker) -> None:
    request = asked(key)
    key.approve_reveal(request.id, by=other())
    assert reveal(key) == VALUE.encode()
    told = [(entry.actor, entry.action) for entry in AuditEntry.objects.filter(target="openai", outcome="ok").order_by("seq")[1:]]
    assert told == [("kim", "key.ask_reveal"), ("keeper", "key.approve_reveal"), ("kim", "key.reveal"), ("control-plane", "key.show")]
    facts = AuditEntry.objects.get(action="key.reveal").facts
    assert (facts["approved_by"], facts["approval"], facts["reason"]) == ("keeper", str(request.id), REASON)
    with pytest.raises(Conflict, match="second person"):
        reveal(key)
    assert AuditEntry.verify().bad is None


def test_without_approval_nothing_is_shown(key: Key, broker: Broker) -> None:
    with pytest.raises(Conflict, match="second person"):
        reveal(key)
    asked(key)
    with pytest.raises(Conflict, match="second person"):
        reveal(key)
    assert not AuditEntry.objects.filter(action="key.show", outcome="ok").exists()


def test_nobody_approves_their_own(key: Key, broker: Broker) -> None:
    request = asked(key)
    with pytest.raises(Conflict, match="somebody else"):
        key.approve_reveal(request.id, by=cast.actor("kim"))
    assert AuditEntry.objects.get(action="key.approve_reveal").outcome == "refused"
    with pytest.raises(Conflict):
        reveal(key)


@pytest.mark.parametrize("who", ["alice", "olive", "vera", "audrey", "mallory"])
def test_who_may_not_reveal_may_not_approve(key: Key, who: str) -> None:
    request = asked(key)
    for decide in (key.approve_reveal, key.deny_reveal):
        with pytest.raises(NotAllowed):
            decide(request.id, by=cast.actor(who))


def test_a_key_manager_of_another_region_may_not_approve(key: Key) -> None:
    abroad = Region.create("abroad", "Abroad", by=cast.SETUP)
    there = cast.somebody("tom", "key_manager", at=abroad.scope).as_actor()
    with pytest.raises(NotAllowed):
        key.approve_reveal(asked(key).id, by=there)
    assert Request.waiting_for(there, key.region) == []


def test_nobody_takes_the_name_of_the_decision_on_their_own_request(key: Key, region: Region) -> None:
    once = uuid.uuid4()
    for claimed in (uuid.uuid5(once, "decision"), uuid.uuid5(once, "outcome")):
        Key.create(region, f"claim_{claimed.hex}", cast.value(), by=cast.actor("kim"), once=claimed)
    request = key.ask_reveal(REASON, by=cast.actor("kim"), version=key.version, once=once)
    key.deny_reveal(request.id, by=other())
    assert Request.find(key, once).state == "denied"


def test_a_decision_whose_name_was_taken_is_refused_and_breaks_nothing(key: Key) -> None:
    request = asked(key)
    Draft(cast.SETUP, "key.disable", key, decision_on(request.id)).write()
    for decide in (key.approve_reveal, key.deny_reveal):
        with pytest.raises(FormReused):
            decide(request.id, by=other())
    assert AuditEntry.objects.latest("seq").outcome == "refused"
    assert AuditEntry.verify().bad is None


def test_an_api_token_approves_nothing(key: Key) -> None:
    with pytest.raises(Conflict):
        key.approve_reveal(asked(key).id, by=other().confined(key.scope, ["key.approve_reveal"]))


def test_a_denied_one_is_not_shown_and_is_decided_once(key: Key, broker: Broker) -> None:
    request = asked(key)
    key.deny_reveal(request.id, by=other())
    with pytest.raises(Conflict, match="decided"):
        key.approve_reveal(request.id, by=other())
    with pytest.raises(Conflict):
        reveal(key)
    assert asked(key).state == "waiting"  # and may be asked anew


@pytest.mark.parametrize("approved", [True, False])
def test_it_runs_out_after_a_quarter_of_an_hour(key: Key, broker: Broker, approved: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    request = asked(key)
    if approved:
        key.approve_reveal(request.id, by=other())
    later(monkeypatch, 15.1)
    assert Request.find(key, request.id).state == "expired"
    with pytest.raises(Conflict):
        reveal(key)
    with pytest.raises(Conflict):
        key.approve_reveal(request.id, by=other())


def test_an_approval_is_for_one_key_one_version_and_one_person(key: Key, region: Region, broker: Broker) -> None:
    two = cast.key(region, "two")
    request = asked(key)
    key.approve_reveal(request.id, by=other())
    with pytest.raises(NotFound):
        two.approve_reveal(request.id, by=other())
    for of, by in ((two, None), (key, other())):
        with pytest.raises(Conflict):
            reveal(of, by)
    key.rotate(cast.value(), by=cast.SETUP)
    with pytest.raises(Conflict):
        reveal(key)


def test_what_is_asked_is_checked(key: Key) -> None:
    with pytest.raises(Invalid):
        key.ask_reveal("short", by=cast.actor("kim"), version=1, once=uuid.uuid4())
    with pytest.raises(StaleEdit):
        key.ask_reveal(REASON, by=cast.actor("kim"), version=2, once=uuid.uuid4())
    asked(key)
    with pytest.raises(Conflict, match="already"):
        asked(key)
    cast.revealing("on")
    with pytest.raises(Conflict, match="No second person"):
        asked(key, other())
    cast.revealing("off")
    with pytest.raises(Conflict, match="off"):
        asked(key, other())


def test_who_may_approve_finds_it_and_who_asked_does_not(key: Key) -> None:
    request = asked(key)
    assert [one.id for one in Request.waiting_for(other(), key.region)] == [request.id]
    assert Request.waiting_for(cast.actor("kim"), key.region) == []
    assert Request.waiting_for(cast.actor("alice"), key.region) == []
    key.approve_reveal(request.id, by=other())
    assert Request.waiting_for(other(), key.region) == []


# What the control plane says to entries that code in the web process wrote past the checks


def forged(key: Key, **facts: Any) -> Answer | None:
    intruder = Intruder(key)
    intruder.entry(**facts)
    intruder.row()
    return intruder.answer()


def decided(key: Key, request: Request, by: Actor, action: str = "key.approve_reveal") -> None:
    draft = Draft(by, action, key, decision_on(request.id))
    draft.facts = {"version": 1, "person": "kim", "entry": request.asked.seq}
    draft.write()


NOT_APPROVED = Answer(False, b"not_approved")


def test_the_broker_wants_the_approval_of_the_log(key: Key, region: Region) -> None:
    assert forged(key) == NOT_APPROVED
    assert forged(key, approval=str(uuid.uuid4())) == NOT_APPROVED
    request = asked(key)
    assert forged(key, approval=str(request.id)) == NOT_APPROVED


def test_the_broker_takes_no_approval_by_oneself_or_by_nobody(key: Key) -> None:
    request = asked(key)
    decided(key, request, cast.actor("kim"))
    assert forged(key, approval=str(request.id)) == NOT_APPROVED


@pytest.mark.parametrize("who", ["alice", "olive", "mallory"])
def test_the_broker_takes_no_approval_of_somebody_who_may_not(key: Key, who: str) -> None:
    request = asked(key)
    decided(key, request, cast.actor(who))
    assert forged(key, approval=str(request.id)) == NOT_APPROVED


def test_the_broker_takes_a_denial_for_what_it_is(key: Key) -> None:
    request = asked(key)
    decided(key, request, other(), "key.deny_reveal")
    assert forged(key, approval=str(request.id)) == NOT_APPROVED


def test_the_broker_uses_an_approval_once(key: Key) -> None:
    request = asked(key)
    key.approve_reveal(request.id, by=other())
    assert forged(key, approval=str(request.id)) == Answer(True, VALUE.encode())
    assert forged(key, approval=str(request.id)) == NOT_APPROVED


def test_the_broker_looks_at_the_second_persons_rights_of_now_and_at_the_clock(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    request = asked(key)
    key.approve_reveal(request.id, by=other())
    grants = RoleGrant.objects.filter(user__username="keeper")
    grants.delete()
    assert forged(key, approval=str(request.id)) == NOT_APPROVED
    fresh = asked(key, cast.somebody("ann", "key_manager").as_actor())
    key.approve_reveal(fresh.id, by=cast.actor("kim"))
    assert forged(key, approval=str(fresh.id)) == NOT_APPROVED  # another person's
    later(monkeypatch, 16)
    assert forged(key, approval=str(request.id)) == NOT_APPROVED


def test_the_broker_takes_no_approval_of_another_key(key: Key, region: Region) -> None:
    two = cast.key(region, "two")
    request = asked(two)
    two.approve_reveal(request.id, by=other())
    assert forged(key, approval=str(request.id)) == NOT_APPROVED
