"""Rules that come, change and go while calls are under way, and every trace that their values could leave."""

import base64
import json
from collections.abc import Callable

import httpx
import pytest

from gateway.inventory import Script
from gateway.plugins import CATALOGUE
from gateway.type_urls import CLUSTER, EXTENSION, LISTENER, ROUTE, SECRET
from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.load import calling
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region
from tests.dataplane.test_leaks import found
from tests.dataplane.test_plugins_callers import consumer
from tests.keys_of_tokens import ec_key, key_set
from tests.processes import eventually
from tests.unit.gateway.test_jwks import USABLE

pytestmark = pytest.mark.envoy

ALICE = "alice-key-0123456789"
CANARIES = [f"canary-{word}-0123456789" for word in ("key", "old", "pass", "sent", "query", "judge", "lua", "typo")]
KEY, OLD, PASS, SENT, QUERY, JUDGE, LUA, TYPO = CANARIES

SCHEMA = json.dumps({"type": "object", "properties": {"token": {"type": "string", "x-secret": True}, "n": {"type": "integer"}}})
SCRIPT = Script("function envoy_on_request(h, c) h:headers():replace('x-lua', c.token) end", SCHEMA, "default", 1)

# Two texts of each plugin: as it is installed, and as it is edited afterwards. None of them turns away who calls here.
TEXTS: dict[str, tuple[str, str]] = {
    "key-auth": ("credentials: ['$ref{key}']\nkeys: [apikey]", "consumers: [{name: a, credential: '$ref{key}'}]\nkeys: [apikey, x-k]"),
    "basic-auth": ("consumers: [{name: a, credential: 'al:$ref{pass}'}]", "consumers: [{name: b, credential: 'al:$ref{pass}'}]"),
    "jwt-auth": ("consumers:\n" + consumer("a", key_set(ec_key())), "consumers:\n" + consumer("b", key_set(ec_key()))),
    "ip-restriction": ("allow: [127.0.0.1]", "deny: [10.0.0.0/8]"),
    "cors": ("allow_origins: ['https://a.example']", "allow_origins: ['*']"),
    "rate-limit": ("global_threshold: {query_per_second: 100000}", "global_threshold: {query_per_second: 200000}"),
    "transformer": (
        "reqRules: [{operate: add, headers: [{key: x-sent, value: 'T $ref{sent}'}], querys: [{key: q, value: '$ref{query}'}]}]",
        "respRules: [{operate: add, headers: [{key: x-y, value: y}]}]",
    ),
    "ext-auth": (
        "http_service: {endpoint: {address: 'http://127.0.0.1:PORT/'}, authorization_request: {headers_to_add: {x-j: '$ref{judge}'}}}",
        "http_service: {endpoint: {address: 'http://localhost:PORT/x'}}",
    ),
    "lua": ("token: $ref{lua}\nn: 1", "token: K $ref{lua}\nn: 2"),
}


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    """Chat has an open door, other is where rules may turn callers away."""
    for name, value in (("pass", PASS), ("sent", SENT), ("query", QUERY), ("judge", JUDGE), ("lua", LUA), ("alice", ALICE)):
        region.key(name, value)
    region.key("key", KEY, OLD)
    region.key("provider", "sk-0")
    region.consumer("alice", "alice")
    region.service("chat", backend.port, "provider", authorized=("alice",))
    region.service("other", backend.port, "provider", consumer_authentication=False)
    return region


def put(region: Region, backend: Backend, plugin: str, version: int, service: str = "") -> None:
    text = TEXTS[plugin][version].replace("PORT", str(backend.port))
    region.rule(plugin, text, service=service, script=SCRIPT if plugin == "lua" else None)


def test_every_plugin_of_the_catalogue_is_looked_at_here() -> None:
    assert TEXTS.keys() == CATALOGUE.keys() | {"lua"}


def test_a_stream_that_is_open_survives_every_plugin_that_comes_changes_and_goes(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    """Also one that would not have let it in."""
    before = plane.publish(region)
    backend.gap.clear()
    body = {"model": "m", "messages": [], "stream": True}
    headers = {"authorization": f"Bearer {ALICE}"}
    with httpx.stream("POST", f"{gateway.url}/ai/chat/chat/completions", json=body, headers=headers, timeout=60) as answer:
        lines = answer.iter_lines()
        assert "one" in next(lines)
        for plugin in TEXTS:
            for version in (0, 1):
                put(region, backend, plugin, version)
                assert plane.publish(region)[LISTENER] is before[LISTENER], plugin
        region.rules.clear()
        after = plane.publish(region)
        backend.gap.set()
        rest = "".join(lines)
    assert "three" in rest
    assert "[DONE]" in rest
    assert after[LISTENER] is before[LISTENER]


@pytest.mark.parametrize("plugin", TEXTS)
def test_a_plugin_that_comes_changes_and_goes_costs_no_call_elsewhere(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, plugin: str
) -> None:
    plane.publish(region)
    with calling(gateway.url, "/ai/chat/models", ALICE) as load:
        for version in (0, 1, 0):
            put(region, backend, plugin, version, "other")
            plane.publish(region)
        region.rules.clear()
        plane.publish(region)
        eventually(lambda: load.calls > 10)
    assert set(load.outcomes) == {"200"}
    assert not plane.notes.refusals


@pytest.mark.parametrize("plugin", ["ip-restriction", "cors", "rate-limit", "transformer", "lua"])
def test_one_that_lets_everybody_in_costs_no_call_of_its_own_service_either(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, plugin: str
) -> None:
    """Secrets and clusters that it brings along are there before the first call meets them."""
    plane.publish(region)
    with calling(gateway.url, "/ai/chat/models", ALICE, each_second=400) as load:
        for _ in range(4):
            for version in (0, 1):
                put(region, backend, plugin, version, "chat")
                plane.publish(region)
            region.rules.clear()
            plane.publish(region)
        eventually(lambda: load.calls > 20)
    assert set(load.outcomes) == {"200"}


def test_the_service_that_ext_auth_asks_is_there_before_the_first_call_that_needs_it(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    """Only that: when it changes or goes, Envoy ends the questions under way, and who waits for an answer is turned away."""
    plane.publish(region)
    with calling(gateway.url, "/ai/chat/models", ALICE, each_second=400) as load:
        put(region, backend, "ext-auth", 1, "chat")
        plane.publish(region)
        eventually(lambda: load.calls > 20)
    assert set(load.outcomes) == {"200"}
    assert any(seen.target == "/x/ai/chat/models" for seen in backend.seen)


def test_a_rotation_of_a_sent_value_costs_no_call(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    put(region, backend, "transformer", 0, "chat")
    put(region, backend, "ext-auth", 0, "chat")
    put(region, backend, "lua", 0, "chat")
    before = plane.publish(region)
    with calling(gateway.url, "/ai/chat/models", ALICE) as load:
        for number in range(10):
            for name in ("sent", "query", "judge", "lua"):
                region.key(name, f"{name}-value-{number:010}")
            after = plane.publish(region)
            assert {kind for kind in after if after[kind] is not before[kind]} == {SECRET}
            before = after
    assert set(load.outcomes) == {"200"}


def test_no_value_of_any_plugin_stands_in_a_dump_statistics_or_logs(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    for plugin in TEXTS:
        if plugin != "jwt-auth":
            put(region, backend, plugin, 0, "other")
    basic = base64.b64encode(f"al:{PASS}".encode()).decode()
    plane.publish(region)
    assert gateway.status("/ai/other/a", authorization=f"Basic {basic}", apikey=KEY) == 200
    assert gateway.status(f"/ai/other/b?apikey={OLD}", authorization=f"Basic {basic}") == 200
    assert backend.last.header("x-sent") == f"T {SENT}"
    assert backend.last.header("x-lua") == LUA
    assert backend.last.target == f"/v1/b?q={QUERY}"
    assert not any(backend.last.holds(value) for value in (KEY, OLD, PASS, basic))
    assert any(seen.holds(JUDGE) for seen in backend.seen)
    for wrong in (f"Basic {base64.b64encode(f'al:{TYPO}'.encode()).decode()}", TYPO):
        assert gateway.status("/ai/other/c", authorization=wrong, apikey=TYPO) == 401
    region.key("key", "canary-key-0123456789-new", KEY)
    region.key("sent", "canary-sent-0123456789-new")
    plane.publish(region)
    assert gateway.status("/ai/other/d", authorization=f"Basic {basic}", apikey=KEY) == 200
    eventually(lambda: "/v1/d" in gateway.access_log)
    seen = gateway.everything()
    assert "latchkey.plugins.entry" in seen  # it did look at something
    assert found(seen, *CANARIES, basic) == []


def test_what_a_node_holds_of_a_rule_goes_with_it(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    before = plane.publish(region)
    for plugin in TEXTS:
        put(region, backend, plugin, 0, "other")
    during = plane.publish(region)
    assert all(before[kind] is not during[kind] for kind in (SECRET, CLUSTER, EXTENSION, ROUTE))
    region.rules.clear()
    after = plane.publish(region)
    for kind in (SECRET, CLUSTER, EXTENSION, ROUTE):
        assert {name: one.version for name, one in after[kind].items()} == {name: one.version for name, one in before[kind].items()}


# Whatever passes the schema has to pass Envoy: one refused route would hold up all others of the instance.

LONG = "x" * 4000
HOSTILE: dict[str, list[str]] = {
    "key-auth": [
        "credentials: ['$ref{key}']\nkeys: [" + ", ".join(f"k{number}" for number in range(16)) + ']\nrealm: "it\'s %REQ(x)% 100%"',
        "credentials: ['" + LONG + "$ref{key}']\nkeys: [a.b_c-d]\nin_query: false",
        "consumers: [{name: '" + "n" * 128 + "', credential: '%$ref{key}%'}, {name: 'a@b.c-_', credential: '\"$ref{pass}'}]\nkeys: [k]",
    ],
    "basic-auth": ["consumers: [{name: a, credential: '" + LONG + ":$ref{pass}'}, {name: b, credential: 'ü\\:$ref{key}'}]"],
    "jwt-auth": [
        *(f"consumers: [{{name: a, issuer: i, jwks: '{key_set(key)}'}}]" for key in USABLE),
        "consumers: [" + ", ".join(f"{{name: n{number}, issuer: i, jwks: '{key_set(ec_key())}'}}" for number in range(20)) + "]",
        f"consumers: [{{name: a, issuer: '%', jwks: '{key_set(ec_key())}', claims_to_headers: [{{claim: 'a.b.%', header: X-A}}],"
        " from_headers: [{name: X-T, value_prefix: ' % '}], from_params: [a], from_cookies: [b], clock_skew_seconds: 0}]",
    ],
    "ip-restriction": ["allow: ['::/0', '0.0.0.0/0', '::ffff:10.0.0.0/104', fe80::1]", "deny: ['255.255.255.255']"],
    "cors": [
        "allow_origins: ['http://[::1]:8080', 'https://xn--nxasmq6b', 'null', 'app://x']\nallow_origin_patterns: ['*', '[*]:1', 'a..b-_']",
        "allow_origins: ['*']\nallow_methods: ['*']\nallow_headers: []\nexpose_headers: ['*', \"!#$&'+.^_`|~\"]\nmax_age: 0",
    ],
    "rate-limit": [
        "global_threshold: {query_per_second: 1000000}",
        "limit_by_header: a.b_c-d\nlimit_keys: ["
        + ", ".join(f"{{key: '{key}', query_per_day: 1}}" for key in ("(", "\\\\", "[^", "a|b", " ", "%", "é", "x" * 256))
        + "]\nglobal_threshold: {query_per_minute: 1}",
    ],
    "transformer": [
        "reqRules: [{operate: append, headers: [{key: '!#$%&*+-.^_|~', appendValue: '%REQ(x)% " + LONG[:3000] + "'}]}]",
        "reqRules: [{operate: rename, headers: [{oldKey: X-A, newKey: x-a}]}, {operate: map, querys: [{fromKey: a, toKey: a}]}]",
        "reqRules: [{operate: add, headers: [{key: x, value: ''}], querys: [{key: '.~', value: ''}]}]",
    ],
    "ext-auth": [
        "http_service: {endpoint: {address: 'https://[::1]/a%b'}}".replace("%", ""),
        "http_service: {endpoint: {address: 'http://a.example'}, timeout: 1, authorization_request: {allowed_headers: [Authorization],"
        " headers_to_add: {'!#$%&*+-.^_|~': '%REQ(x)% %%', x-k: '%$ref{key}'}},"
        " authorization_response: {allowed_upstream_headers: [Authorization, x-a], allowed_client_headers: ['*']}}\nstatus_on_error: 504",
    ],
    "lua": ["token: '%$ref{lua}\"'\nn: -999999999999999999", "{}"],
}


@pytest.mark.parametrize(("plugin", "text"), [(plugin, text) for plugin, texts in HOSTILE.items() for text in texts])
def test_what_passes_the_schema_passes_envoy(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, plugin: str, text: str, passes: Callable[[str, str], bool]
) -> None:
    assert plugin == "lua" or passes(plugin, text)
    region.rule(plugin, text, script=SCRIPT if plugin == "lua" else None)
    plane.publish(region)
    assert not plane.notes.refusals
    assert gateway.status("/ai/none/a") == 404


@pytest.fixture
def passes() -> Callable[[str, str], bool]:
    from gateway.plugins.examine import examine

    def check(plugin: str, text: str) -> bool:
        _document, faults = examine(CATALOGUE[plugin], text, "instance")
        assert not faults, [str(fault) for fault in faults]
        return True

    return check
