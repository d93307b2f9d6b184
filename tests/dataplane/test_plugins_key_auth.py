"""key-auth on a running gateway: whom it lets in, and what of their keys goes where."""

import pytest

from gateway.type_urls import ROUTE
from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region
from tests.processes import eventually

pytestmark = pytest.mark.envoy

KEY, OTHER, ALICE, BOB = "the-secret-0123456789", "other-key-0123456789", "alices-key-0123456789", "bobby-key-0123456789"

SEED = """\
credentials:
# Reference the key named secretName
- $ref{secretName}
keys:
- apikey
- x-api-key
"""
NAMED = """\
consumers:
- name: alice
  credential: $ref{alice}
- name: bob
  credentials:
  - $ref{bob}
  - $ref{secretName}
keys: [apikey]
"""


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    """Two services that anybody may call, as far as consumers' own keys go."""
    for name, value in (("secretName", KEY), ("other", OTHER), ("alice", ALICE), ("bob", BOB), ("provider", "sk-0")):
        region.key(name, value)
    region.service("chat", backend.port, "provider", consumer_authentication=False)
    region.service("notes", backend.port, "provider", consumer_authentication=False)
    return region


def test_the_documented_example_admits_the_keys_value_in_both_places_of_both_names_and_nothing_else(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.rule("key-auth", SEED, service="chat")
    plane.publish(region)
    for name in ("apikey", "x-api-key"):
        assert gateway.status("/ai/chat/a", **{name: KEY}) == 200
        assert gateway.status(f"/ai/chat/b?{name}={KEY}") == 200
        for wrong in (OTHER, KEY[:-1], KEY + "0", KEY.upper(), "$ref{secretName}", "secretName", "", f"Basic {KEY}"):
            assert gateway.status("/ai/chat/c", **{name: wrong}) == 401, wrong
            assert gateway.status(f"/ai/chat/d?{name}={wrong}") == 401, wrong
    assert (
        gateway.status("/ai/chat/e", KEY) == gateway.status(f"/ai/chat/f?api_key={KEY}", x_key=KEY) == gateway.status("/ai/chat/g") == 401
    )
    assert gateway.status("/ai/notes/h") == 200
    assert [seen.target for seen in backend.seen] == ["/v1/a", "/v1/b", "/v1/a", "/v1/b", "/v1/h"]
    assert not any(seen.holds(KEY) for seen in backend.seen)


def test_whoever_is_turned_away_is_told_why_and_what_to_bring(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.rule("key-auth", SEED + "realm: The house\n", service="chat")
    plane.publish(region)
    missing, wrong = gateway.get("/ai/chat/a"), gateway.get("/ai/chat/a", apikey="wrong")
    assert missing.json()["error"]["code"] == "missing_api_key"
    assert wrong.json()["error"]["code"] == "invalid_api_key"
    assert missing.headers["www-authenticate"] == wrong.headers["www-authenticate"] == 'Key realm="The house"'
    assert not backend.seen


def test_a_caller_with_several_keys_has_all_of_them_taken_off(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.rule("key-auth", SEED, service="chat")
    plane.publish(region)
    answer = gateway.client.get(
        f"{gateway.url}/ai/chat/a?a=%26&apikey={KEY}&x-api-key={OTHER}&b=+1",
        headers=[("apikey", KEY), ("apikey", OTHER), ("x-api-key", KEY), ("cookie", KEY)],
    )
    assert answer.status_code == 200
    assert backend.last.target == "/v1/a?a=%26&b=+1"
    assert not any(backend.last.holds(key) for key in (KEY, OTHER))


@pytest.mark.parametrize(
    ("places", "header", "query"),
    [("in_header: false", 401, 200), ("in_query: false", 200, 401), ("in_query: true\nin_header: true", 200, 200)],
)
def test_where_a_key_is_looked_for_is_the_rules_to_say(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, places: str, header: int, query: int
) -> None:
    region.rule("key-auth", f"credentials: ['$ref{{secretName}}']\nkeys: [apikey]\n{places}\n", service="chat")
    plane.publish(region)
    assert gateway.status("/ai/chat/a", apikey=KEY) == header
    assert gateway.status(f"/ai/chat/a?apikey={KEY}") == query


def test_bearer_is_written_into_the_credential_as_documented(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.rule("key-auth", "credentials: ['Bearer $ref{secretName}']\nkeys: [Authorization]\nin_query: false\n", service="chat")
    plane.publish(region)
    assert gateway.status("/ai/chat/a", KEY) == 200
    assert gateway.status("/ai/chat/a", OTHER) == 401
    assert backend.last.header("authorization") == "Bearer sk-0"


def test_a_named_caller_stands_in_the_log_and_is_named_to_the_back_end(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.rule("key-auth", NAMED, service="chat")
    plane.publish(region)
    for place, (key, name) in enumerate(((ALICE, "alice"), (BOB, "bob"), (KEY, "bob"))):
        assert gateway.status(f"/ai/chat/named-{place}", apikey=key, x_mse_consumer="root", x_latchkey_caller="root") == 200
        assert backend.last.header("x-mse-consumer") == name
        assert "x-latchkey-caller" not in backend.last.names
    assert caller_of(gateway, "/v1/named-0") == "alice/0~1"
    assert caller_of(gateway, "/v1/named-2") == "bob/1~1"
    assert gateway.status("/ai/notes/a", x_mse_consumer="root") == 200
    assert "x-mse-consumer" not in backend.last.names


def caller_of(gateway: Gateway, path: str) -> object:
    found = eventually(lambda: [call for call in gateway.calls if call.get("path") == path])
    return found[-1].get("caller")


def test_during_an_overlap_both_values_are_accepted_and_the_log_tells_them_apart(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.rule("key-auth", SEED, service="chat")
    plane.publish(region)
    assert gateway.status("/ai/chat/a", apikey="newer-key-0123456789") == 401
    region.key("secretName", "newer-key-0123456789", KEY)
    plane.publish(region)
    assert (
        gateway.status("/ai/chat/overlap-old", apikey=KEY) == gateway.status("/ai/chat/overlap-new", apikey="newer-key-0123456789") == 200
    )
    assert (caller_of(gateway, "/v1/overlap-old"), caller_of(gateway, "/v1/overlap-new")) == ("credentials/0~1", "credentials/0~0")
    region.key("secretName", "newer-key-0123456789")
    plane.publish(region)
    assert gateway.status("/ai/chat/a", apikey=KEY) == 401
    assert gateway.status("/ai/chat/a", apikey="newer-key-0123456789") == 200


def test_it_is_gone_when_it_is_disabled(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    before = plane.publish(region)
    region.rule("key-auth", SEED, service="chat")
    plane.publish(region)
    assert gateway.status("/ai/chat/a") == 401
    region.rules.clear()
    after = plane.publish(region)
    assert gateway.status("/ai/chat/a") == 200
    assert {kind: {name: one.version for name, one in before[kind].items()} for kind in before} == {
        kind: {name: one.version for name, one in after[kind].items()} for kind in after
    }


@pytest.mark.parametrize("cause", ["disabled", "unreadable", "charset"])
def test_a_credential_without_a_value_is_left_out_and_harms_no_other(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, cause: str
) -> None:
    region.rule("key-auth", NAMED, service="chat")
    if cause == "disabled":
        region.key("alice")
    elif cause == "unreadable":
        region.unreadable.add("alice")
    else:
        region.key("alice", "line\nbreak-0123456789")
    plane.publish(region)
    for wrong in (ALICE, "", "$ref{alice}", "line"):
        assert gateway.status("/ai/chat/a", apikey=wrong) == 401
    assert gateway.status("/ai/chat/a", apikey=BOB) == 200


def test_with_no_credential_left_nobody_is_let_in(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.rule("key-auth", SEED, service="chat")
    region.key("secretName")
    plane.publish(region)
    for key in ("", KEY, "$ref{secretName}", "anything"):
        assert gateway.status("/ai/chat/a", apikey=key) == gateway.status(f"/ai/chat/a?apikey={key}") == 401
    assert not backend.seen
    assert not plane.notes.refusals


def test_of_two_equal_values_the_first_caller_keeps_its_own(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.rule("key-auth", NAMED, service="chat")
    region.key("bob", ALICE)
    plane.publish(region)
    assert gateway.status("/ai/chat/a", apikey=ALICE) == 200
    assert backend.last.header("x-mse-consumer") == "alice"
    assert not plane.notes.refusals


def test_a_services_own_rule_takes_the_place_of_the_instances(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.rule("key-auth", NAMED + "global_auth: true\n")
    region.rule("key-auth", SEED, service="chat")
    plane.publish(region)
    assert [gateway.status("/ai/chat/a", apikey=key) for key in (KEY, ALICE, "")] == [200, 401, 401]
    assert [gateway.status("/ai/notes/a", apikey=key) for key in (KEY, ALICE, "")] == [200, 200, 401]
    del region.rules["chat", "key-auth"]
    plane.publish(region)
    assert [gateway.status("/ai/chat/a", apikey=key) for key in (KEY, ALICE, "")] == [200, 200, 401]


@pytest.mark.parametrize(
    ("global_auth", "chat_has_one", "notes"),
    [("true", False, 401), ("true", True, 401), ("false", False, 200), ("false", True, 200), ("", False, 401), ("", True, 200)],
)
def test_global_auth_says_whether_services_without_a_rule_of_their_own_are_closed(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, global_auth: str, chat_has_one: bool, notes: int
) -> None:
    region.rule("key-auth", NAMED + (f"global_auth: {global_auth}\n" if global_auth else ""))
    if chat_has_one:
        region.rule("key-auth", SEED, service="chat")
    plane.publish(region)
    assert gateway.status("/ai/notes/a") == notes
    assert gateway.status("/ai/chat/a") == (401 if chat_has_one else notes)


def test_allow_names_those_of_the_instances_consumers_who_may_call_a_service(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.rule("key-auth", NAMED + "global_auth: false\n")
    region.rule("key-auth", "allow: [alice]", service="chat")
    plane.publish(region)
    assert [gateway.status("/ai/chat/a", apikey=key) for key in (ALICE, BOB, KEY, OTHER, "")] == [200, 403, 403, 401, 401]
    assert gateway.get("/ai/chat/a", apikey=BOB).json()["error"]["code"] == "not_authorized"
    assert gateway.status("/ai/notes/a") == 200
    region.rule("key-auth", "allow: [nobody-of-that-name, bob]", service="chat")
    plane.publish(region)
    assert [gateway.status("/ai/chat/a", apikey=key) for key in (ALICE, BOB)] == [403, 200]
    region.rule("key-auth", "allow: []", service="chat")
    plane.publish(region)
    assert [gateway.status("/ai/chat/a", apikey=key) for key in (ALICE, BOB, "")] == [403, 403, 401]


def test_allow_without_consumers_lets_nobody_in(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    """Neither without a rule of the instance nor under one whose callers have no names."""
    region.rule("key-auth", "allow: [alice]", service="chat")
    plane.publish(region)
    assert gateway.status("/ai/chat/a", apikey=ALICE, x_mse_consumer="alice") == 403
    region.rule("key-auth", SEED)
    plane.publish(region)
    assert gateway.status("/ai/chat/a", apikey=KEY, x_mse_consumer="alice") == 403
    assert gateway.status("/ai/chat/a", apikey=ALICE) == 401
    assert not backend.seen


def test_behind_it_a_consumers_own_key_is_still_asked_for(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.key("carol", "carol-key-0123456789")
    region.consumer("carol", "carol")
    region.change("chat", consumer_authentication=True, authorized=("carol",))
    region.rule("key-auth", NAMED, service="chat")
    plane.publish(region)
    assert gateway.status("/ai/chat/a", "carol-key-0123456789", apikey=ALICE) == 200
    assert backend.last.header("x-mse-consumer") == "alice"
    answer = gateway.get("/ai/chat/a", apikey=ALICE)
    assert answer.status_code == 401
    assert "www-authenticate" not in answer.headers
    assert gateway.status("/ai/chat/a", "carol-key-0123456789") == 401
    assert len(backend.seen) == 1


def test_a_rotation_changes_routes_and_nothing_else(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.rule("key-auth", SEED, service="chat")
    before = plane.publish(region)
    region.key("secretName", "newer-key-0123456789", KEY)
    after = plane.publish(region)
    assert {kind for kind in after if after[kind] is not before[kind]} == {ROUTE}
