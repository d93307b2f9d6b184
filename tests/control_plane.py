"""The control plane's part of a channel, in the tests' own thread: it works while whoever asked waits."""

import time
from types import SimpleNamespace

import pytest

from secrets_app.broker import Broker
from secrets_app.models import errand
from tests import cast


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """Serves whenever an asker looks again."""
    broker = Broker(cast.CONTROL_PLANE)
    monkeypatch.setattr(errand, "time", SimpleNamespace(monotonic=time.monotonic, sleep=lambda _seconds: broker.serve()))
    return broker


@pytest.fixture
def control_plane_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody serves, and waiting costs no time."""
    clock = iter(range(1000))
    monkeypatch.setattr(errand, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _seconds: None))
