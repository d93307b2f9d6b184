"""Versions that tell nothing, and the check that stands between a compiled region and its gateways."""

from collections.abc import Callable

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.route.v3.route_components_pb2 import FilterConfig, Route
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.api_key_auth.v3.api_key_auth_pb2 import ApiKeyAuth, ApiKeyAuthPerRoute, Credential
from envoy.extensions.filters.http.lua.v3.lua_pb2 import LuaPerRoute
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import GenericSecret, Secret
from google.protobuf.any_pb2 import Any

from gateway.compile import Memo, compile_region
from gateway.compile.parameters import cutting
from gateway.compile.wire import packed
from gateway.names import CUT_PARAMETERS, KEY_AUTH, ROUTES
from gateway.snapshot import Snapshot, SnapshotRefused
from gateway.type_urls import CLUSTER, EXTENSION, ROUTE, SECRET
from tests.dataplane.region import BEARER, Region, key_id, query

KEY = b"a key of this deployment"
CHAT, CLOSED = "ai/chat", "ai/closed"  # routes


@pytest.fixture
def resources() -> dict[str, dict[str, Any]]:
    region = Region()
    region.key("alice", "alice-key-0123456789")
    region.key("provider", "sk-provider-0123456789")
    region.consumer("alice", "alice", sources=(BEARER, query("api_key")))
    region.service("chat", 80, "provider", authorized=("alice",))
    region.service("closed", 80, "provider")
    (compiled,) = compile_region(region.inventory, region.values, Memo()).values()
    return {kind: dict(named) for kind, named in compiled.resources.items()}


def test_a_compiled_region_passes(resources: dict[str, dict[str, Any]]) -> None:
    Snapshot.of(resources, KEY).check()


def test_a_version_depends_on_the_bytes_and_on_a_key(resources: dict[str, dict[str, Any]]) -> None:
    one, same, other = Snapshot.of(resources, KEY), Snapshot.of(resources, KEY), Snapshot.of(resources, b"another key")
    versions = {resource.version for kind in one for resource in one[kind].values()}
    assert len(versions) == sum(len(named) for named in resources.values())
    assert versions == {resource.version for kind in same for resource in same[kind].values()}
    assert versions.isdisjoint(resource.version for kind in other for resource in other[kind].values())


def test_what_did_not_change_is_the_very_same_object(resources: dict[str, dict[str, Any]]) -> None:
    before = Snapshot.of(resources, KEY)
    copies = {kind: {name: Any.FromString(body.SerializeToString()) for name, body in named.items()} for kind, named in resources.items()}
    copies[SECRET]["another"] = packed(Secret(name="another"))
    after = Snapshot.of(copies, KEY, before)
    assert after[CLUSTER] is before[CLUSTER]
    assert after[SECRET] is not before[SECRET]
    assert all(after[SECRET][name] is before[SECRET][name] for name in before[SECRET])


def test_kinds_of_two_snapshots_are_joined_and_nothing_else_changes(resources: dict[str, dict[str, Any]]) -> None:
    whole = Snapshot.of(resources, KEY)
    joined = whole | Snapshot.of({SECRET: {}}, KEY)
    assert not joined[SECRET]
    assert joined[CLUSTER] is whole[CLUSTER]
    with pytest.raises(TypeError):
        joined[CLUSTER]["x"] = whole[CLUSTER]["ai/chat/0"]  # type: ignore[index]


def routes(change: Callable[[RouteConfiguration], None]) -> Callable[[dict[str, dict[str, Any]]], None]:
    def apply(resources: dict[str, dict[str, Any]]) -> None:
        table = RouteConfiguration()
        resources[ROUTE][ROUTES].Unpack(table)
        change(table)
        resources[ROUTE][ROUTES] = packed(table)

    return apply


def route(table: RouteConfiguration, name: str) -> Route:
    return next(route for route in table.virtual_hosts[0].routes if route.name == name)


def rules(name: str, change: Callable[[ApiKeyAuthPerRoute], None]) -> Callable[[dict[str, dict[str, Any]]], None]:
    def apply(table: RouteConfiguration) -> None:
        config = route(table, name).typed_per_filter_config[KEY_AUTH]
        own = ApiKeyAuthPerRoute()
        config.Unpack(own)
        change(own)
        config.Pack(own)

    return routes(apply)


def credentials(*pairs: tuple[str, str]) -> Callable[[dict[str, dict[str, Any]]], None]:
    def apply(resources: dict[str, dict[str, Any]]) -> None:
        auth = ApiKeyAuth(credentials=[Credential(client=client, key=key) for client, key in pairs])
        resources[EXTENSION][KEY_AUTH] = packed(TypedExtensionConfig(name=KEY_AUTH, typed_config=packed(auth)))

    return apply


def secret(value: bytes) -> Callable[[dict[str, dict[str, Any]]], None]:
    def apply(resources: dict[str, dict[str, Any]]) -> None:
        name = f"{key_id('provider')}/Bearer "
        resources[SECRET][name] = packed(Secret(name=name, generic_secret=GenericSecret(secret=DataSource(inline_bytes=value))))

    return apply


def say_nothing(table: RouteConfiguration) -> None:
    del route(table, CHAT).typed_per_filter_config[KEY_AUTH]


def say_nothing_in_many_words(table: RouteConfiguration) -> None:
    route(table, CHAT).typed_per_filter_config[KEY_AUTH].Pack(FilterConfig(is_optional=True))


def take_nothing_away(table: RouteConfiguration) -> None:
    route(table, CHAT).request_headers_to_remove[:] = []


def cut_nothing(table: RouteConfiguration) -> None:
    del route(table, CHAT).typed_per_filter_config[CUT_PARAMETERS]


def cut_another_parameter(table: RouteConfiguration) -> None:
    route(table, CHAT).typed_per_filter_config[CUT_PARAMETERS].CopyFrom(cutting(["other"]))


def run_another_script(table: RouteConfiguration) -> None:
    own = LuaPerRoute()
    config = route(table, CHAT).typed_per_filter_config[CUT_PARAMETERS]
    config.Unpack(own)
    own.source_code.inline_string = "-- nothing"
    config.Pack(own)


def look_in_another_header(rules: ApiKeyAuthPerRoute) -> None:
    rules.key_sources.add(header="x-other")


def lead_elsewhere(table: RouteConfiguration) -> None:
    route(table, CHAT).route.cluster = "ai/gone/0"


CANARY = "canary-0123456789"


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda resources: resources[CLUSTER].pop("ai/chat/0"), "Route ai/chat leads to the cluster ai/chat/0, which does not exist"),
        (routes(lead_elsewhere), "ai/gone/0, which does not exist"),
        (lambda resources: resources[SECRET].clear(), r"Cluster ai/chat/0 refers to the secret .*/Bearer , which does not exist"),
        (routes(say_nothing), "Route ai/chat says nothing of authentication"),
        (routes(say_nothing_in_many_words), "Route ai/chat says nothing of authentication"),
        (rules(CHAT, lambda own: own.ClearField("forwarding")), "Route ai/chat would not say who calls"),
        (rules(CLOSED, lambda own: own.ClearField("forwarding")), "Route ai/closed would not say who calls"),
        (rules(CHAT, look_in_another_header), "Route ai/chat would send callers' keys on to the back end"),
        (routes(take_nothing_away), "Route ai/chat would send callers' keys on to the back end"),
        (routes(cut_nothing), "Route ai/chat would send callers' keys on to the back end"),
        (routes(cut_another_parameter), "Route ai/chat would send callers' keys on to the back end"),
        (routes(run_another_script), "Route ai/chat would send callers' keys on to the back end"),
        (rules(CHAT, lambda own: own.ClearField("allowed_clients")), "Route ai/chat would admit every consumer"),
        (credentials(("a/0~0", CANARY), ("b/0~0", CANARY)), "The credentials a/0~0 and b/0~0 are equal"),
        (credentials(("a/0~0", CANARY), ("a/0~0", CANARY)), "The credentials a/0~0 and a/0~0 are equal"),
        (credentials(("a/0~0", "")), "The credential a/0~0 is one that Envoy would not take as it is"),
        (credentials(("", CANARY)), "The credential without a name"),
        (credentials(("a/0~0", f"{CANARY}\n")), "The credential a/0~0 is one"),
        (secret(f"Bearer {CANARY}\r\nx: y".encode()), "cannot travel in a header"),
    ],
)
def test_what_does_not_hold_together_is_refused_without_quoting_a_value(
    resources: dict[str, dict[str, Any]], break_it: Callable[[dict[str, dict[str, Any]]], object], words: str
) -> None:
    good = Snapshot.of(resources, KEY)
    break_it(resources)
    for earlier in (None, good):
        with pytest.raises(SnapshotRefused, match=words) as refused:
            Snapshot.of(resources, KEY, earlier).check(earlier)
        assert CANARY not in str(refused.value)


def test_a_cluster_that_goes_from_under_an_unchanged_route_is_noticed(resources: dict[str, dict[str, Any]]) -> None:
    good = Snapshot.of(resources, KEY)
    good.check()
    resources[CLUSTER] = {"ai/other/0": packed(Cluster(name="ai/other/0"))}
    with pytest.raises(SnapshotRefused):
        Snapshot.of(resources, KEY, good).check(good)
