"""One broken reference among a hundred consumers harms one, however it is broken."""

from collections.abc import Callable

import pytest

from gateway.compile import Memo, compile_region
from gateway.models import Consumer
from secrets_app.models import Key, KeyVersion
from tests import cast
from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.plane import Plane
from tests.dataplane.stored import Stored

pytestmark = [pytest.mark.envoy, pytest.mark.django_db]

MANY, BROKEN = 100, 42


def value(number: int) -> str:
    return f"caller-{number:03d}-0123456789"


@pytest.fixture
def stored(backend: Backend, db: None) -> Stored:
    region = cast.deployment()
    instance = cast.instance(region)
    chat = cast.service(instance, "chat", address=f"http://127.0.0.1:{backend.port}/v1")
    names = [cast.consumer(region, f"caller-{n:03d}", bound_to=cast.key(region, f"key_{n:03d}", value(n))).name for n in range(MANY)]
    chat.authorize(names, by=cast.SETUP)
    return Stored(region.pk)


def unreadable() -> str:
    version = KeyVersion.objects.get(key__name=f"key_{BROKEN:03d}")
    KeyVersion.objects.filter(pk=version.pk).update(body=b"what somebody wrote over it")
    return "unreadable"


def disabled() -> str:
    Key.objects.get(name=f"key_{BROKEN:03d}").disable(by=cast.SETUP)
    return "disabled"


def doubled() -> str:
    """Past every check, straight into the database: the value of another consumer."""
    mine, theirs = (KeyVersion.objects.get(key__name=f"key_{number:03d}") for number in (BROKEN, 7))
    consumer = Consumer.objects.get(name=f"caller-{BROKEN:03d}")
    consumer.references.update(key=theirs.key)
    assert mine.key_id != theirs.key_id
    return "duplicate"


@pytest.mark.parametrize("breaking", [unreadable, disabled, doubled])
def test_it_is_refused_alone_and_told(
    plane: Plane, gateway: Gateway, backend: Backend, stored: Stored, breaking: Callable[[], str]
) -> None:
    plane.publish(stored)
    assert gateway.status("/ai/chat/models", value(BROKEN)) == 200
    reason = breaking()
    plane.publish(stored)
    answers = {number: gateway.status("/ai/chat/models", value(number)) for number in range(MANY)}
    assert {number for number, status in answers.items() if status != 200} == {BROKEN}
    assert answers[BROKEN] == 401
    (compiled,) = compile_region(stored.inventory, stored.values, Memo()).values()
    broken = Consumer.objects.get(name=f"caller-{BROKEN:03d}")
    assert [(one.holder_kind, one.holder_id, one.reason) for one in compiled.problems] == [("consumer", broken.pk, reason)]
