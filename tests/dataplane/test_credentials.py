"""Several credentials of one consumer, and several places for them, on a running Envoy."""

import pytest

from gateway.sources import BEARER
from gateway.type_urls import EXTENSION
from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region, header
from tests.dataplane.test_changes import changed_kinds

pytestmark = pytest.mark.envoy

FIRST, SECOND, NEW = "the-first-0123456789", "the-second-0123456789", "the-new-0123456789"


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    region.key("first", FIRST)
    region.key("second", SECOND)
    region.key("provider", "sk-0")
    region.consumer("acme", "first", "second")
    region.service("chat", backend.port, "provider", authorized=("acme",))
    return region


def test_each_credential_opens_and_the_log_says_which_it_was(plane: Plane, gateway: Gateway, region: Region) -> None:
    plane.publish(region)
    for number, key in enumerate((FIRST, SECOND)):
        assert gateway.status(f"/ai/chat/{number}", key) == 200
        assert gateway.consumer_of(f"/v1/{number}") == f"acme/{number}~1"


def test_rotating_one_changes_the_list_alone_and_leaves_the_other_as_it_is(plane: Plane, gateway: Gateway, region: Region) -> None:
    before = plane.publish(region)
    region.key("second", NEW, SECOND)
    after = plane.publish(region)
    assert changed_kinds(before, after) == {EXTENSION}
    assert [gateway.status("/ai/chat/models", key) for key in (FIRST, SECOND, NEW)] == [200, 200, 200]
    region.key("second", NEW)
    plane.publish(region)
    assert [gateway.status("/ai/chat/models", key) for key in (FIRST, SECOND, NEW)] == [200, 401, 200]


def test_removing_one_ends_it_at_once_and_it_alone(plane: Plane, gateway: Gateway, region: Region) -> None:
    plane.publish(region)
    region.consumer("acme", "first")
    plane.publish(region)
    assert [gateway.status("/ai/chat/models", key) for key in (FIRST, SECOND)] == [200, 401]


def test_one_that_cannot_be_served_leaves_the_other_alone(plane: Plane, gateway: Gateway, region: Region) -> None:
    region.unreadable.add("second")
    plane.publish(region)
    assert [gateway.status("/ai/chat/models", key) for key in (FIRST, SECOND)] == [200, 401]


def test_up_to_three_places_hold_any_of_them_and_nothing_of_it_travels_on(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.consumer("acme", "first", "second", sources=(header("x-api-key"), header("x-team-key"), BEARER))
    plane.publish(region)
    for place in ({"x_api_key": FIRST}, {"x_team_key": SECOND}, {"key": SECOND}):
        assert gateway.status("/ai/chat/models", **place) == 200
        assert not backend.last.holds(FIRST)
        assert not backend.last.holds(SECOND)
    # The first that is present decides: what stands in a later one is not asked.
    assert gateway.status("/ai/chat/models", FIRST, x_team_key="something else") == 401
    # An SDK's own Authorization does not disturb one who shows the key elsewhere.
    assert gateway.status("/ai/chat/models", "unused-by-the-sdk", x_team_key=FIRST) == 200
