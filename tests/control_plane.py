"""The control plane's part of a channel, in the tests' own thread: it works while whoever asked waits."""

import time
from ipaddress import ip_address
from types import SimpleNamespace

import pytest

from gateway.probe.calling import Reply
from gateway.xds import trials
from gateway.xds.trials import Trials
from secrets_app.broker import Broker
from secrets_app.models import errand
from tests import cast


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """Serves whenever an asker looks again. Back ends answer 200, and nobody calls one."""
    monkeypatch.setattr(trials, "ends_of", lambda _address, _ports: [ip_address("127.0.0.1")])
    broker = Broker(
        cast.CONTROL_PLANE, Trials(cast.CONTROL_PLANE, lambda *_asked: Reply(200, "application/json", True, b'{"data": []}', 12))
    )
    monkeypatch.setattr(errand, "time", SimpleNamespace(monotonic=time.monotonic, sleep=lambda _seconds: broker.serve()))
    return broker


@pytest.fixture
def control_plane_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody serves, and waiting costs no time."""
    clock = iter(range(1000))
    monkeypatch.setattr(errand, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _seconds: None))
