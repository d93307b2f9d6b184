"""From rules of plugins to what routes bring along. No test here touches a database or an Envoy."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any as Message

import pytest
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.route.v3.route_components_pb2 import Route
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.api_key_auth.v3.api_key_auth_pb2 import ApiKeyAuth
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

from gateway.compile import Compiled, Memo, Problem, compile_region
from gateway.compile.chains import FilterChainConfigPerRoute, filters_of
from gateway.compile.markers import filled
from gateway.compile.wire import packed
from gateway.inventory import Rule
from gateway.names import CUT_PARAMETERS, ENTRY_PLUGINS, FIRST_PLUGINS, LAST_PLUGINS, RATE_LIMIT, ROUTES
from gateway.plugins import CATALOGUE
from gateway.plugins.base import Native
from gateway.snapshot import Snapshot, SnapshotRefused
from gateway.type_urls import CLUSTER, EXTENSION, ROUTE, SECRET
from tests.dataplane.region import Region, key_id

KEY, TOKEN = "canary-key-0123456789", "canary-token-0123456789"
KEYS = "credentials: ['$ref{key}']\nkeys: [apikey]"
SENDS = "reqRules: [{operate: add, headers: [{key: x-a, value: '$ref{token}'}]}]"
ASKS = "http_service: {endpoint: {address: 'https://a.example/x'}, authorization_request: {headers_to_add: {x-t: '$ref{token}'}}}"


@pytest.fixture
def region() -> Region:
    region = Region()
    region.key("key", KEY)
    region.key("token", TOKEN)
    region.key("provider", "sk-0")
    region.service("chat", 80, "provider", consumer_authentication=False)
    region.service("notes", 80, "provider", consumer_authentication=False)
    return region


def compiled(region: Region, memo: Memo | None = None) -> Compiled:
    (one,) = compile_region(region.inventory, region.values, memo or Memo()).values()
    return one


def snapshot(region: Region) -> Snapshot:
    made = Snapshot.of(compiled(region).resources, b"key")
    made.check()
    return made


def route(region: Region, name: str = "chat") -> Route:
    table = RouteConfiguration.FromString(compiled(region).resources[ROUTE][ROUTES].value)
    return next(route for route in table.virtual_hosts[0].routes if route.name == f"ai/{name}")


def chain(region: Region, place: str, name: str = "chat") -> list[str]:
    config = route(region, name).typed_per_filter_config
    return [one.name for one in filters_of(config[place])] if place in config else []


def rule_of(region: Region, plugin: str, service: str = "") -> Rule:
    (instance,) = region.inventory.instances
    rules = next(one.rules for one in instance.services if one.name == service) if service else instance.rules
    return next(rule for rule in rules if rule.plugin == plugin)


def secrets(region: Region) -> dict[str, bytes]:
    found = compiled(region).resources[SECRET]
    return {name: Secret.FromString(body.value).generic_secret.secret.inline_bytes for name, body in found.items()}


def test_without_rules_routes_know_of_no_plugin(region: Region) -> None:
    assert not any(name.startswith("latchkey.plugins") for name in route(region).typed_per_filter_config)
    assert not compiled(region).problems
    region.rule("key-auth", KEYS, service="notes")
    assert not any(name.startswith("latchkey.plugins") for name in route(region).typed_per_filter_config)


def test_plugins_stand_in_the_order_of_phase_and_priority(region: Region) -> None:
    texts = {
        "key-auth": KEYS,
        "basic-auth": "consumers: [{name: a, credential: 'a:$ref{key}'}]",
        "ip-restriction": "deny: [10.0.0.0/8]",
        "rate-limit": "global_threshold: {query_per_day: 1}\nrejected_code: 503",
        "transformer": SENDS,
        "ext-auth": ASKS,
    }
    for number, (plugin, text) in enumerate(texts.items()):
        region.rule(plugin, text, service="chat" if number % 2 else "")
    assert plugins_in(chain(region, FIRST_PLUGINS)) == ["ip-restriction", "rate-limit"]
    assert plugins_in(chain(region, ENTRY_PLUGINS)) == ["basic-auth", "key-auth", "ext-auth"]
    assert plugins_in(chain(region, LAST_PLUGINS)) == ["take", "transformer"]
    assert RATE_LIMIT in route(region).typed_per_filter_config


def plugins_in(names: list[str]) -> list[str]:
    return list(dict.fromkeys(name.split("/")[0] for name in names))


@pytest.mark.parametrize("plugin", CATALOGUE)
def test_the_example_of_each_plugin_is_one_that_can_be_published(region: Region, plugin: str) -> None:
    example = CATALOGUE[plugin].example
    for name in ("secretName", "alice_password", "partner_token", "gateway_token"):
        region.key(name, f"value-of-{name}-0123456789")
    region.rule(plugin, example)
    assert snapshot(region)
    assert route(region).HasField("route")
    assert not compiled(region).problems


def test_the_same_input_gives_the_same_bytes_in_every_process() -> None:
    """Maps in protobufs come in any order unless they are told otherwise."""
    seen = set()
    for seed in ("1", "2", "3"):
        ran = subprocess.run(
            [sys.executable, "-c", f"import django; django.setup(); from {__name__} import fingerprint; print(fingerprint())"],
            cwd=Path(__file__).parents[3],
            env={**os.environ, "PYTHONHASHSEED": seed, "DJANGO_SETTINGS_MODULE": "tests.settings"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        seen.add(ran.stdout.strip().splitlines()[-1])
    assert len(seen) == 1


def fingerprint() -> str:
    region = Region()
    for name in ("secretName", "alice_password", "partner_token", "gateway_token"):
        region.key(name, f"value-of-{name}-0123456789")
    region.service("chat", 80, consumer_authentication=False)
    for plugin in CATALOGUE.values():
        region.rule(plugin.name, plugin.example)
    resources = compiled(region).resources
    bodies = [body.SerializeToString(deterministic=True) for kind in resources for _name, body in sorted(resources[kind].items())]
    return hashlib.sha256(b"".join(bodies)).hexdigest()


def test_what_did_not_change_is_not_made_again(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    region.rule("key-auth", KEYS)
    region.rule("transformer", SENDS)
    memo = Memo()
    compiled(region, memo)
    made: list[str] = []

    def noting(native: Native, rule: Rule, *rest: Message) -> Message:
        made.append(rule.plugin)
        return filled(native, rule, *rest)

    monkeypatch.setattr(sys.modules["gateway.compile.plugins"], "filled", noting)
    region.service("more", 80, consumer_authentication=False)
    compiled(region, memo)
    assert made == []
    region.key("key", "newer-key-0123456789")
    compiled(region, memo)
    assert made == ["key-auth"]


def test_a_value_stands_where_callers_keys_are_accepted_and_in_secrets_and_nowhere_else(region: Region) -> None:
    region.rule("key-auth", KEYS)
    region.rule("basic-auth", "consumers: [{name: a, credential: 'a:$ref{key}'}]")
    region.rule("transformer", SENDS)
    region.rule("ext-auth", ASKS)
    resources = compiled(region).resources
    for kind in (CLUSTER, EXTENSION):
        assert not any(value.encode() in body.value for body in resources[kind].values() for value in (KEY, TOKEN))
    table = RouteConfiguration.FromString(resources[ROUTE][ROUTES].value)
    assert TOKEN.encode() not in table.SerializeToString()
    for found in table.virtual_hosts[0].routes:
        for name, config in found.typed_per_filter_config.items():
            for one in filters_of(config):
                assert one.typed_config.Is(ApiKeyAuth.DESCRIPTOR) or KEY.encode() not in one.typed_config.value, name
    assert list(secrets(region).values()).count(TOKEN.encode()) == 1


def test_a_secret_is_named_after_what_is_in_it(region: Region) -> None:
    """A text that puts another key into the same place must not have its value sent, for a moment, to where the last one's went."""
    region.rule("transformer", SENDS)
    plain = f"{key_id('token')}/"
    assert secrets(region)[plain] == TOKEN.encode()
    region.rule("transformer", SENDS.replace("'$ref{token}'", "'Bearer $ref{token}'"))
    assert secrets(region)[f"{key_id('token')}/Bearer "] == f"Bearer {TOKEN}".encode()
    region.rule("transformer", SENDS.replace("'$ref{token}'", "'$ref{token}:$ref{key}'"))
    (both,) = (name for name in secrets(region) if name.startswith("template/"))
    assert secrets(region)[both] == f"{TOKEN}:{KEY}".encode()
    region.rule("transformer", SENDS.replace("'$ref{token}'", "'$ref{key}:$ref{token}'"))
    assert both not in secrets(region)


def test_a_service_and_a_plugin_that_send_the_same_share_one_secret(region: Region) -> None:
    region.service("chat", 80, "token", consumer_authentication=False)
    region.rule("transformer", SENDS.replace("$ref{token}", "Bearer $ref{token}"))
    assert list(secrets(region).values()).count(f"Bearer {TOKEN}".encode()) == 1
    assert snapshot(region)


@pytest.mark.parametrize(("cause", "reason"), [("disabled", "disabled"), ("unreadable", "unreadable"), ("charset", "charset")])
def test_what_cannot_be_served_is_told_with_its_rule_and_its_place(region: Region, cause: str, reason: str) -> None:
    region.rule("key-auth", "consumers: [{name: a, credentials: ['$ref{token}', '$ref{key}']}]\nkeys: [k]")
    region.rule("transformer", SENDS.replace("token", "key"), service="chat")
    if cause == "disabled":
        region.key("key")
    elif cause == "unreadable":
        region.unreadable.add("key")
    else:
        region.key("key", "two\nlines-0123456789")
    assert set(compiled(region).problems) == {
        Problem("plugin", rule_of(region, "key-auth").id, "consumers[0].credentials[1]", key_id("key"), reason),
        Problem("plugin", rule_of(region, "transformer", "chat").id, "reqRules[0].headers[0].value", key_id("key"), reason),
    }


def test_of_two_equal_values_the_later_place_is_told(region: Region) -> None:
    region.rule("key-auth", "credentials: ['$ref{key}', '$ref{token}', 'Bearer $ref{key}']\nkeys: [k]")
    region.key("token", KEY)
    told = {(problem.path, problem.reason) for problem in compiled(region).problems}
    assert told == {("credentials[1]", "duplicate"), ("credentials[2]", "duplicate")}


def test_one_place_is_told_once_whatever_is_wrong_there(region: Region) -> None:
    """The table of problems holds one row of a place."""
    region.key("key")
    region.unreadable.add("token")
    region.rule("transformer", SENDS.replace("$ref{token}", "$ref{key}$ref{token}"))
    region.rule("key-auth", "credentials: ['$ref{key}$ref{token}']\nkeys: [k]")
    places = [(problem.holder_id, problem.path) for problem in compiled(region).problems]
    assert len(places) == len(set(places)) == 2


def test_a_rule_that_only_narrows_tells_nothing_of_its_own(region: Region) -> None:
    region.rule("key-auth", "consumers: [{name: a, credential: '$ref{key}'}]\nkeys: [k]")
    region.rule("key-auth", "allow: [a]", service="chat")
    region.key("key")
    assert {problem.holder_id for problem in compiled(region).problems} == {rule_of(region, "key-auth").id}


@pytest.mark.parametrize("plugin", ["key-auth", "cors", "transformer", "rate-limit", "jwt-auth"])
def test_a_text_that_no_longer_passes_closes_its_routes_and_no_others(region: Region, plugin: str) -> None:
    region.rule(plugin, "nonsense: true", service="chat")
    assert route(region).direct_response.status == 503
    assert route(region, "notes").HasField("route")
    region.rules.clear()
    region.rule(plugin, "nonsense: true")
    region.rule(plugin, CATALOGUE["cors"].example if plugin == "cors" else "other: nonsense", service="chat")
    assert route(region, "notes").direct_response.status == 503
    assert snapshot(region)


def test_a_reference_of_which_nothing_is_known_closes_its_routes(region: Region) -> None:
    region.rule("key-auth", KEYS, service="chat")
    (instance,) = region.inventory.instances
    services = tuple(replace(one, rules=tuple(replace(rule, keys=()) for rule in one.rules)) for one in instance.services)
    torn_apart = replace(region.inventory, instances=(replace(instance, services=services),))
    (made,) = compile_region(torn_apart, region.values, Memo()).values()
    table = RouteConfiguration.FromString(made.resources[ROUTE][ROUTES].value)
    assert [found.direct_response.status for found in table.virtual_hosts[0].routes if found.name.startswith("ai/")] == [503, 0]


def test_what_no_route_uses_is_not_sent(region: Region) -> None:
    """A node acknowledges what it asked for, and it asks for what is used."""
    region.rule("ext-auth", ASKS)
    region.rule("transformer", SENDS)
    for service in ("chat", "notes"):
        region.rule("ext-auth", "http_service: {endpoint: {address: 'http://b.example'}}", service=service)
        region.rule("transformer", "respRules: [{operate: remove, headers: [{key: x}]}]", service=service)
    assert TOKEN.encode() not in secrets(region).values()
    assert len([name for name in compiled(region).resources[CLUSTER] if name.startswith("plugin/")]) == 2


# The check before publishing


def torn(region: Region, change: Message) -> Snapshot:
    """The compiled region with its routes changed."""
    resources = compiled(region).resources
    table = RouteConfiguration.FromString(resources[ROUTE][ROUTES].value)
    for found in table.virtual_hosts[0].routes:
        change(found)
    return Snapshot.of({**resources, ROUTE: {ROUTES: packed(table)}}, b"key")


def rewritten(found: Route, place: str, change: Message) -> None:
    if place in found.typed_per_filter_config:
        config = FilterChainConfigPerRoute()
        config.filter_chain.filters.extend(filters_of(found.typed_per_filter_config[place]))
        change(config.filter_chain.filters)
        found.typed_per_filter_config[place].CopyFrom(packed(config))


def accepting(filters: list[TypedExtensionConfig]) -> Iterator[tuple[TypedExtensionConfig, ApiKeyAuth]]:
    for one in filters:
        if one.typed_config.Is(ApiKeyAuth.DESCRIPTOR):
            yield one, ApiKeyAuth.FromString(one.typed_config.value)


def test_equal_keys_in_a_plugins_list_are_not_published(region: Region) -> None:
    region.rule("key-auth", KEYS)

    def twice(filters: list[TypedExtensionConfig]) -> None:
        for one, own in accepting(filters):
            own.credentials.add(client="other/0~0", key=KEY)
            one.typed_config.Pack(own)

    with pytest.raises(SnapshotRefused, match="are equal") as refused:
        torn(region, lambda found: rewritten(found, ENTRY_PLUGINS, twice)).check()
    assert KEY not in str(refused.value)


def keep_header(found: Route) -> None:
    if "apikey" in found.request_headers_to_remove:
        found.request_headers_to_remove.remove("apikey")


def keep_parameter(found: Route) -> None:
    found.typed_per_filter_config.pop(CUT_PARAMETERS, None)


@pytest.mark.parametrize("change", [keep_header, keep_parameter])
def test_a_route_that_would_send_on_what_a_plugin_looked_at_is_not_published(region: Region, change: Message) -> None:
    region.rule("key-auth", KEYS)
    with pytest.raises(SnapshotRefused, match="would send callers' keys on"):
        torn(region, change).check()


def test_the_last_chain_counts_as_taking_away_and_only_as_long_as_it_begins_with_that(region: Region) -> None:
    region.rule("key-auth", KEYS)
    region.rule("transformer", SENDS)
    assert "apikey" not in route(region).request_headers_to_remove
    snapshot(region)
    with pytest.raises(SnapshotRefused, match="would send callers' keys on"):
        torn(region, lambda found: rewritten(found, LAST_PLUGINS, lambda filters: filters.pop(0))).check()


def test_secrets_and_clusters_that_plugins_use_have_to_be_there(region: Region) -> None:
    region.rule("transformer", SENDS)
    region.rule("ext-auth", ASKS)
    resources = compiled(region).resources
    Snapshot.of(resources, b"key").check()
    for kind, gone in ((SECRET, f"{key_id('token')}/"), (CLUSTER, next(name for name in resources[CLUSTER] if name.startswith("plugin/")))):
        without = {name: body for name, body in resources[kind].items() if name != gone}
        with pytest.raises(SnapshotRefused, match="does not exist"):
            Snapshot.of({**resources, kind: without}, b"key").check()
