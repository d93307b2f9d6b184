import copy
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
