from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management.commands import flush
from django.utils import timezone

from secrets_app.models import Region, refusals
from tests import cast
from tests.openlog import open_log


@pytest.fixture(scope="session", autouse=True)
def emptied_between_tests() -> Iterator[None]:
    """After a test that commits, Django empties every table; the triggers on the audit log would refuse, as they should."""
    empty = flush.Command.handle

    def handle(self: flush.Command, **options: Any) -> Any:
        with open_log():
            return empty(self, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(flush.Command, "handle", handle)
        yield


pytest_plugins = ["tests.control_plane"]


@pytest.fixture
def region(db: None) -> Region:
    return cast.deployment()


@pytest.fixture
def one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals are counted by the minute; here the clock that counts them stands still, so that no minute ends between two of them."""
    now = timezone.now()
    monkeypatch.setattr(refusals, "timezone", SimpleNamespace(now=lambda: now))
