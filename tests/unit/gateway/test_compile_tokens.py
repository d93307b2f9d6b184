"""From consumers with tokens to resources: what stands where, and what may change it. No test here touches a database."""

from typing import Any as Message

import pytest
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.route.v3.route_components_pb2 import FilterConfig, Route
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.jwt_authn.v3.config_pb2 import JwtAuthentication, JwtRequirement, PerRouteConfig
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC
from google.protobuf.any_pb2 import Any

from gateway.compile import Compiled, Memo, Problem, compile_region
from gateway.compile.chains import chained, filters_of
from gateway.compile.wire import packed
from gateway.names import CUT_PARAMETERS, JWT_AUTH, JWT_CHECK, KEY_AUTH, ROUTES
from gateway.snapshot import Snapshot, SnapshotRefused
from gateway.type_urls import CLUSTER, EXTENSION, ROUTE, SECRET, SHORT
from tests.dataplane.region import Region, header, key_id, query
from tests.keys_of_tokens import ec_key, key_set, rsa_key, shared_set

PUBLIC, OTHER = key_set(rsa_key()), key_set(ec_key())
URL = "https://issuer.example.com/jwks"


@pytest.fixture
def region() -> Region:
    region = Region()
    region.key("acme", shared_set("one"))
    region.key("provider", "sk-0123456789")
    region.bearer("acme", "acme")
    region.bearer("pasted", public=PUBLIC)
    region.bearer("remote", url=URL, cache_seconds=600)
    region.token_service("chat", 443, "provider", authorized=("acme", "pasted", "remote"))
    return region


def compiled(region: Region) -> Compiled:
    (one,) = compile_region(region.inventory, region.values, Memo()).values()
    return one


def bytes_of(region: Region) -> dict[str, dict[str, bytes]]:
    return {kind: {name: body.SerializeToString() for name, body in named.items()} for kind, named in compiled(region).resources.items()}


def changed(before: dict[str, dict[str, bytes]], after: dict[str, dict[str, bytes]]) -> set[str]:
    return {SHORT[kind] for kind in before if before[kind] != after[kind]}


def opened(body: Any, kind: Message) -> Message:
    message = kind()
    assert body.Unpack(message)
    return message


def tokens(region: Region) -> JwtAuthentication:
    extension = opened(compiled(region).resources[EXTENSION][JWT_AUTH], TypedExtensionConfig)
    return opened(extension.typed_config, JwtAuthentication)


def table(region: Region) -> RouteConfiguration:
    return opened(compiled(region).resources[ROUTE][ROUTES], RouteConfiguration)


def route(region: Region, name: str = "chat") -> Route:
    return next(route for route in table(region).virtual_hosts[0].routes if route.name == f"ai/{name}")


def policies(region: Region) -> dict[str, tuple[str, str]]:
    """By policy: the provider that has to vouch, and the claim."""
    filters = filters_of(route(region).typed_per_filter_config[JWT_CHECK])
    (check,) = (opened(one.typed_config, RBAC) for one in filters if one.typed_config.Is(RBAC.DESCRIPTOR))
    said = {name: policy.principals[0].metadata for name, policy in check.rules.policies.items()}
    return {name: tuple(step.key for step in metadata.path) for name, metadata in said.items()}


def alternatives(requirement: JwtRequirement) -> list[str]:
    several = requirement.requires_any.requirements or [requirement]
    return [one.provider_name or "all" for one in several]


def test_a_route_asks_for_a_token_and_for_who_it_is(region: Region) -> None:
    configs = route(region).typed_per_filter_config
    assert opened(configs[KEY_AUTH], FilterConfig).disabled
    assert opened(configs[JWT_AUTH], PerRouteConfig).requirement_name == "ai/chat"
    named = policies(region)
    assert set(named) == {"acme/jwks~0", "acme/jwks~1", "pasted/jwks", "remote/jwks"}
    assert named["acme/jwks~1"] == ("acme/jwks~1", "uid")
    assert set(tokens(region).providers) == {"nobody", "acme/jwks~1", named["pasted/jwks"][0], named["remote/jwks"][0]}


def test_consumers_with_the_same_keys_at_the_same_place_share_a_provider(region: Region) -> None:
    region.bearer("sibling", public=PUBLIC, claim="sub")
    region.bearer("elsewhere", public=PUBLIC, place=header("x-token"))
    region.bearer("faster", url=URL, cache_seconds=60)
    region.change("chat", authorized=("acme", "elsewhere", "faster", "pasted", "remote", "sibling"))
    named = policies(region)
    assert named["sibling/jwks"][0] == named["pasted/jwks"][0]
    assert named["elsewhere/jwks"][0] != named["pasted/jwks"][0]
    assert named["faster/jwks"][0] == named["remote/jwks"][0]
    assert tokens(region).providers[named["remote/jwks"][0]].remote_jwks.cache_duration.seconds == 60


def test_keys_that_are_here_come_before_those_that_are_fetched(region: Region) -> None:
    named = {provider: name for name, (provider, _claim) in policies(region).items()}
    order = [named.get(name, name) for name in alternatives(tokens(region).requirement_map["ai/chat"])]
    assert order == ["all", "acme/jwks~1", "pasted/jwks", "remote/jwks"]


def test_where_no_two_sets_can_hold_one_key_the_first_is_enough(region: Region) -> None:
    region.key("other", shared_set("two"))
    region.bearer("other", "other")
    region.change("chat", authorized=("acme", "other", "pasted"))
    assert "all" not in alternatives(tokens(region).requirement_map["ai/chat"])
    region.bearer("remote", url=URL, cache_seconds=600, place=header("x-token"))
    region.change("chat", authorized=("acme", "pasted", "remote"))
    assert "all" not in alternatives(tokens(region).requirement_map["ai/chat"])


def test_a_rotation_changes_the_list_of_sets_alone(region: Region) -> None:
    before = bytes_of(region)
    region.key("acme", shared_set("two"), shared_set("one"))
    during = bytes_of(region)
    assert changed(before, during) == {"ECDS"}
    region.key("acme", shared_set("two"))
    assert changed(during, bytes_of(region)) == {"ECDS"}
    assert set(policies(region)) >= {"acme/jwks~0", "acme/jwks~1"}


def test_the_same_input_gives_the_same_bytes(region: Region) -> None:
    once = bytes_of(region)
    region.bearers = dict(reversed(region.bearers.items()))
    assert bytes_of(region) == once


@pytest.mark.parametrize("value", ["{}", '{"keys":[{"kty":"oct","k":"AQ"}]}', "x" * 99, shared_set("one") + "\n"])
def test_a_set_that_the_console_did_not_make_is_left_out_and_reported(region: Region, value: str) -> None:
    region.key("acme", value)
    assert [name for name in tokens(region).providers if name.startswith("acme")] == []
    assert compiled(region).problems == (Problem("consumer", region.inventory.consumers[0].id, "jwks", key_id("acme"), "unreadable"),)


def test_a_secret_that_cannot_be_read_harms_its_own_consumer(region: Region) -> None:
    region.unreadable.add("acme")
    assert [problem.reason for problem in compiled(region).problems] == ["unreadable"]
    region.change("chat", authorized=("acme",))
    assert alternatives(tokens(region).requirement_map["ai/chat"]) == ["nobody"]
    region.unreadable.clear()
    region.key("acme")
    assert [problem.reason for problem in compiled(region).problems] == ["disabled"]


def test_only_what_an_instance_needs_is_sent_to_it(region: Region) -> None:
    region.change("chat", authorized=("acme",))
    assert set(tokens(region).providers) == {"nobody", "acme/jwks~1"}
    assert set(compiled(region).resources[CLUSTER]) == {"ai/chat/0"}
    region.change("chat", consumer_authentication=False, authorized=("acme", "pasted", "remote"))
    assert set(tokens(region).providers) == {"nobody"}
    assert not tokens(region).requirement_map


def test_without_anybody_with_tokens_there_is_only_a_refusal(region: Region) -> None:
    region.key("alice", "alice-0123456789-key")
    region.consumer("alice", "alice")
    region.change("chat", authorized=("alice",))
    assert route(region).direct_response.status == 403
    assert JWT_AUTH not in route(region).typed_per_filter_config
    region.change("chat", authorized=("alice",), authentication_method="api_key")
    assert route(region).HasField("route")
    region.change("chat", authorized=("acme",))
    assert route(region).direct_response.status == 403


def test_places_of_tokens_are_taken_away_everywhere(region: Region) -> None:
    region.bearer("acme", "acme", place=query("jwt"))
    region.bearer("pasted", public=PUBLIC, place=header("x-token"))
    region.disabled.add("pasted")
    region.service("other", 443, "provider", consumer_authentication=False)
    for name in ("chat", "other"):
        assert "x-token" in route(region, name).request_headers_to_remove
        assert "authorization" in route(region, name).request_headers_to_remove
        assert CUT_PARAMETERS in route(region, name).typed_per_filter_config


def test_no_secret_stands_outside_of_the_list_of_sets(region: Region) -> None:
    secret = shared_set("one").split('"k":"')[1].split('"')[0].encode()
    found = {SHORT[kind] for kind, named in bytes_of(region).items() for body in named.values() if secret in body}
    assert found == {"ECDS"}
    assert bytes_of(region)[SECRET].keys() == {f"{key_id('provider')}/Bearer "}


# What would not hold together


def spoil(region: Region, change: Message) -> dict[str, dict[str, Any]]:
    resources = {kind: dict(named) for kind, named in compiled(region).resources.items()}
    change(resources)
    return resources


def of_route(change: Message) -> Message:
    def apply(resources: dict[str, dict[str, Any]]) -> None:
        routes = opened(resources[ROUTE][ROUTES], RouteConfiguration)
        change(next(route for route in routes.virtual_hosts[0].routes if route.name == "ai/chat").typed_per_filter_config)
        resources[ROUTE][ROUTES] = packed(routes)

    return apply


def of_tokens(change: Message) -> Message:
    def apply(resources: dict[str, dict[str, Any]]) -> None:
        extension = opened(resources[EXTENSION][JWT_AUTH], TypedExtensionConfig)
        config = opened(extension.typed_config, JwtAuthentication)
        change(config)
        resources[EXTENSION][JWT_AUTH] = packed(TypedExtensionConfig(name=JWT_AUTH, typed_config=packed(config)))

    return apply


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (of_route(lambda configs: configs.pop(JWT_CHECK)), "would admit whoever has a token"),
        (of_route(lambda configs: configs.pop(JWT_AUTH)), "would admit whoever has a token"),
        (of_route(lambda configs: configs[JWT_CHECK].CopyFrom(chained((), []))), "would admit whoever has a token"),
        (of_route(lambda configs: configs[JWT_AUTH].CopyFrom(packed(PerRouteConfig(disabled=True)))), "would admit whoever has a token"),
        (
            of_route(lambda configs: configs[JWT_AUTH].CopyFrom(packed(PerRouteConfig(requirement_name="gone")))),
            "the requirement gone, which does not exist",
        ),
        (of_tokens(lambda config: config.requirement_map.clear()), "the requirement ai/chat, which does not exist"),
        (of_tokens(lambda config: config.providers.pop("acme/jwks~1")), "the provider acme/jwks~1, which does not exist"),
        (of_tokens(lambda config: config.providers.pop("nobody")), "the provider nobody, which does not exist"),
        (lambda resources: resources[CLUSTER].pop(f"keys/{URL}"), "fetched from the cluster keys/https"),
    ],
)
def test_what_does_not_hold_together_is_refused(region: Region, change: Message, words: str) -> None:
    good = Snapshot.of(compiled(region).resources, b"key")
    good.check()
    resources = spoil(region, change)
    for earlier in (None, good):
        with pytest.raises(SnapshotRefused, match=words):
            Snapshot.of(resources, b"key", earlier).check(earlier)
