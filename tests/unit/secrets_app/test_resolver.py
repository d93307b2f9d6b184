"""Values for the compiler: opened once, and what cannot be opened is said once."""

import pytest

from secrets_app.models import Key, KeyVersion, Region
from secrets_app.resolver import Resolver
from tests import cast


@pytest.fixture
def key(region: Region) -> Key:
    return cast.key(region, "alice", "alice-key-0123456789")


def version_of(key: Key) -> KeyVersion:
    return KeyVersion.objects.get(key=key, stage=KeyVersion.CURRENT)


def test_values_are_known_by_version_and_forgotten_when_nobody_asks(key: Key) -> None:
    resolver, version = Resolver(), version_of(key).pk
    assert resolver.resolve([version])[version].expose() == b"alice-key-0123456789"
    assert resolver.resolve([]) == {}


def test_a_version_that_cannot_be_opened_is_told_once_and_tried_again_when_it_changed(key: Key, caplog: pytest.LogCaptureFixture) -> None:
    good = version_of(key)
    spoil = KeyVersion.objects.filter(pk=good.pk)
    resolver = Resolver()
    body = bytes(good.body)
    spoil.update(body=body[:-1] + bytes([body[-1] ^ 1]))
    for _ in range(3):
        assert resolver.resolve([good.pk]) == {}
    assert [record.message.split(" of ")[0] for record in caplog.records] == [f"Version {good.pk}"]
    spoil.update(body=body[:-1] + bytes([body[-1] ^ 2]))
    assert resolver.resolve([good.pk]) == {}
    assert len(caplog.records) == 2
    spoil.update(body=good.body)
    assert resolver.resolve([good.pk])[good.pk].expose() == b"alice-key-0123456789"
    assert len(caplog.records) == 2
