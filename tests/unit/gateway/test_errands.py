"""The control plane serves errands as soon as the audit log moves, beside whatever else it does. The database is real."""

import asyncio
import threading
import time
import uuid

import pytest
from django.db import OperationalError, connection

from gateway.xds.errands import Errands
from gateway.xds.watch import watch
from secrets_app.broker import Broker
from secrets_app.models import Errand
from tests import cast
from tests.loop import in_own_loop

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_wakes_with_the_entry_and_answers_within_a_fraction_of_what_people_wait() -> None:
    cast_key = _key()
    took: list[float] = []

    async def scenario() -> None:
        errands = Errands(watch(), cast.CONTROL_PLANE)
        work = asyncio.create_task(errands.run())
        for _ in range(3):
            began = time.monotonic()
            await asyncio.to_thread(_reveal, cast_key)
            took.append(time.monotonic() - began)
        work.cancel()
        await errands.close()

    in_own_loop(scenario())
    assert min(took) < 1.0
    assert not Errand.objects.exists()


def test_a_database_that_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log does not move again for an errand that waits there."""
    key, real, failed = _key(), Broker.serve, threading.Event()

    def serve(self: Broker) -> None:
        if Errand.objects.exists() and not failed.is_set():
            failed.set()
            raise OperationalError("gone")
        real(self)

    monkeypatch.setattr(Broker, "serve", serve)
    monkeypatch.setattr("gateway.xds.errands.RETRY", 0.01)

    async def scenario() -> None:
        errands = Errands(watch(), cast.CONTROL_PLANE)
        work = asyncio.create_task(errands.run())
        await asyncio.to_thread(_reveal, key)
        work.cancel()
        await errands.close()

    in_own_loop(scenario())
    assert failed.is_set()


def _key() -> object:
    region = cast.deployment()
    cast.revealing()
    cast.person("kim")
    return cast.key(region, "openai", "the-value-of-openai")


def _reveal(key: object) -> None:
    try:
        value = key.reveal("The supplier asks for it", by=cast.actor("kim"), version=1, once=uuid.uuid4())  # type: ignore[attr-defined]
        assert value.expose() == b"the-value-of-openai"
    finally:
        connection.close()
