"""The control plane goes away and comes back, throws nodes out, and answers nobody it does not know."""

import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest

from gateway.type_urls import CLUSTER, ORDER, SECRET
from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway, running_gateway
from tests.dataplane.load import calling
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


def test_killed_and_restarted_under_load_it_loses_no_call_and_sends_nothing_twice(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    plane.publish(region)
    updates = gateway.stat("update_success")
    with calling(gateway.url, "/ai/chat/models", ALICE) as load:
        for _ in range(3):
            plane.stop()
            calls = load.calls
            eventually(lambda: load.calls > calls + 10)  # noqa: B023
            connects = plane.notes.connects
            plane.start()
            eventually(lambda: plane.notes.connects > connects)  # noqa: B023
            calls = load.calls
            eventually(lambda: load.calls > calls + 10)  # noqa: B023
    assert set(load.outcomes) == {"200"}
    assert updates <= gateway.stat("update_success") <= updates + 6  # an empty answer to each wildcard, and no resource


def test_after_an_outage_a_node_is_soon_back_and_gets_what_it_missed(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    plane.publish(region)
    plane.stop()
    failures = gateway.stat("cluster.xds.upstream_cx_connect_fail")
    # Envoy's own back-off grows to 30 s between attempts; ours stops at 2 s.
    eventually(lambda: gateway.stat("cluster.xds.upstream_cx_connect_fail") >= failures + 6, within=15)
    region.key("provider", "sk-while-away")
    plane.publish(region, wait=False)
    plane.start()
    eventually(lambda: gateway.status("/ai/chat/models", ALICE) == 200 and backend.last_authorization == "Bearer sk-while-away", within=4)


def test_a_gateway_that_starts_while_the_control_plane_is_down_refuses_connections_and_heals(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, tmp_path: Path
) -> None:
    plane.join(3, "token-three")
    plane.publish(region, node=3, wait=False)
    plane.stop()
    try:
        with running_gateway(tmp_path, "three", plane.port, "token-three") as three:
            eventually(lambda: (tmp_path / "admin.sock").exists())
            eventually(lambda: three.admin("/ready").strip() == "LIVE")
            assert three.addresses() == []
            assert not three.is_ready()
            plane.start()
            eventually(three.is_ready)
            assert three.status("/ai/chat/models", ALICE) == 200
    finally:
        plane.stop()
        plane.start()


def test_a_node_whose_right_is_taken_away_is_cut_off_and_sent_nothing_more(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, tmp_path: Path
) -> None:
    plane.join(4, "token-four")
    plane.publish(region, node=4, wait=False)
    with running_gateway(tmp_path, "four", plane.port, "token-four") as four:
        eventually(four.is_ready)
        plane.settle(4)
        gone = plane.tokens.known.pop("token-four")
        plane.drop(4)
        eventually(lambda: gone in plane.notes.gone)
        region.key("provider", "sk-not-for-four")
        plane.put(plane.publish(region), node=4)
        eventually(lambda: four.stat("control_plane.connected_state") == 0)
        # It goes on with what it has, as it would without a control plane; it learns nothing new.
        assert four.status("/ai/chat/models", ALICE) == 200
        assert backend.last_authorization == f"Bearer {PROVIDER}"


def test_a_token_can_be_exchanged_while_the_node_runs(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, tmp_path: Path
) -> None:
    plane.join(5, "token-five")
    plane.publish(region, node=5, wait=False)
    with running_gateway(tmp_path, "five", plane.port, "token-five") as five:
        eventually(five.is_ready)
        plane.tokens.known["token-five-b"] = plane.tokens.known.pop("token-five")
        five.node.write("token-five-b")
        connects = plane.notes.connects
        plane.drop(5)
        plane.put(plane.snapshots[5], node=5)
        eventually(lambda: plane.notes.connects > connects)
        region.key("provider", "sk-after-exchange")
        plane.publish(region, node=5)
        assert five.status("/ai/chat/models", ALICE) == 200
        assert backend.last_authorization == "Bearer sk-after-exchange"


# Every service of Envoy that hands out configuration, and each way of asking it.
_SERVICES = {
    "envoy.service.discovery.v3.AggregatedDiscoveryService": ("StreamAggregatedResources", "DeltaAggregatedResources"),
    "envoy.service.secret.v3.SecretDiscoveryService": ("StreamSecrets", "DeltaSecrets", "FetchSecrets"),
    "envoy.service.cluster.v3.ClusterDiscoveryService": ("StreamClusters", "DeltaClusters", "FetchClusters"),
    "envoy.service.endpoint.v3.EndpointDiscoveryService": ("StreamEndpoints", "DeltaEndpoints", "FetchEndpoints"),
    "envoy.service.listener.v3.ListenerDiscoveryService": ("StreamListeners", "DeltaListeners", "FetchListeners"),
    "envoy.service.route.v3.RouteDiscoveryService": ("StreamRoutes", "DeltaRoutes", "FetchRoutes"),
    "envoy.service.extension.v3.ExtensionConfigDiscoveryService": (
        "StreamExtensionConfigs",
        "DeltaExtensionConfigs",
        "FetchExtensionConfigs",
    ),
    "envoy.service.runtime.v3.RuntimeDiscoveryService": ("StreamRuntime", "DeltaRuntime", "FetchRuntime"),
    "envoy.service.status.v3.ClientStatusDiscoveryService": ("StreamClientStatus", "FetchClientStatus"),
    "grpc.reflection.v1.ServerReflection": ("ServerReflectionInfo",),
    "grpc.health.v1.Health": ("Check", "Watch"),
    "no.such.Service": ("Nothing",),
}
_METHODS = [f"/{service}/{method}" for service, methods in _SERVICES.items() for method in methods]
_ONLY = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


def ask(port: int, method: str, metadata: list[tuple[str, str]], request: bytes, *, unary: bool) -> tuple[grpc.StatusCode, list[bytes]]:
    """The status and everything that came before it."""
    got: list[bytes] = []
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            if unary:
                got.append(channel.unary_unary(method)(request, metadata=metadata, timeout=5))
            else:
                got.extend(channel.stream_stream(method)(iter([request]), metadata=metadata, timeout=5))
        except grpc.RpcError as refused:
            return refused.code(), got
    return grpc.StatusCode.OK, got


_REQUESTS = [
    DeltaDiscoveryRequest(type_url=SECRET, resource_names_subscribe=["*"]).SerializeToString(),
    DeltaDiscoveryRequest(type_url=CLUSTER).SerializeToString(),
    DiscoveryRequest(type_url=SECRET).SerializeToString(),
    b"",
    b"\xff\xff",
]


@pytest.mark.parametrize("method", _METHODS)
def test_without_a_nodes_token_every_call_of_every_kind_gets_nothing(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, method: str
) -> None:
    plane.publish(region)
    for metadata in ([], [("authorization", "Bearer ")], [("authorization", "Bearer wrong")], [("authorization", "token-node")]):
        for request in _REQUESTS:
            for unary in (True, False):
                assert ask(plane.port, method, metadata, request, unary=unary) == (grpc.StatusCode.UNAUTHENTICATED, [])


@pytest.mark.parametrize("method", [method for method in _METHODS if method != _ONLY])
def test_even_a_node_has_only_one_way_in(plane: Plane, gateway: Gateway, backend: Backend, region: Region, method: str) -> None:
    plane.join(6, "token-six")
    plane.publish(region, node=6, wait=False)
    for request in _REQUESTS:
        for unary in (True, False):
            status, got = ask(plane.port, method, [("authorization", "Bearer token-six")], request, unary=unary)
            assert (status, got) == (grpc.StatusCode.UNIMPLEMENTED, [])


def test_two_tokens_in_one_call_are_none(plane: Plane, gateway: Gateway) -> None:
    plane.join(6, "token-six")
    metadata = [("authorization", "Bearer token-six"), ("authorization", "Bearer wrong")]
    assert ask(plane.port, _ONLY, metadata, _REQUESTS[0], unary=False) == (grpc.StatusCode.UNAUTHENTICATED, [])


def test_a_node_gets_its_own_instances_secrets_whatever_it_says_it_is(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    """A secret of another instance looks the same as one that does not exist: an empty one. A wildcard for secrets gives nothing."""
    mine = plane.publish(region)
    theirs = Region()
    theirs.key("theirs", "sk-theirs-0123456789")
    theirs.service("chat", backend.port, "theirs")
    plane.join(7, "token-seven")
    foreign = plane.publish(theirs, node=7, wait=False)
    plane.join(8, "token-eight")
    plane.put(mine, node=8)
    (own_name,), (foreign_name,) = mine[SECRET], foreign[SECRET]

    def requests() -> Iterator[bytes]:
        for names in (["*"], [own_name, foreign_name, "no-such-secret"]):
            request = DeltaDiscoveryRequest(type_url=SECRET, resource_names_subscribe=names)
            request.node.id = "node-7"
            yield request.SerializeToString()
        done.wait(10)

    done = threading.Event()
    with grpc.insecure_channel(f"127.0.0.1:{plane.port}") as channel:
        call = channel.stream_stream(_ONLY, response_deserializer=DeltaDiscoveryResponse.FromString)
        answers = call(requests(), metadata=[("authorization", "Bearer token-eight")], timeout=10)
        found = {resource.name: resource.resource.value for resource in next(answers).resources}
        done.set()
    assert set(found) == {own_name, foreign_name, "no-such-secret"}
    assert PROVIDER.encode() in found[own_name]
    assert not any(b"sk-theirs" in value for value in found.values())
    assert len(found[foreign_name]) - len(foreign_name) == len(found["no-such-secret"]) - len("no-such-secret")


def test_kinds_it_does_not_have_are_left_unanswered(plane: Plane, gateway: Gateway) -> None:
    plane.join(9, "token-nine")
    plane.publish(Region(), node=9, wait=False)
    request = DeltaDiscoveryRequest(type_url="type.googleapis.com/envoy.service.runtime.v3.Runtime", resource_names_subscribe=["x"])
    assert request.type_url not in ORDER
    status, got = ask(plane.port, _ONLY, [("authorization", "Bearer token-nine")], request.SerializeToString(), unary=False)
    assert got == []
    assert status in (grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED)


def test_it_listens_on_loopback_only(plane: Plane) -> None:
    from gateway.xds.cache import Cache
    from gateway.xds.server import ControlPlane

    async def start(host: str, port: int) -> None:
        await ControlPlane(Cache(), plane.tokens, plane.notes).start(host, port)

    with pytest.raises(ValueError, match="loopback"):
        plane.run(start("0.0.0.0", 0))  # noqa: S104
    with pytest.raises(OSError, match="in use"):
        plane.run(start("127.0.0.1", plane.port))


def test_it_learns_which_envoy_a_node_runs(plane: Plane, gateway: Gateway) -> None:
    assert "1.40.0" in plane.notes.versions
