"""All references of one key moved to another: what the plan says is what happens, or nothing does."""

from dataclasses import replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from gateway import bookkeeping, moving
from gateway.models import Consumer, Credential, Instance, NewCredential, Rule
from gateway.moving import Plan, PlanChanged
from gateway.uses import Census
from secrets_app import access
from secrets_app.errors import AlreadyDone, Conflict, Invalid, NotAllowed
from secrets_app.models import AuditEntry, Key, Reference, Region
from tests import cast

OLIVE = "olive"


@pytest.fixture
def was(region: Region) -> Key:
    return cast.key(region, "was")


@pytest.fixture
def becomes(region: Region) -> Key:
    return cast.key(region, "becomes")


@pytest.fixture
def east(region: Region) -> Instance:
    return cast.instance(region, "east")


def plan(was: Key, becomes: Key, who: str = OLIVE) -> Plan:
    return moving.plan(was, becomes, by=cast.actor(who))


def move(was: Key, becomes: Key, seen: str = "", who: str = OLIVE) -> int:
    return moving.move(was, becomes, seen=seen or plan(was, becomes, who).seen, by=cast.actor(who))


def places(key: Key) -> list[tuple[str, str, bool]]:
    return list(Reference.objects.filter(key=key).order_by("holder_kind", "path").values_list("holder_kind", "path", "inbound"))


def counts(*keys: Key) -> list[int]:
    for key in keys:
        key.refresh_from_db()
        assert key.reference_count == Census.of(key).total
    assert bookkeeping.examine(keys[0].region).wrong == 0
    return [key.reference_count for key in keys]


def of_all_kinds(region: Region, east: Instance, key: Key) -> None:
    cast.service(east, "chat", keys=[key])
    cast.agent(east, "studio", keys=[key, key], apps=["alpha", "beta"])
    cast.mcp(east, "tools", key=key)
    cast.rule(cast.plugin(east), cast.key_auth(key), enabled=False)
    cast.consumer(region, "acme", bound_to=key)


def test_holders_of_all_kinds_refer_to_the_other_key(region: Region, east: Instance, was: Key, becomes: Key) -> None:
    of_all_kinds(region, east, was)
    before = places(was)
    assert [(step.kind, step.name, step.refused) for step in plan(was, becomes).steps] == [
        ("consumer", "acme", ""),
        ("ai_service", "chat", ""),
        ("agent_service", "studio", ""),
        ("mcp_service", "tools", ""),
        ("plugin", "key-auth", ""),
    ]
    assert move(was, becomes) == 5
    assert places(was) == []
    assert places(becomes) == before
    assert counts(was, becomes) == [0, 5]
    assert Rule.objects.get().text == cast.key_auth(becomes)
    assert [revision.text for revision in Rule.objects.get().revisions.all()] == [cast.key_auth(was)]


def test_it_is_one_deed_and_says_what_it_did(region: Region, east: Instance, was: Key, becomes: Key) -> None:
    of_all_kinds(region, east, was)
    seen, seq = plan(was, becomes).seen, AuditEntry.objects.count()
    move(was, becomes, seen)
    assert AuditEntry.objects.count() == seq + 1
    entry = AuditEntry.objects.latest("seq")
    assert (entry.action, entry.target, entry.actor) == ("key.move", "was", "olive")
    assert entry.facts == {
        "to": "becomes",
        "holders": 5,
        "merged": 0,
        "rules": 1,
        "moved": [
            "Consumer acme",
            f"AI service chat ({east.ref})",
            f"Agent service studio ({east.ref})",
            f"MCP service tools ({east.ref})",
            f"Plug-in key-auth ({east.ref})",
        ],
    }
    assert access.ACTIONS["key.move"].publishes
    holders = [Consumer.objects.get(), *east.services.all(), Rule.objects.get(), *Key.objects.filter(name__in=["was", "becomes"])]
    assert {holder.changed_seq for holder in holders} == {entry.seq}


def test_whoever_edits_a_holder_meanwhile_is_told(region: Region, east: Instance, was: Key, becomes: Key) -> None:
    chat = cast.service(east, "chat", keys=[was])
    version = chat.lock_version
    move(was, becomes)
    chat.refresh_from_db()
    assert chat.lock_version == version + 1


# ── Holders that refer to the target already ──


def test_a_service_with_both_keeps_one_and_numbers_the_rest(east: Instance, region: Region, was: Key, becomes: Key) -> None:
    third = cast.key(region, "third")
    chat = cast.service(east, "chat", keys=[was, third, becomes])
    assert [step.merges for step in plan(was, becomes).steps] == [True]
    move(was, becomes)
    assert [(use.path, use.key.name) for use in chat.uses] == [("api_keys[0]", "third"), ("api_keys[1]", "becomes")]
    assert counts(was, becomes, third) == [0, 1, 1]


def test_a_consumer_with_both_keeps_one_credential(region: Region, was: Key, becomes: Key) -> None:
    acme = cast.consumer(region, "acme", bound_to=was)
    acme.add_credential(NewCredential("reference", key_name="becomes"), by=cast.SETUP)
    move(was, becomes)
    assert [(one.number, one.reference.key.name) for one in Credential.objects.all()] == [(1, "becomes")]
    assert counts(was, becomes) == [0, 1]


def test_apps_of_one_agent_may_share_the_key(east: Instance, was: Key, becomes: Key) -> None:
    studio = cast.agent(east, "studio", keys=[was, becomes], apps=["alpha", "beta"])
    move(was, becomes)
    assert [(use.path, use.key.name) for use in studio.uses] == [("apps[alpha]", "becomes"), ("apps[beta]", "becomes")]
    assert counts(was, becomes) == [0, 1]


def test_a_list_that_holds_both_loses_a_line(east: Instance, was: Key, becomes: Key) -> None:
    cast.rule(cast.plugin(east), cast.key_auth(was, becomes))
    assert [step.merges for step in plan(was, becomes).steps] == [True]
    move(was, becomes)
    assert Rule.objects.get().text == cast.key_auth(becomes)
    assert counts(was, becomes) == [0, 1]


# ── What is refused, before anything changes ──


def refusal(was: Key, becomes: Key, who: str = OLIVE) -> str:
    """Of the one holder that cannot be moved. Nothing was changed by trying."""
    decided = plan(was, becomes, who)
    before = list(Reference.objects.order_by("pk").values()), list(Rule.objects.values_list("text", flat=True))
    with pytest.raises(Conflict, match="cannot be moved, so none is"):
        move(was, becomes, who=who)
    assert before == (list(Reference.objects.order_by("pk").values()), list(Rule.objects.values_list("text", flat=True)))
    return decided.refused[0].refused


def test_two_consumers_do_not_come_to_share_a_credential(region: Region, east: Instance, was: Key, becomes: Key) -> None:
    cast.service(east, "chat", keys=[was])
    cast.consumer(region, "acme", bound_to=was)
    cast.consumer(region, "beta", bound_to=becomes)
    assert "The consumer “beta” presents this key already." in refusal(was, becomes)
    entry = AuditEntry.objects.latest("seq")
    assert (entry.action, entry.outcome, entry.facts) == ("key.move", "refused", {"reason": "conflict"})


def test_a_value_that_another_consumer_presents_is_not_told_whose(region: Region, was: Key) -> None:
    becomes = cast.key(region, "becomes", "the very same value of both")
    cast.consumer(region, "acme", bound_to=was)
    cast.consumer(region, "beta", text="the very same value of both")
    said = refusal(was, becomes)
    assert "A consumer in this region uses the same value already." in said
    assert "beta" not in said


def test_a_value_that_the_key_itself_held_is_no_hindrance(region: Region) -> None:
    was, becomes = cast.key(region, "was", "the very same value of both"), cast.key(region, "becomes", "the very same value of both")
    cast.consumer(region, "acme", bound_to=was)
    assert move(was, becomes) == 1


def test_two_callers_of_one_rule_do_not_come_to_share_a_credential(east: Instance, was: Key, becomes: Key) -> None:
    text = "consumers:\n- name: a\n  credential: $ref{was}\n- name: b\n  credential: $ref{becomes}\nkeys: [k]\n"
    cast.rule(cast.plugin(east), text)
    assert refusal(was, becomes).startswith("Line ")


def test_a_reference_hidden_by_quoting_is_left_to_people(east: Instance, was: Key, becomes: Key) -> None:
    cast.rule(cast.plugin(east), 'credentials:\n- "\\x24ref{was}"\nkeys: [k]\n')
    assert "hides the reference behind quoting" in refusal(was, becomes)


@pytest.mark.parametrize("right", ["service.edit", "consumer.edit_credential", "mcp.configure_backend_auth", "rule.write"])
def test_who_may_not_edit_every_holder_moves_none(
    region: Region, east: Instance, was: Key, becomes: Key, monkeypatch: pytest.MonkeyPatch, right: str
) -> None:
    of_all_kinds(region, east, was)
    monkeypatch.setitem(access.ACTIONS, right, replace(access.ACTIONS[right], roles=frozenset()))
    assert refusal(was, becomes) == "Your roles do not let you change it."


@pytest.mark.parametrize("who", ["kim", "vera", "audrey", "mallory"])
def test_who_may_not_move(east: Instance, was: Key, becomes: Key, who: str) -> None:
    cast.service(east, keys=[was])
    with pytest.raises(NotAllowed):
        move(was, becomes, plan(was, becomes).seen, who)


def test_it_takes_the_right_to_bind(east: Instance, was: Key, becomes: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    cast.service(east, keys=[was])
    monkeypatch.setitem(access.ACTIONS, "key.bind", replace(access.ACTIONS["key.bind"], roles=frozenset()))
    with pytest.raises(NotAllowed, match=r"key\.bind"):
        move(was, becomes)


@pytest.mark.parametrize(
    ("inbound", "value", "says"),
    [
        (False, "two\nlines of a value", "cannot travel in an HTTP header"),
        (True, "short", "needs at least 16 characters"),
    ],
)
def test_a_key_that_cannot_be_bound_is_no_target(region: Region, east: Instance, was: Key, inbound: bool, value: str, says: str) -> None:
    becomes = cast.key(region, "becomes", value)
    cast.consumer(region, bound_to=was) if inbound else cast.service(east, keys=[was])
    with pytest.raises(Invalid, match=says):
        plan(was, becomes)


def test_a_disabled_key_is_no_target_and_can_be_left(east: Instance, was: Key, becomes: Key) -> None:
    cast.service(east, keys=[was])
    was.disable(by=cast.SETUP)
    with pytest.raises(Invalid, match="disabled"):
        moving.plan(becomes, was, by=cast.actor(OLIVE))
    assert move(was, becomes) == 1


def test_a_key_is_not_moved_to_itself(was: Key) -> None:
    with pytest.raises(Invalid, match="This is the key itself"):
        plan(was, was)


def test_a_key_is_not_moved_to_one_of_another_region(was: Key) -> None:
    """No page offers one; a script could."""
    consumer = cast.consumer(was.region, bound_to=was)
    elsewhere = cast.key(Region.create("us-east", "US East", by=cast.SETUP))
    with pytest.raises(Invalid, match="of another region"):
        moving.move(was, elsewhere, seen="", by=cast.actor(OLIVE))
    assert consumer.references.get().key == was


# ── What was seen is what happens ──


def test_a_holder_that_came_or_went_or_changed_is_told(region: Region, east: Instance, was: Key, becomes: Key) -> None:
    chat, batch = cast.service(east, "chat", keys=[was]), cast.service(east, "batch", keys=[was])
    seen = plan(was, becomes).seen
    cast.mcp(east, "tools", key=was)
    batch.delete(by=cast.SETUP)
    chat.open(by=cast.SETUP)
    becomes.rotate(cast.value(), by=cast.SETUP)
    with pytest.raises(PlanChanged) as told:
        move(was, becomes, seen)
    assert told.value.current["changes"] == [
        "One of the two keys was rotated, enabled or disabled.",
        f"AI service chat ({east.ref}) was changed.",
        f"MCP service tools ({east.ref}) refers to the key by now.",
        "1 holder does not refer to the key any more.",
    ]
    assert counts(was, becomes) == [2, 0]
    assert move(was, becomes) == 2


@pytest.mark.parametrize("seen", ["nonsense", "1.1.1", "1.1.1 ai_service:1:0", "  ::  "])
def test_what_nobody_saw_is_not_done(east: Instance, was: Key, becomes: Key, seen: str) -> None:
    cast.service(east, keys=[was])
    with pytest.raises(PlanChanged):
        move(was, becomes, seen)
    assert counts(was, becomes) == [1, 0]


def test_the_same_form_twice_is_one_move(east: Instance, was: Key, becomes: Key) -> None:
    cast.service(east, keys=[was])
    seen, once = plan(was, becomes).seen, cast.key(east.region).pk
    for _ in range(2):
        try:
            moving.move(was, becomes, seen=seen, by=cast.actor(OLIVE), once=once)
        except AlreadyDone:
            break
    else:
        pytest.fail("done twice")
    assert AuditEntry.objects.filter(action="key.move", outcome="ok").count() == 1


def test_a_failure_in_the_middle_undoes_all(
    region: Region, east: Instance, was: Key, becomes: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_all_kinds(region, east, was)
    before = places(was)

    def broken(*_args: object, **_more: object) -> None:
        raise Conflict("the last of them")

    monkeypatch.setattr(Rule, "_write", broken)
    with pytest.raises(Conflict, match="the last of them"):
        move(was, becomes)
    assert places(was) == before
    assert counts(was, becomes) == [5, 0]


def test_more_holders_than_one_deed_takes_are_refused(east: Instance, was: Key, becomes: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "HOLDERS_A_MOVE", 1)
    cast.service(east, keys=[was])
    cast.service(east, keys=[was])
    was.refresh_from_db()
    with pytest.raises(Conflict, match="at most 1 holders; this key has 2"):
        plan(was, becomes)


def test_the_deed_costs_the_same_however_many_services_there_are(east: Instance, was: Key, becomes: Key) -> None:
    def cost(one: Key, other: Key) -> int:
        seen = plan(one, other).seen
        with CaptureQueriesContext(connection) as asked:
            move(one, other, seen)
        return len(asked)

    cast.service(east, keys=[was])
    once = cost(was, becomes)
    for _ in range(20):
        cast.service(east, keys=[becomes])
    assert cost(becomes, was) == once
