"""The list of services, the page of one, and what happens to it: edit, authentication, authorization, delete."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from gateway.models import AiService, ControlPlane, Instance, NewKeys, Node, Problem, Service
from gateway.sources import Source
from secrets_app.models import AuditEntry, AuditHead, Key, Region
from tests import cast
from tests.unit.console.asking import CANARY, assert_silent, get, markup, post, text
from tests.unit.console.hostile import HOSTILE


@pytest.fixture
def east(region: Region) -> Instance:
    return cast.instance(region, "east")


@pytest.fixture
def chat(east: Instance) -> Service:
    """Refers to the key "openai_prod"; acme and beta are consumers of the region, not authorized yet."""
    for name in ("acme", "beta"):
        cast.consumer(east.region, name)
    return cast.service(east, "chat", keys=[cast.key(east.region, "openai_prod")])


def at(service: Service, action: str = "") -> str:
    return f"/local/instances/{service.instance.ref}/services/{service.name}/{action}"


def edited(**fields: Any) -> dict[str, Any]:
    return {
        "supplier": "custom",
        "protocol": "OpenAI/v1",
        "address": "https://api.example.com/v1",
        "generation": "reference",
        "key_0": "openai_prod",
        "lock_version": 1,
        **fields,
    }


def last_action() -> str:
    return AuditEntry.objects.latest("seq").action


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("olive", 200), ("kim", 200), ("vera", 200), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_see_services(chat: Service, who: str, status: int) -> None:
    get(at(chat), who, status=status)


@pytest.mark.parametrize("action", ["edit/", "delete/", "open/", "require-authentication/", "authorize/", "revoke/acme/"])
@pytest.mark.parametrize("who", ["kim", "vera", "audrey", "mallory"])
def test_only_operators_and_owners_change_services(chat: Service, action: str, who: str) -> None:
    get(at(chat, action), who, status=403)
    post(at(chat, action), {"confirm": "chat", "consumers": ["acme"], **edited(address="https://evil.example")}, who, status=403)
    assert Service.objects.get().lock_version == 1
    assert Service.objects.get().address == "https://api.example.com/v1"


def test_the_list_says_supplier_address_keys_and_callers(east: Instance, chat: Service) -> None:
    cast.service(east, "public", address="https://b.example/v1").open(by=cast.SETUP)
    chat.authorize(["acme"], by=cast.SETUP)
    said = text(get(f"/local/instances/{east.ref}/services/"))
    assert "chat OpenAI-compatible AI service https://api.example.com/v1 $ref{openai_prod} 1 authorized" in said
    assert "public OpenAI-compatible AI service https://b.example/v1 Custom Open to anybody" in said
    assert "public" not in text(get(f"/local/instances/{east.ref}/services/?q=chat", part="services"))
    assert "Clear search" in text(get(f"/local/instances/{east.ref}/services/?q=nothing"))


def test_the_list_takes_the_same_queries_whatever_its_length(east: Instance, chat: Service) -> None:
    client, here = cast.client("alice"), f"/local/instances/{east.ref}/services/"
    client.get(here)
    with CaptureQueriesContext(connection) as few:
        client.get(here)
    for _ in range(6):
        cast.service(east, keys=[cast.key(east.region), cast.key(east.region)])
    with CaptureQueriesContext(connection) as many:
        client.get(here)
    assert len(many) == len(few)


def test_the_page_says_how_to_call_it(east: Instance, chat: Service) -> None:
    Node.join(east, "local", "127.0.0.1", 18080, by=cast.SETUP)
    page = get(at(chat)).content.decode()
    for line in (
        "http://localhost:18080/ai/chat",
        "curl http://localhost:18080/ai/chat/chat/completions",
        "Authorization: Bearer $LATCHKEY_API_KEY",
        "client = openai.OpenAI(",
    ):
        assert line in page


def test_the_lines_follow_the_consumers_source_and_the_suppliers_protocol(east: Instance) -> None:
    cast.consumer(east.region, "acme", sources=(Source("query", "token"),))
    claude = cast.service(east, "claude", supplier="claude", protocol="native", address="https://api.anthropic.com/v1")
    claude.authorize(["acme"], by=cast.SETUP)
    page = get(at(claude)).content.decode()
    assert "/ai/claude/messages?token=$LATCHKEY_API_KEY" in page
    assert "openai.OpenAI" not in page


def test_nobody_authorized_is_said_with_the_next_step(chat: Service) -> None:
    assert "Callers get 403: authorize a consumer" in text(get(at(chat), "olive"))
    assert "Callers get 403: nobody is authorized yet Needs Operator" in text(get(at(chat), "vera"))


@pytest.mark.parametrize("reason", ["disabled", "unreadable", "charset"])
def test_a_key_that_is_not_served_says_why(chat: Service, reason: str) -> None:
    Problem.objects.create(region=chat.instance.region, holder_kind="ai_service", holder_id=chat.pk, path="api_keys[0]", reason=reason)
    said = text(get(at(chat)))
    assert "No key of this service is served: its callers are answered 401." in said
    assert "Calls are not sent on with this key." in said
    assert "1 key not served" in text(get(f"/local/instances/{chat.instance.ref}/services/"))


def test_the_page_looks_again_until_the_change_is_in_effect(east: Instance, chat: Service) -> None:
    node, _token = Node.join(east, "local", "127.0.0.1", 8080, by=cast.SETUP)
    ControlPlane.beat()
    assert "every 2s" in markup(get(at(chat)))
    Node.objects.filter(pk=node.pk).update(in_effect_seq=AuditHead.objects.get().seq)
    assert "every 2s" not in markup(get(at(chat)))


# Edit


def test_an_edit_starts_from_what_is_stored(chat: Service) -> None:
    page = markup(get(at(chat, "edit/")))
    for there in ('value="custom" selected', 'value="https://api.example.com/v1"', 'value="openai_prod"', 'name="lock_version" value="1"'):
        assert there in page
    assert 'name="name"' not in page


def test_an_edit_keeps_the_keys_unless_others_are_named(chat: Service) -> None:
    reference = chat.uses[0].pk
    post(at(chat, "edit/"), edited(supplier="openai", address=""))
    stored = Service.objects.get()
    assert (stored.supplier, stored.address, stored.uses[0].pk) == ("openai", "https://api.openai.com/v1", reference)
    cast.key(chat.instance.region, "another")
    post(at(chat, "edit/"), edited(key_0="another", key_1="openai_prod", lock_version=2))
    assert [use.key.name for use in Service.objects.get().uses] == ["another", "openai_prod"]


def test_values_of_its_own_are_kept_when_left_empty_and_all_replaced_when_not(east: Instance) -> None:
    service = AiService.create(
        east, "own", "custom", "OpenAI/v1", "https://api.example.com/v1", NewKeys("custom", [cast.value(), cast.value()]), by=cast.SETUP
    )
    assert "2 values are stored. Leave the fields empty to keep them" in text(get(at(service, "edit/")))
    before = [use.key_id for use in service.uses]
    post(at(service, "edit/"), edited(generation="custom", value_0="", address="https://api.example.com/b"))
    assert [use.key_id for use in service.uses] == before
    answer = post(at(service, "edit/"), edited(generation="custom", value_0=CANARY, lock_version=2))
    assert_silent(answer, CANARY)
    assert len(service.uses) == 1
    assert not Key.objects.filter(pk__in=before).exists()


def test_rows_come_and_go_in_an_edit_too(chat: Service) -> None:
    page = markup(post(at(chat, "edit/"), edited(add_row="key", address="https://typed.example"), status=200))
    for there in ('name="key_1"', 'value="openai_prod"', 'value="https://typed.example"', 'name="lock_version" value="1"'):
        assert there in page


def test_a_stale_edit_shows_what_is_stored_and_the_next_save_counts(chat: Service) -> None:
    chat.edit(supplier="custom", protocol="OpenAI/v1", address="https://theirs.example", lock_version=1, by=cast.SETUP)
    answer = post(at(chat, "edit/"), edited(address="https://mine.example"), status=409)
    assert "Stored now" in text(answer)
    assert "https://theirs.example" in text(answer)
    assert 'value="https://mine.example"' in markup(answer)
    assert 'name="lock_version" value="2"' in markup(answer)
    post(at(chat, "edit/"), edited(address="https://mine.example", lock_version=2))
    assert Service.objects.get().address == "https://mine.example"


# Authentication


def test_turning_authentication_off_asks_first(chat: Service) -> None:
    question = text(get(at(chat, "open/")))
    assert "on your keys and your bill" in question
    assert Service.objects.get().consumer_authentication
    post(at(chat, "open/"), {}, "olive")
    assert not Service.objects.get().consumer_authentication
    assert last_action() == "service.open"
    assert "Off, open to anybody" in text(get(at(chat)))
    assert "LATCHKEY_API_KEY" not in get(at(chat)).content.decode()
    assert "off already" in text(post(at(chat, "open/"), {}, status=409))
    assert "every call is refused until you authorize a consumer" in text(get(at(chat, "require-authentication/")))
    post(at(chat, "require-authentication/"), {}, "olive")
    assert last_action() == "service.require_authentication"


# Authorization


def test_consumers_are_authorized_by_ticking_or_typing(chat: Service) -> None:
    page = markup(get(at(chat, "authorize/")))
    assert 'name="consumers" value="acme"' in page
    assert 'name="consumers" value="beta"' in page
    assert post(at(chat, "authorize/"), {"consumers": ["acme"]}, "olive").headers["Location"] == at(chat)
    assert "1 authorized" in text(get(f"/local/instances/{chat.instance.ref}/services/"))
    assert 'value="acme"' not in markup(get(at(chat, "authorize/")))
    cast.consumer(chat.instance.region, "gamma")
    post(at(chat, "authorize/"), {"q": " beta,  gamma "}, "olive")
    assert set(chat.consumers.values_list("name", flat=True)) == {"acme", "beta", "gamma"}
    assert AuditEntry.objects.latest("seq").facts["consumers"] == ["beta", "gamma"]


def test_half_a_name_left_in_the_search_is_no_name_when_something_is_ticked(chat: Service) -> None:
    post(at(chat, "authorize/"), {"q": "ac", "consumers": ["acme"]})
    assert list(chat.consumers.values_list("name", flat=True)) == ["acme"]


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        ({}, 422, "Choose at least one consumer"),
        ({"q": "ac"}, 422, "No consumer is named “ac”"),
        ({"q": "foreign"}, 422, "No consumer is named “foreign”"),
        ({"consumers": ["acme", "nobody"]}, 422, "No consumer is named “nobody”"),
        ({"consumers": ["there"]}, 409, "there is authorized on chat already"),
        ({"consumers": [f"c{n}" for n in range(201)]}, 422, "at most 200 at once"),
        ({"q": " ".join(f"c{n}" for n in range(201))}, 422, "at most 200 at once"),
        ({"consumers": [f"c{n}" for n in range(101)], "q": " ".join(f"d{n}" for n in range(101))}, 422, "at most 200 at once"),
        ({"q": "a " * 30_000}, 422, "at most 200 at once"),
        ({"q": "a," * 3_000}, 422, "No consumer is named “a”"),
        ({"q": " ".join(f"c{n}" for n in range(40_000))}, 422, "at most 200 at once"),
    ],
)
def test_who_cannot_be_authorized_is_said(chat: Service, data: dict[str, Any], status: int, said: str) -> None:
    cast.consumer(Region.create("other", "Other", by=cast.SETUP), "foreign")
    cast.consumer(chat.instance.region, "there")
    chat.authorize(["there"], by=cast.SETUP)
    answer = post(at(chat, "authorize/"), data, status=status)
    assert said in text(answer)
    assert chat.authorizations.count() == 1
    if status == 422:
        assert '<a href="#id_q">' in markup(answer)


@pytest.mark.parametrize("q", [" ".join(f"c{n}" for n in range(40_000)), "x" * 60_000])
def test_a_search_for_very_much_finds_nothing(chat: Service, q: str) -> None:
    assert "No other consumer matches." in text(post(at(chat, "authorize/"), {"q": q, "search": "1"}, status=200))


def test_searching_keeps_what_was_ticked_and_changes_nothing(chat: Service) -> None:
    page = markup(post(at(chat, "authorize/"), {"q": "be", "consumers": ["acme"], "search": "1"}, status=200))
    assert re.search(r'value="acme" checked', page)
    assert re.search(r'name="consumers" value="beta">', page)
    assert chat.authorizations.count() == 0
    nothing = post(at(chat, "authorize/"), {"q": "zzz", "search": "1"}, status=200)
    assert "No other consumer matches." in text(nothing)


def test_revoking_asks_first(chat: Service) -> None:
    chat.authorize(["acme", "beta"], by=cast.SETUP)
    assert "Its callers are answered 403 by chat" in text(get(at(chat, "revoke/acme/")))
    assert chat.authorizations.count() == 2
    post(at(chat, "revoke/acme/"), {}, "olive")
    assert list(chat.consumers.values_list("name", flat=True)) == ["beta"]
    assert "acme is not authorized" in text(post(at(chat, "revoke/acme/"), {}, status=409))
    get(at(chat, "revoke/nobody/"), status=404)


# Delete


def test_deleting_says_who_loses_it_and_needs_the_name(chat: Service) -> None:
    chat.authorize(["acme", "beta"], by=cast.SETUP)
    assert "2 consumers lose it" in text(get(at(chat, "delete/")))
    post(at(chat, "delete/"), {"confirm": "Chat"}, status=422)
    assert Service.objects.exists()
    assert post(at(chat, "delete/"), {"confirm": "chat"}, "olive").headers["Location"] == f"/local/instances/{chat.instance.ref}/services/"
    assert Key.objects.get(name="openai_prod").reference_count == 0
    for action in ("", "edit/", "open/", "authorize/", "delete/"):
        get(at(chat, action), status=404)
    post(at(chat, "edit/"), edited(), status=404)


def test_a_service_of_another_instance_is_not_found(region: Region, chat: Service) -> None:
    get(f"/local/instances/{cast.instance(region).ref}/services/chat/", status=404)


@pytest.mark.parametrize("field", ["supplier", "protocol", "address", "generation", "key_0", "value_0", "lock_version"])
def test_nothing_typed_into_the_edit_breaks_the_page(chat: Service, field: str) -> None:
    client = cast.client("olive")
    for typed in HOSTILE:
        now = Service.objects.get().lock_version
        answer = client.post(at(chat, "edit/"), edited(lock_version=now) | {field: typed})
        assert answer.status_code in (303, 409, 422), (field, typed[:40], answer.status_code)


@pytest.mark.parametrize("action", ["authorize/", "open/", "delete/"])
def test_nothing_typed_into_a_question_breaks_the_page(chat: Service, action: str) -> None:
    client = cast.client("olive")
    for typed in HOSTILE:
        for data in ({"q": typed}, {"q": typed, "search": "1"}, {"consumers": [typed]}, {"confirm": typed}, {"once": typed}):
            answer = client.post(at(chat, action), data)
            assert answer.status_code in (200, 303, 409, 422), (action, data)
