"""A sink outside the policy of a key, behind a real gateway: it receives nothing, also where every deed's check was got round."""

from collections.abc import Iterator

import pytest

from gateway.models import AiService, Instance, NewKeys, Service
from secrets_app.errors import Invalid
from secrets_app.models import Region
from secrets_app.models.policy import checked
from tests import cast
from tests.dataplane.backend import Backend, running_backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.plane import Plane
from tests.dataplane.stored import Stored

pytestmark = [pytest.mark.envoy, pytest.mark.django_db]

CALLER, BOUND, PARTNER = "caller-key-0123456789", "sk-bound-0123456789", "partner-0123456789"
ADDING = "reqRules:\n- operate: add\n  headers:\n  - key: x-partner\n    value: $ref{partner}\n"


@pytest.fixture
def sink() -> Iterator[Backend]:
    with running_backend() as sink:
        yield sink


@pytest.fixture
def region(db: None) -> Region:
    return cast.deployment()


def service(instance: Instance, name: str, port: int, keys: NewKeys, who: str = "olive") -> AiService:
    made = AiService.create(instance, name, "custom", "OpenAI/v1", f"http://127.0.0.1:{port}/v1", keys, by=cast.actor(who))
    made.authorize(["caller"], by=cast.SETUP)
    return made


def test_a_sink_outside_the_policy_receives_nothing(
    plane: Plane, gateway: Gateway, backend: Backend, sink: Backend, region: Region
) -> None:
    ours = [f"http://127.0.0.1:{backend.port}"]
    cast.key(region, "bound", BOUND, policy=checked(kinds=["ai_service"], hosts=ours))
    cast.key(region, "partner", PARTNER, policy=checked(kinds=["plugin"], hosts=ours))
    cast.consumer(region, "caller", text=CALLER)
    instance, bound, own = cast.instance(region), NewKeys("reference", key_names=["bound"]), NewKeys("custom", [cast.value()])
    good = service(instance, "good", backend.port, bound)
    with pytest.raises(Invalid, match="may not be sent to"):
        service(instance, "bad", sink.port, bound)
    bad = service(instance, "bad", backend.port, bound)
    stored = Stored(region.pk)

    plane.publish(stored)
    assert gateway.status("/ai/bad/models", CALLER) == 200
    assert backend.last_authorization == f"Bearer {BOUND}"

    Service.objects.filter(pk=bad.pk).update(address=f"http://127.0.0.1:{sink.port}/v1")  # past every deed
    plane.publish(stored)
    assert gateway.status("/ai/bad/models", CALLER) == 401
    assert gateway.status("/ai/good/models", CALLER) == 200

    bad.refresh_from_db()
    bad.delete(by=cast.SETUP)
    cast.rule(cast.plugin(instance, "transformer"), ADDING)
    plane.publish(stored)
    assert gateway.status("/ai/good/models", CALLER) == 200
    assert backend.last.header("x-partner") == PARTNER
    with pytest.raises(Invalid, match="The rule “transformer”"):
        service(instance, "bad", sink.port, own)
    bad = service(instance, "bad", backend.port, NewKeys("custom", [cast.value()]))
    Service.objects.filter(pk=bad.pk).update(address=f"http://127.0.0.1:{sink.port}/v1")
    plane.publish(stored)
    assert gateway.status("/ai/bad/models", CALLER) in (401, 503)
    assert gateway.status("/ai/good/models", CALLER) == 200
    assert (good.name, sink.seen) == ("good", [])
