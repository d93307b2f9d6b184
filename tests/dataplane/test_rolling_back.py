"""An earlier version of a key back in force while calls are under way."""

import pytest

from tests import cast
from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.load import calling
from tests.dataplane.plane import Plane
from tests.dataplane.stored import Stored
from tests.processes import eventually

pytestmark = [pytest.mark.envoy, pytest.mark.django_db]

VALUES = [f"acme-value-{number}-0123456789" for number in range(1, 4)]
STEADY = "steady-key-0123456789"


def test_no_call_is_lost_and_the_log_tells_the_versions_apart(plane: Plane, gateway: Gateway, backend: Backend, db: None) -> None:
    region = cast.deployment()
    stored = Stored(region.pk)
    provider, acme = cast.key(region, "provider", "sk-1"), cast.key(region, "acme", VALUES[0])
    cast.consumer(region, "acme", bound_to=acme)
    cast.consumer(region, "steady", text=STEADY)
    chat = cast.service(cast.instance(region), "chat", keys=[provider], address=f"http://127.0.0.1:{backend.port}/v1")
    chat.authorize(["acme", "steady"], by=cast.SETUP)
    acme.rotate(cast.value(VALUES[1]), by=cast.SETUP)
    acme.rotate(cast.value(VALUES[2]), by=cast.SETUP)
    plane.publish(stored)
    with calling(gateway.url, "/ai/chat/models", STEADY, each_second=60, callers=2) as load:
        provider.rotate(cast.value("sk-2"), by=cast.SETUP)
        for number in (2, 1, 2, 1):
            if provider.version != number:
                provider.roll_back(number, by=cast.SETUP)
            plane.publish(stored)
            calls = load.calls
            eventually(lambda: load.calls > calls + 3)  # noqa: B023
            assert backend.last_authorization == f"Bearer sk-{number}"
        acme.roll_back(1, 24, by=cast.SETUP)
        plane.publish(stored)
        assert [gateway.status(f"/ai/chat/of-{n}", value) for n, value in enumerate(VALUES, 1)] == [200, 401, 200]
    assert set(load.outcomes) == {"200"}
    # Both odd: without care the two would have one name.
    assert {gateway.consumer_of("/v1/of-1"), gateway.consumer_of("/v1/of-3")} == {"acme/0~0", "acme/0~1"}
