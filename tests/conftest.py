from types import SimpleNamespace

import pytest
from django.utils import timezone

from secrets_app.models import Region, refusals
from tests import cast

pytest_plugins = ["tests.control_plane"]


@pytest.fixture
def region(db: None) -> Region:
    return cast.deployment()


@pytest.fixture
def one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals are counted by the minute; here the clock that counts them stands still, so that no minute ends between two of them."""
    now = timezone.now()
    monkeypatch.setattr(refusals, "timezone", SimpleNamespace(now=lambda: now))
