"""From an inventory to resources: a picture of the whole, and what may and may not change it. No test here touches a database."""

import json
import os
from pathlib import Path
from typing import Any as Message

import pytest
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.api_key_auth.v3.api_key_auth_pb2 import ApiKeyAuth, ApiKeyAuthPerRoute
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from google.protobuf.any_pb2 import Any
from google.protobuf.json_format import MessageToDict

from gateway.compile import Compiled, Memo, Problem, compile_instance, compile_region, listener
from gateway.compile.wire import packed
from gateway.names import CUT_PARAMETERS, KEY_AUTH, ROUTES
from gateway.type_urls import CLUSTER, EXTENSION, ROUTE, SECRET, SHORT
from tests.dataplane.region import BEARER, Region, header, key_id, query

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def region() -> Region:
    """Two consumers and three services that between them use every branch."""
    region = Region()
    region.key("alice", "alice-new-0123456789", "alice-old-0123456789")
    region.key("bob", "bobby-key-0123456789")
    region.key("first", "sk-first-0123456789")
    region.key("second", "sk-second-0123456789")
    region.key("off")
    region.consumer("alice", "alice", sources=(header("x-team-key"),))
    region.consumer("bob", "bob", sources=(query("api_key"), BEARER))
    region.service("chat", 443, "first", "second", "off", authorized=("alice", "bob"), scheme="https", host="api.example.com")
    region.service("claude", 8443, "first", header="x-api-key", prefix="", path="", scheme="https", host="10.0.0.7",
                   extra_headers=(("anthropic-version", "2023-06-01"),), consumer_authentication=False)  # fmt: skip
    region.service("idle", 80, "second", host="::1")
    return region


def compiled(region: Region) -> Compiled:
    (one,) = compile_region(region.inventory, region.values, Memo()).values()
    return one


def bytes_of(region: Region) -> dict[str, dict[str, bytes]]:
    return {kind: {name: body.SerializeToString() for name, body in named.items()} for kind, named in compiled(region).resources.items()}


def changed(before: dict[str, dict[str, bytes]], after: dict[str, dict[str, bytes]]) -> set[str]:
    return {SHORT[kind] for kind in before if before[kind] != after[kind]}


def credentials(region: Region) -> dict[str, str]:
    extension = opened(compiled(region).resources[EXTENSION][KEY_AUTH], TypedExtensionConfig)
    return {credential.key: credential.client for credential in opened(extension.typed_config, ApiKeyAuth).credentials}


def opened(body: Any, kind: Message) -> Message:
    message = kind()
    assert body.Unpack(message)
    return message


def route(region: Region, name: str) -> Message:
    table = opened(compiled(region).resources[ROUTE][ROUTES], RouteConfiguration)
    return next(route for route in table.virtual_hosts[0].routes if route.name == f"ai/{name}")


def rules(region: Region, name: str) -> ApiKeyAuthPerRoute:
    return opened(route(region, name).typed_per_filter_config[KEY_AUTH], ApiKeyAuthPerRoute)


def secret(region: Region, key: str, prefix: str) -> bytes:
    body = compiled(region).resources[SECRET][f"{key_id(key)}/{prefix}"]
    return bytes(opened(body, Secret).generic_secret.secret.inline_bytes)


def test_a_region_looks_like_this(region: Region) -> None:
    """UPDATE_GOLDEN=1 draws the picture anew; its difference is what a reviewer reads."""
    resources = {**compiled(region).resources, "listener": {"gateway": packed(listener("127.0.0.1", 8080))}}
    picture = {SHORT.get(kind, "LDS"): {name: MessageToDict(body) for name, body in named.items()} for kind, named in resources.items()}
    drawn = json.dumps(picture, indent=1, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / "region.json").write_text(drawn)
    assert drawn == (GOLDEN / "region.json").read_text()


def test_the_same_input_gives_the_same_bytes(region: Region) -> None:
    once = bytes_of(region)
    assert bytes_of(region) == once
    (instance,) = region.inventory.instances
    alone = compile_instance(instance, region.inventory, region.values)
    assert {kind: {name: body.SerializeToString() for name, body in named.items()} for kind, named in alone.resources.items()} == once


def test_a_second_pass_gives_the_bytes_of_a_fresh_one_whatever_the_memo_holds(region: Region) -> None:
    memo = Memo()
    for change in (lambda: None, lambda: region.change("chat", authorized=("bob",)), lambda: region.key("bob", "other-key-0123456789")):
        change()
        (kept,) = compile_region(region.inventory, region.values, memo).values()
        assert kept.resources == compiled(region).resources


def test_a_problem_names_the_kind_of_its_holder(region: Region) -> None:
    region.agent("studio", 443, "first", "off", apps=("Alpha", "beta"))
    region.mcp("tools", 443, "off")
    services = {service.name: service.id for service in region.inventory.instances[0].services}
    assert set(compiled(region).problems) >= {
        Problem("agent_service", services["studio"], "apps[beta]", key_id("off"), "disabled"),
        Problem("mcp_service", services["tools"], "backend_auth", key_id("off"), "disabled"),
    }


def test_rotating_a_key_that_is_sent_changes_only_secrets(region: Region) -> None:
    before = bytes_of(region)
    region.key("first", "sk-next-0123456789", "sk-first-0123456789")
    after = bytes_of(region)
    assert changed(before, after) == {"SDS"}
    different = {name for name in before[SECRET] if before[SECRET][name] != after[SECRET][name]}
    assert different == {f"{key_id('first')}/Bearer ", f"{key_id('first')}/"}


def test_rotating_a_key_that_callers_show_changes_only_the_list_of_credentials(region: Region) -> None:
    before = bytes_of(region)
    for versions in (("alice-3-0123456789", "alice-new-0123456789"), ("alice-3-0123456789",), ("alice-4-0123456789",), ()):
        region.key("alice", *versions)
        after = bytes_of(region)
        assert changed(before, after) == {"ECDS"}
        before = after


def test_disabling_a_consumer_changes_what_is_accepted_and_nothing_that_is_taken_away(region: Region) -> None:
    def taken_away() -> tuple[list[str], bytes]:
        return list(route(region, "claude").request_headers_to_remove), route(region, "claude").typed_per_filter_config[
            CUT_PARAMETERS
        ].value

    before = taken_away()
    assert "x-team-key" in before[0]
    assert b"api_key" in before[1]
    region.disabled = {"alice", "bob"}
    assert taken_away() == before
    assert credentials(region) == {}


def test_versions_are_told_apart_by_their_number_modulo_2(region: Region) -> None:
    assert credentials(region) == {
        "alice-old-0123456789": "alice/0~1",
        "alice-new-0123456789": "alice/0~0",
        "bobby-key-0123456789": "bob/0~1",
    }
    assert list(rules(region, "chat").allowed_clients) == ["alice/0~0", "alice/0~1", "bob/0~0", "bob/0~1"]


def test_of_two_equal_keys_the_later_is_left_out_and_reported(region: Region) -> None:
    region.key("bob", "alice-old-0123456789")
    assert credentials(region)["alice-old-0123456789"] == "alice/0~1"
    problems = [problem for problem in compiled(region).problems if problem.holder_kind == "consumer"]
    assert [(problem.path, problem.key_id, problem.reason) for problem in problems] == [("credentials[0]", key_id("bob"), "duplicate")]
    region.consumers["aaron"] = region.consumers.pop("bob")
    assert credentials(region)["alice-old-0123456789"] == "aaron/0~0"


def test_two_equal_versions_of_one_credential_are_no_problem(region: Region) -> None:
    region.keys["bob"] = [(2, "bobby-key-0123456789"), (1, "bobby-key-0123456789")]
    assert credentials(region)["bobby-key-0123456789"] == "bob/0~0"
    assert not [problem for problem in compiled(region).problems if problem.holder_kind == "consumer"]


@pytest.mark.parametrize("value", ["with\r\nx-evil: 1", "line\n", " leading", "trailing ", "tab\t", "ümlaut", "nul\0", "del\x7f", ""])
def test_what_cannot_travel_in_a_header_is_left_out_and_reported(region: Region, value: str) -> None:
    region.key("bob", value)
    region.key("first", value)
    assert value not in credentials(region)
    assert secret(region, "first", "Bearer ") == b""
    reported = {(problem.holder_kind, problem.key_id, problem.reason) for problem in compiled(region).problems}
    assert {("consumer", key_id("bob"), "charset"), ("ai_service", key_id("first"), "charset")} <= reported


def test_an_old_version_never_stands_in_for_one_that_cannot_be_opened(region: Region) -> None:
    region.key("first", "sk-next-0123456789", "sk-first-0123456789")
    newest = region.inventory.instances[0].services[0].keys[0].versions[0].id
    values = {version: value for version, value in region.values.items() if version != newest}
    (one,) = compile_region(region.inventory, values, Memo()).values()
    body = one.resources[SECRET][f"{key_id('first')}/Bearer "]
    assert opened(body, Secret).generic_secret.secret.inline_bytes == b""
    assert Problem("ai_service", region.inventory.instances[0].services[0].id, "api_keys[0]", key_id("first"), "unreadable") in one.problems


def test_the_other_version_of_a_credential_stays_when_one_cannot_be_opened(region: Region) -> None:
    newest = region.inventory.consumers[0].credentials[0].use.versions[0].id
    values = {version: value for version, value in region.values.items() if version != newest}
    (one,) = compile_region(region.inventory, values, Memo()).values()
    extension = opened(one.resources[EXTENSION][KEY_AUTH], TypedExtensionConfig)
    assert [c.client for c in opened(extension.typed_config, ApiKeyAuth).credentials] == ["alice/0~1", "bob/0~1"]
    assert [problem.reason for problem in one.problems if problem.holder_kind == "consumer"] == ["unreadable"]


def test_a_place_has_one_problem_at_most(region: Region) -> None:
    region.consumer("zoe", "bob", "off", "first")
    region.keys["first"] = [(2, "bobby-key-0123456789"), (1, "bad\nvalue")]
    problems = compiled(region).problems
    places = [(problem.holder_kind, problem.holder_id, problem.path) for problem in problems]
    assert len(places) == len(set(places))


def test_every_reference_has_a_secret_and_every_form_one_of_its_own(region: Region) -> None:
    expected = {f"{key_id(key)}/Bearer " for key in ("first", "second", "off")} | {f"{key_id('first')}/"}
    assert compiled(region).resources[SECRET].keys() == expected
    assert secret(region, "first", "Bearer ") == b"Bearer sk-first-0123456789"
    assert secret(region, "first", "") == b"sk-first-0123456789"
    assert secret(region, "off", "Bearer ") == b""


def test_calls_are_shared_among_keys_that_can_be_sent(region: Region) -> None:
    names = [choice.name for choice in route(region, "chat").route.weighted_clusters.clusters]
    assert names == ["ai/chat/0", "ai/chat/1"]
    assert compiled(region).resources[CLUSTER].keys() == {"ai/chat/0", "ai/chat/1", "ai/chat/2", "ai/claude/0", "ai/idle/0"}
    region.key("first")
    assert route(region, "chat").route.cluster == "ai/chat/1"
    region.key("second")
    assert len(route(region, "chat").route.weighted_clusters.clusters) == 3


def test_an_empty_list_of_clients_is_never_compiled(region: Region) -> None:
    for authorized in ((), ("nobody",)):
        region.change("chat", authorized=authorized)
        assert route(region, "chat").direct_response.status == 403
    for name in ("chat", "idle"):
        assert not route(region, name).HasField("route")
        assert rules(region, name).forwarding.header


def test_sources_of_a_route_are_those_of_its_consumers_and_authorization_is_last(region: Region) -> None:
    def places(name: str) -> list[str]:
        return [source.header or f"?{source.query}" for source in rules(region, name).key_sources]

    assert places("chat") == ["x-team-key", "?api_key", "authorization"]
    assert places("idle") == ["x-team-key", "?api_key", "authorization"]
    region.change("chat", authorized=("alice",))
    assert places("chat") == ["x-team-key"]


def test_a_memo_forgets_what_a_pass_did_not_ask_for() -> None:
    memo, made = Memo(), []

    def make() -> int:
        made.append(1)
        return len(made)

    assert [memo.once("a", make), memo.once("a", make)] == [1, 1]
    memo.end_pass()
    assert memo.once("a", make) == 1
    memo.end_pass()
    memo.end_pass()
    assert memo.once("a", make) == 2


def test_no_value_stands_outside_of_secrets_and_credentials(region: Region) -> None:
    for kind, named in bytes_of(region).items():
        for name, raw in named.items():
            for value in region.values.values():
                assert kind in (SECRET, EXTENSION) or value.expose() not in raw, name
