"""A key in the query is taken out of it, however it is written, and no other byte of anybody's query changes."""

import random
from urllib.parse import unquote

import pytest
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.lua.v3.lua_pb2 import LuaPerRoute

from gateway.compile.wire import packed
from gateway.names import CUT_PARAMETERS, ROUTES
from gateway.snapshot import Snapshot
from gateway.type_urls import ROUTE
from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.plane import VERSION_KEY, Plane
from tests.dataplane.region import Region, header, query
from tests.processes import eventually

pytestmark = pytest.mark.envoy

ALICE, QUENTIN, PROVIDER = "alice-key-0123456789", "quentin-key-0123456789", "sk-provider-0123456789"


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    """Alice shows her key in a header and quentin in the query; chat is for alice, both for the two of them, open for everybody."""
    for name, key in (("alice", ALICE), ("quentin", QUENTIN), ("provider", PROVIDER)):
        region.key(name, key)
    region.consumer("alice", "alice", sources=(header("x-team-key"),))
    region.consumer("quentin", "quentin", sources=(query("team_key"),))
    region.service("chat", backend.port, "provider", authorized=("alice",))
    region.service("both", backend.port, "provider", authorized=("alice", "quentin"))
    region.service("open", backend.port, "provider", consumer_authentication=False)
    return region


def call(gateway: Gateway, service: str, query: str, *headers: str) -> int:
    return gateway.send(f"GET /ai/{service}/x{query} HTTP/1.1", *headers)[0]


@pytest.mark.parametrize("service", ["chat", "both", "open"])
def test_every_escape_arrives_as_it_was_written(plane: Plane, gateway: Gateway, backend: Backend, region: Region, service: str) -> None:
    plane.publish(region)
    escapes = [form % byte for byte in range(256) for form in ("%%%02X", "%%%02x")]
    for escape in escapes:
        assert call(gateway, service, f"?a={escape}b=1&{escape}=2", f"x-team-key: {ALICE}") == 200, escape
        assert backend.last.target == f"/v1/x?a={escape}b=1&{escape}=2"


@pytest.mark.parametrize("service", ["chat", "both", "open"])
@pytest.mark.parametrize(
    "query",
    [
        "?",
        "??",
        "?&",
        "?a",
        "?a&&b=&=c&",
        "?=",
        "?a=1?b=2&?c",
        "?a=+&b=%20&c=%2B&d=%",
        "?a=%zz&b=%5&c=%%41",
        "?a=!$'()*,/:;@[]^_`{|}~\"<>\\-.",
        "?url=https%3A%2F%2Fexample.com%2F%3Fq%3D1%262&next=/a/../b//c",
        "?TEAM_KEY=1&Team_Key=2&xteam_key=3&team_key2=4&team+key=5&team%20key=6&team-key=7&team_key%00=8&team%255Fkey=9",
        "?a=team_key&b=%26team_key=1&c;team_key=2&%26team_key=3",
        "?" + "&".join(f"p{number}=v{number}" for number in range(2000)),
    ],
)
def test_what_holds_no_key_is_not_touched(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, service: str, query: str
) -> None:
    plane.publish(region)
    assert call(gateway, service, query, f"x-team-key: {ALICE}") == 200
    assert backend.last.target == f"/v1/x{query}"


@pytest.mark.parametrize("path", ["/v1", ""])
@pytest.mark.parametrize(
    ("query", "arrives"),
    [
        ("?team_key=KEY", ""),
        ("?team_key=KEY&", ""),
        ("?&team_key=KEY", ""),
        ("?team_key=KEY&a=%26&b=+1", "?a=%26&b=+1"),
        ("?a=%26&team_key=KEY&b=%20", "?a=%26&b=%20"),
        ("?a=1&team_key=KEY", "?a=1"),
        ("?a&&team_key=KEY&&b", "?a&&&b"),
        ("?team_key=KEY&team_key=KEY&a=1&team_key=&team_key&team_key=KEY", "?a=1"),
        ("?team%5Fkey=KEY&a=1", "?a=1"),
        ("?team%5fkey=KEY&a=1", "?a=1"),
        ("?%74%65%61%6D%5F%6b%65%79=KEY&a=1", "?a=1"),
        ("?team_key=KEY?a=1&b=2", "?b=2"),
        ("?team_key=KE%59", ""),
        ("?team_key==KEY&a=1", "?a=1"),
        ("?a=1&?team_key=2&team_key=KEY", "?a=1&?team_key=2"),
    ],
)
def test_a_key_is_cut_out_and_nothing_else(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, path: str, query: str, arrives: str
) -> None:
    for service in ("both", "open"):
        region.change(service, path=path)
    plane.publish(region)
    sent = query.replace("KEY", QUENTIN)
    assert call(gateway, "open", sent) == 200
    assert backend.last.target == f"{path}/x{arrives}"
    if call(gateway, "both", sent) == 200:
        assert backend.last.target == f"{path}/x{arrives}"
    assert not any(seen.holds(QUENTIN) for seen in backend.seen)


def test_a_key_in_any_spelling_that_is_accepted_never_arrives(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    """What is accepted is Envoy's to say, and what is cut is ours: here the two are compared on random queries, each with one key in it."""
    plane.publish(region)
    chance, accepted = random.Random(0), 0
    for _ in range(1000):
        pieces = [piece(chance, QUENTIN), *(piece(chance, "1") for _ in range(chance.randrange(4)))]
        chance.shuffle(pieces)
        sent = "?" + "&".join(pieces)
        seen = len(backend.seen)
        status = call(gateway, "both", sent)
        assert (status, len(backend.seen) - seen) in ((200, 1), (401, 0)), sent
        if status == 200:
            accepted += 1
            assert not backend.last.holds(QUENTIN), sent
            assert backend.last.target == "/v1/x" + cut(sent), sent
    assert accepted > 100


def piece(chance: random.Random, value: str) -> str:
    def spelled(text: str) -> str:
        return "".join(chance.choice((f"%{ord(c):02X}", f"%{ord(c):02x}")) if chance.random() < 0.2 else c for c in text)

    name = chance.choice((*["team_key"] * 4, "a", "Team_key", "team+key", "%team_key", "team_key%", "?team_key", "team_key%00", ""))
    return chance.choice((spelled(name), name)) + chance.choice(("=", "=", "=", "", "==")) + chance.choice((spelled(value), value))


def cut(sent: str) -> str:
    parts = sent[1:].split("&")
    kept = [part for part in parts if unquote(part.split("=")[0], "latin-1") != "team_key"]
    return sent if kept == parts else ("?" + "&".join(kept)).removesuffix("?")


def test_a_key_in_the_query_stands_in_no_log(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    plane.publish(region)
    for place, service in enumerate(("both", "open")):
        for spelling in ("team_key", "team%5Fkey", "a=1&team_key", "team_key=1&team_key"):
            call(gateway, service, f"{place}?{spelling}={QUENTIN}")
        assert call(gateway, service, f"-last-{place}?a=1&team_key={QUENTIN}") == 200
    eventually(lambda: "/v1/x-last-1" in gateway.access_log)
    assert "/v1/x-last-0" in gateway.access_log
    assert QUENTIN not in gateway.everything()


def test_a_filter_that_does_not_know_what_to_cut_forwards_nothing(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    snapshot = plane.publish(region)
    table = RouteConfiguration()
    snapshot[ROUTE][ROUTES].body.Unpack(table)
    for route in table.virtual_hosts[0].routes:
        if CUT_PARAMETERS in route.typed_per_filter_config:
            route.typed_per_filter_config[CUT_PARAMETERS].Pack(LuaPerRoute())
    plane.put(snapshot | Snapshot.of({ROUTE: {ROUTES: packed(table)}}, VERSION_KEY))
    plane.settle()
    for service in ("both", "open"):
        assert call(gateway, service, f"?team_key={QUENTIN}") == 500
    assert not backend.seen
