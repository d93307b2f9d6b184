"""A node says no: what is kept of that, and what goes on working."""

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.filters.http.api_key_auth.v3.api_key_auth_pb2 import ApiKeyAuth, Credential, Forwarding, KeySource

from gateway.compile.wire import packed, seconds
from gateway.names import KEY_AUTH
from gateway.snapshot import Snapshot, SnapshotRefused
from gateway.type_urls import CLUSTER, EXTENSION
from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.plane import VERSION_KEY, Plane
from tests.dataplane.region import Region
from tests.processes import eventually

pytestmark = pytest.mark.envoy

ALICE = "alice-key-0123456789"


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    region.key("alice", ALICE)
    region.key("provider", "sk-provider-0123456789")
    region.consumer("alice", "alice")
    region.service("chat", backend.port, "provider", authorized=("alice",))
    return region


def with_credentials(snapshot: Snapshot, *credentials: tuple[str, str]) -> Snapshot:
    """What compiling never makes and the check never lets through."""
    auth = ApiKeyAuth(
        credentials=[Credential(client=client, key=key) for client, key in credentials],
        key_sources=[KeySource(header="authorization")],
        forwarding=Forwarding(header="x", hide_credentials=True),
    )
    extension = packed(TypedExtensionConfig(name=KEY_AUTH, typed_config=packed(auth)))
    return snapshot | Snapshot.of({EXTENSION: {KEY_AUTH: extension}}, VERSION_KEY)


def test_nothing_of_envoys_words_about_a_duplicate_key_is_kept(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    plane.publish(region)
    canary = "canary-duplicate-0123456789"
    bad = with_credentials(plane.snapshots[1], ("a/0~0", canary), ("b/0~0", canary))
    with pytest.raises(SnapshotRefused, match=r"a/0~0 and b/0~0 are equal") as refused:
        bad.check()
    assert canary not in str(refused.value)
    plane.notes.refusals.clear()
    plane.put(bad)
    (refusal,) = eventually(lambda: list(plane.notes.refusals))
    assert (refusal.kind, refusal.name, refusal.reason) == ("ECDS", KEY_AUTH, "Two consumers have equal keys.")
    assert canary not in f"{refusal} {refusal!r}"
    # The last good list stays, and the refused one is not sent again and again.
    assert gateway.status("/ai/chat/models", ALICE) == 200
    rejected = gateway.stat("update_rejected")
    region.key("provider", "sk-another-0123456789")
    plane.publish(region)
    assert gateway.stat("update_rejected") == rejected
    assert len(plane.notes.refusals) == 1
    assert canary not in gateway.everything()


def test_after_a_refused_list_the_good_one_is_sent_again(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    """Envoy keeps the refused one at hand and would start its next listener with it."""
    plane.publish(region)
    plane.notes.refusals.clear()
    plane.put(with_credentials(plane.snapshots[1], ("a/0~0", "equal-0123456789"), ("b/0~0", "equal-0123456789")))
    eventually(lambda: plane.notes.refusals)
    plane.publish(region)
    plane.publish(region, host="127.0.0.2")
    assert len(plane.notes.refusals) == 1
    assert "127.0.0.2" in gateway.url
    assert gateway.status("/ai/chat/models", ALICE) == 200


def test_one_bad_cluster_among_many_is_found_and_the_others_take_effect(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    for number in range(30):
        region.service(f"s{number}", backend.port, "provider", authorized=("alice",))
    good = plane.publish(region, wait=False)
    bad = packed(Cluster(name="ai/s7/0", connect_timeout=seconds(0), type=Cluster.STATIC))
    clusters = {name: resource.body for name, resource in good[CLUSTER].items()}
    plane.notes.refusals.clear()
    plane.put(good | Snapshot.of({CLUSTER: {**clusters, "ai/s7/0": bad, "ai/new/0": bad}}, VERSION_KEY))
    eventually(lambda: len(plane.notes.refusals) == 2)
    assert {(refusal.kind, refusal.name) for refusal in plane.notes.refusals} == {("CDS", "ai/s7/0"), ("CDS", "ai/new/0")}
    assert {refusal.reason for refusal in plane.notes.refusals} == {"A field has a value that Envoy does not take."}
    for number in range(30):
        assert gateway.status(f"/ai/s{number}/models", ALICE) == 200
    plane.publish(region)


def test_a_port_that_is_taken_is_said_plainly(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    plane.notes.refusals.clear()
    plane.publish(region, port=backend.port, wait=False)
    (refusal,) = eventually(lambda: list(plane.notes.refusals))
    assert (refusal.kind, refusal.reason) == ("LDS", "Another program listens on the gateway's port.")
    plane.publish(region)
    assert gateway.status("/ai/chat/models", ALICE) == 200
