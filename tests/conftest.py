import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management.commands import flush
from django.utils import timezone
from hypothesis import settings

from secrets_app.models import Region, refusals
from tests import cast
from tests.cluster import Cluster, programs
from tests.cluster import cluster as private_cluster
from tests.openlog import open_log

# What a change is judged by is the same each time, on whichever machine; a soak looks elsewhere, and further.
settings.register_profile("each_time", derandomize=True, deadline=None)
settings.register_profile("soak", max_examples=2_000, deadline=None)
settings.load_profile("soak" if "SOAK" in os.environ else "each_time")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a named database runs what asks one; the rest would only say again what it says on SQLite."""
    if "TEST_DATABASE_URL" not in os.environ:
        return
    asking = {item for item in items if {"db", "transactional_db"} & {*item.fixturenames} or item.get_closest_marker("django_db")}  # type: ignore[attr-defined]
    config.hook.pytest_deselected(items=[item for item in items if item not in asking])
    items[:] = [item for item in items if item in asking]


@pytest.fixture(scope="session")
def postgres_here() -> None:
    """Whatever needs one is skipped without, unless REQUIRE_POSTGRES says that there has to be one."""
    if programs() is None and not os.environ.get("REQUIRE_POSTGRES"):
        pytest.skip("no PostgreSQL here: apt-get install postgresql")


@pytest.fixture(scope="session")
def cluster(postgres_here: None) -> Iterator[Cluster]:
    """A PostgreSQL of this worker's own, to be restarted at will."""
    with private_cluster() as running:
        yield running


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
