"""Changes while calls are under way: what is sent, and that none of them costs a call."""

from itertools import pairwise

import httpx
import pytest

from gateway.snapshot import Snapshot
from gateway.type_urls import EXTENSION, SECRET
from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.load import calling
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region
from tests.processes import eventually

pytestmark = pytest.mark.envoy

ALICE = "alice-key-0123456789"


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    region.key("alice", ALICE)
    region.key("provider", "sk-0")
    region.consumer("alice", "alice")
    region.service("chat", backend.port, "provider", authorized=("alice",))
    return region


def changed_kinds(old: Snapshot, new: Snapshot) -> set[str]:
    return {kind for kind in {*old, *new} if old[kind] is not new[kind]}


def test_rotating_a_providers_key_changes_only_secrets_and_loses_no_call(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    before = plane.publish(region)
    backend.accepts = {"Bearer sk-0"}
    with calling(gateway.url, "/ai/chat/models", ALICE) as load:
        for number in range(1, 21):
            # The provider takes both for a moment, as during a real rotation.
            backend.accepts = {f"Bearer sk-{number - 1}", f"Bearer sk-{number}"}
            region.key("provider", f"sk-{number}")
            after = plane.publish(region)
            assert changed_kinds(before, after) == {SECRET}
            calls = load.calls
            eventually(lambda: backend.last_authorization == f"Bearer sk-{number}", within=2)  # noqa: B023
            eventually(lambda: load.calls >= calls + 8)  # noqa: B023
            before = after
    assert set(load.outcomes) == {"200"}
    assert load.calls > 100


def test_rotating_a_consumers_key_changes_only_the_list_of_credentials_and_loses_no_call(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    before = plane.publish(region)
    keys = [ALICE, *(f"alice-key-{number:010}" for number in range(8))]
    for old, new in pairwise(keys):
        region.key("alice", new, old)
        with calling(gateway.url, "/ai/chat/models", old) as load:
            after = plane.publish(region)
            eventually(lambda: load.calls > 10)
        assert changed_kinds(before, after) == {EXTENSION}
        assert set(load.outcomes) == {"200"}
        assert gateway.status("/ai/chat/models", new) == 200
        region.key("alice", new)
        before = plane.publish(region)
        assert gateway.status("/ai/chat/models", old) == 401


def test_a_stream_that_is_open_survives_every_kind_of_change(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    plane.publish(region)
    backend.gap.clear()
    body = {"model": "m", "messages": [], "stream": True}
    headers = {"authorization": f"Bearer {ALICE}"}
    with httpx.stream("POST", f"{gateway.url}/ai/chat/chat/completions", json=body, headers=headers, timeout=20) as answer:
        lines = answer.iter_lines()
        assert "one" in next(lines)
        region.key("provider", "sk-new")
        plane.publish(region)
        region.key("alice", "alice-new-0123456789")
        plane.publish(region)
        region.key("bob", "bobby-key-0123456789")
        region.consumer("bob", "bob")
        region.service("notes", backend.port, "bob", authorized=("bob",))
        plane.publish(region)
        region.change("chat", host="localhost", path="/v2", authorized=())
        plane.publish(region)
        del region.services["chat"]
        plane.publish(region)
        assert gateway.status("/ai/chat/models", ALICE) == 404
        backend.gap.set()
        rest = "".join(lines)
    assert "two" in rest
    assert "three" in rest
    assert "[DONE]" in rest


def test_services_that_come_change_and_go_cost_their_neighbours_no_call(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    plane.publish(region)
    with calling(gateway.url, "/ai/chat/models", ALICE) as load:
        for number in range(10):
            region.service(f"extra-{number}", backend.port, "provider", authorized=("alice",), host="localhost")
            plane.publish(region)
            assert gateway.status(f"/ai/extra-{number}/models", ALICE) == 200
        for number in range(10):
            region.change(f"extra-{number}", path="/v2", header="api-key", prefix="")
            plane.publish(region)
            assert gateway.status(f"/ai/extra-{number}/models", ALICE) == 200
            del region.services[f"extra-{number}"]
            plane.publish(region)
            assert gateway.status(f"/ai/extra-{number}/models", ALICE) == 404
    assert set(load.outcomes) == {"200"}


def test_a_service_whose_keys_are_exchanged_added_and_taken_away_under_load_loses_no_call(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    """A new key means a new cluster, which must be warm before the first call is sent there."""
    region.key("second", "sk-second")
    region.change("chat", host="localhost")
    plane.publish(region)
    with calling(gateway.url, "/ai/chat/models", ALICE) as load:
        for _ in range(8):
            for keys in (("second",), ("second", "provider"), ("provider", "second"), ("provider",)):
                region.service("chat", backend.port, *keys, authorized=("alice",), host="localhost")
                plane.publish(region)
    assert set(load.outcomes) == {"200"}
    assert {seen.header("authorization") for seen in backend.seen} == {"Bearer sk-0", "Bearer sk-second"}


def test_taking_an_authorisation_away_ends_it_at_once(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    plane.publish(region)
    assert gateway.status("/ai/chat/models", ALICE) == 200
    region.change("chat", authorized=())
    plane.publish(region)
    assert gateway.status("/ai/chat/models", ALICE) == 403


def test_a_back_end_whose_name_never_resolves_does_not_hold_up_a_revocation(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.key("bob", "bobby-key-0123456789")
    region.consumer("bob", "bob")
    region.change("chat", authorized=("alice", "bob"))
    plane.publish(region)
    assert gateway.status("/ai/chat/models", ALICE) == 200
    region.service("dead", 443, "provider", authorized=("alice",), host="no-such-host.invalid", scheme="https")
    region.change("chat", authorized=("bob",))
    plane.publish(region, wait=False)
    eventually(lambda: gateway.status("/ai/chat/models", ALICE) == 403, within=3)
    assert gateway.status("/ai/chat/models", "bobby-key-0123456789") == 200
