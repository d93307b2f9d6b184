"""A service whose address leads back to its own gateway. Names are checked when it is saved; what they mean may change afterwards."""

import secrets
from collections.abc import Iterator

import pytest

from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway, running_gateway
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region
from tests.processes import eventually

pytestmark = pytest.mark.envoy

ALICE, PROVIDER = "alice-key-0123456789", "sk-provider-0123456789"


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    region.key("alice", ALICE)
    region.key("provider", PROVIDER)
    region.consumer("alice", "alice")
    region.service("chat", backend.port, "provider", authorized=("alice",))
    return region


@pytest.fixture(scope="module")
def other(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Node 2, of another instance."""
    token = secrets.token_urlsafe(32)
    plane.join(2, token)
    plane.publish(Region(ref="gw-other"), node=2, wait=False)
    with running_gateway(tmp_path_factory.mktemp("other"), "node-2", plane.port, token) as gateway:
        gateway.wait_until_ready()
        yield gateway


def port_of(gateway: Gateway) -> int:
    return gateway.addresses()[0][1]


def calls(gateway: Gateway) -> int:
    return gateway.stat("http.gateway.downstream_rq_total")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_call_that_comes_back_is_answered_at_its_second_passage(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, host: str
) -> None:
    plane.publish(region)
    region.service("echo", port_of(gateway), "provider", authorized=("alice",), host=host, path="/ai/echo", consumer_authentication=False)
    plane.publish(region)
    before = calls(gateway)
    answer = gateway.get("/ai/echo/models", ALICE)
    assert (answer.status_code, answer.json()["error"]["code"]) == (508, "loop_detected")
    assert calls(gateway) - before <= 2
    assert gateway.status("/ai/chat/models", ALICE) == 200


def test_a_call_that_comes_back_by_way_of_another_gateway_is_noticed_too(
    plane: Plane, gateway: Gateway, other: Gateway, backend: Backend, region: Region
) -> None:
    back = Region(ref="gw-other")
    back.service("back", port_of(gateway), path="/ai/there", consumer_authentication=False)
    plane.publish(back, node=2)
    region.service("there", port_of(other), path="/ai/back", consumer_authentication=False)
    plane.publish(region)
    before = calls(gateway) + calls(other)
    assert gateway.status("/ai/there/models") == 508
    assert calls(gateway) + calls(other) - before <= 3


def test_a_gateway_may_stand_behind_another(plane: Plane, gateway: Gateway, other: Gateway, backend: Backend, region: Region) -> None:
    further = Region(ref="gw-other")
    further.service("further", backend.port, consumer_authentication=False)
    plane.publish(further, node=2)
    region.service("there", port_of(other), path="/ai/further", consumer_authentication=False)
    plane.publish(region)
    assert gateway.status("/ai/there/models") == 200
    assert marks(backend) == ["latchkey-gw-test", "latchkey-gw-other"]


def test_marks_of_others_are_kept_and_a_mark_among_them_is_found(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    """CDN-Loop is for every intermediary (RFC 8586): none may drop what another put there."""
    plane.publish(region)
    call = ("GET /ai/chat/models HTTP/1.1", f"authorization: Bearer {ALICE}")
    assert gateway.send(*call, "cdn-loop: cloudflare; loops=1, fastly", "cdn-loop: latchkey-gw-elsewhere")[0] == 200
    assert marks(backend) == ["cloudflare; loops=1", "fastly", "latchkey-gw-elsewhere", "latchkey-gw-test"]
    for loop in (["CDN-Loop: a, latchkey-gw-test; x=1"], ["cdn-loop: a", "cdn-loop: latchkey-gw-test", "cdn-loop: b"]):
        assert gateway.send(*call, *loop)[0] == 508
    assert len(backend.seen) == 1


def marks(backend: Backend) -> list[str]:
    return [mark.strip() for name, value in backend.last.headers if name.lower() == "cdn-loop" for mark in value.split(",")]


def test_the_log_says_which_route_went_round(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    plane.publish(region)
    assert gateway.send("GET /ai/chat/round HTTP/1.1", "cdn-loop: latchkey-gw-test")[0] == 508
    eventually(lambda: [call for call in gateway.calls if call.get("path") == "/ai/chat/round" and call.get("route") == "loop"])
