"""An earlier version of a key made the current one again."""

import pytest
from django.utils import timezone

from secrets_app.errors import Conflict, Invalid, NotAllowed, NotFound, StaleEdit
from secrets_app.models import AuditEntry, Key, KeyVersion, Region
from secrets_app.resolver import Resolver
from tests import cast

FIRST, SECOND, THIRD = "the-first-value-01234", "the-second-value-0123", "the-third-value-01234"


@pytest.fixture
def key(region: Region) -> Key:
    key = cast.key(region, "one", FIRST)
    key.rotate(cast.value(SECOND), by=cast.SETUP)
    return key


def stages(key: Key) -> dict[int, str]:
    return dict(key.versions.order_by("number").values_list("number", "stage"))


def current(key: Key) -> str:
    version = KeyVersion.objects.get(key=key, stage="current")
    return Resolver().resolve([version.pk])[version.pk].expose().decode()


def test_the_earlier_value_is_current_again_under_its_own_number(key: Key) -> None:
    key.roll_back(1, by=cast.actor("kim"))
    assert (key.version, current(key), stages(key)) == (1, FIRST, {1: "current", 2: "retired"})
    entry = AuditEntry.objects.latest("seq")
    assert (entry.action, entry.actor, entry.target) == ("key.roll_back", "kim", "one")
    assert entry.facts == {"version": 1, "previous": 2, "overlap_hours": 0, "holders": 0}
    assert key.changed_seq == entry.seq
    key.roll_back(2, by=cast.SETUP)
    assert (key.version, current(key), stages(key)) == (2, SECOND, {1: "retired", 2: "current"})


def test_the_next_rotation_is_numbered_behind_every_version_there_was(key: Key) -> None:
    key.roll_back(1, by=cast.SETUP)
    assert key.rotate(cast.value(THIRD), by=cast.SETUP).number == 3
    assert stages(key) == {1: "retired", 2: "retired", 3: "current"}


def test_the_version_that_is_replaced_stays_accepted_for_the_overlap(region: Region, key: Key) -> None:
    cast.consumer(region, bound_to=key)
    key.rotate(cast.value(THIRD), 24, by=cast.SETUP)
    assert stages(key) == {1: "retired", 2: "previous", 3: "current"}
    key.roll_back(1, 1, by=cast.SETUP)
    assert stages(key) == {1: "current", 2: "retired", 3: "previous"}
    assert {version.number for version in KeyVersion.accepted().filter(key=key)} == {1, 3}
    ends = key.versions.get(number=3).accepted_until
    assert ends
    assert 3500 < (ends - timezone.now()).total_seconds() < 3700


def test_the_previous_version_itself_may_come_back_during_its_overlap(region: Region, key: Key) -> None:
    cast.consumer(region, bound_to=key)
    key.rotate(cast.value(THIRD), 24, by=cast.SETUP)
    key.roll_back(2, by=cast.SETUP)
    assert stages(key) == {1: "retired", 2: "current", 3: "retired"}
    assert key.versions.get(number=2).accepted_until is None


def test_what_cannot_be_is_refused_and_changes_nothing(region: Region, key: Key) -> None:
    with pytest.raises(NotFound):
        key.roll_back(3, by=cast.SETUP)
    with pytest.raises(Conflict, match="current one already"):
        key.roll_back(2, by=cast.SETUP)
    with pytest.raises(Invalid, match="Nobody presents this key"):
        key.roll_back(1, 24, by=cast.SETUP)
    with pytest.raises(Invalid, match="Choose one of the periods"):
        key.roll_back(1, 7, by=cast.SETUP)
    with pytest.raises(StaleEdit):
        key.roll_back(1, by=cast.SETUP, replaces=1)
    with pytest.raises(NotAllowed):
        key.roll_back(1, by=cast.actor("olive"))
    assert stages(key) == {1: "retired", 2: "current"}


def test_a_value_that_holders_could_not_use_stays_where_it_is(region: Region) -> None:
    key = cast.key(region, "one", "two\nlines of a value")
    key.rotate(cast.value(), by=cast.SETUP)
    cast.service(cast.instance(region), keys=[key])
    with pytest.raises(Invalid, match="cannot travel in an HTTP header"):
        key.roll_back(1, by=cast.SETUP)


def test_a_value_that_another_consumer_presents_by_now_stays_where_it_is(region: Region, key: Key) -> None:
    cast.consumer(region, bound_to=key)
    cast.consumer(region, text=FIRST)
    with pytest.raises(Invalid, match="uses the same value already"):
        key.roll_back(1, by=cast.SETUP)
