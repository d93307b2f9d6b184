import copy
import heapq
import os
from collections.abc import Iterator

import pytest
from django.test import TestCase
from pytest_django.plugin import DjangoDbBlocker

from tests.security.world import World


@pytest.fixture(scope="module")
def made_once(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """In a transaction around those of the tests: each finds the same world, and making it a hundred times would take minutes."""
    with django_db_blocker.unblock():
        around = TestCase._enter_atomics()  # type: ignore[attr-defined]
        world = World.make()
    yield world
    with django_db_blocker.unblock():
        TestCase._rollback_atomics(around)  # type: ignore[attr-defined]


@pytest.fixture
def world(made_once: World, db: None) -> World:
    return copy.deepcopy(made_once)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Of a soak of hostile requests how many there were, and which took longest."""
    said = [
        pair for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed") for pair in report.user_properties
    ]
    asked = sum(number for what, number in said if what == "asked")
    if asked and "SOAK" in os.environ:
        terminalreporter.write_sep("-", f"{asked} hostile requests; those that kept the process busy for longest")
        for took, ask in heapq.nlargest(10, (tuple(one) for what, ten in said if what == "slowest" for one in ten)):
            terminalreporter.write_line(f"{took * 1000:6.0f} ms  {ask}")
