"""Regions: names that may stand first in an address, and who sees them."""

import re

import pytest

from console.urls import RegionName, urlpatterns
from secrets_app.errors import AlreadyDone, Invalid, NotAllowed
from secrets_app.models import AuditEntry, Region
from secrets_app.models.region import RESERVED_REGIONS
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "name", ["", "a", "A1", "1a", "a_b", "a.b", "a/b", "a" * 33, "new region", "ünï", "a\n", *sorted(RESERVED_REGIONS)]
)
def test_a_name_that_no_address_could_hold_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        Region.create(name, "Title", by=cast.SETUP)
    assert list(refused.value.errors) == ["name"]
    assert not Region.objects.exists()


@pytest.mark.parametrize("title", ["", "   ", "x" * 65])
def test_a_region_needs_a_title(title: str) -> None:
    with pytest.raises(Invalid) as refused:
        Region.create("eu", title, by=cast.SETUP)
    assert list(refused.value.errors) == ["title"]


def test_no_region_can_take_the_place_of_an_address_of_the_console() -> None:
    first_words = {str(pattern.pattern).split("/")[0] for pattern in urlpatterns if not str(pattern.pattern).startswith(("<", "/"))}
    assert {word for word in first_words if re.fullmatch(RegionName.regex, word)} <= RESERVED_REGIONS


def test_making_a_region_is_one_audited_deed_that_publishes() -> None:
    region = Region.create("cn-east-1", "China East 1", by=cast.actor("alice"))
    entry = AuditEntry.objects.latest("seq")
    assert (entry.action, entry.target, entry.region_id, entry.facts) == (
        "region.create",
        "cn-east-1",
        region.pk,
        {"title": "China East 1"},
    )


def test_the_same_operation_twice_is_done_once() -> None:
    once = cast.person("alice").pk
    Region.create("eu", "Europe", by=cast.SETUP, once=once)
    with pytest.raises(AlreadyDone):
        Region.create("eu", "Europe", by=cast.SETUP, once=once)
    with pytest.raises(Invalid, match="exists"):
        Region.create("eu", "Europe", by=cast.SETUP)


def test_only_owners_make_regions_and_who_has_no_role_sees_none() -> None:
    Region.create("eu", "Europe", by=cast.SETUP)
    for name in ("kim", "olive", "vera", "audrey", "mallory"):
        with pytest.raises(NotAllowed):
            Region.create("us", "America", by=cast.actor(name))
    assert Region.visible_to(cast.actor("vera")).count() == 1
    assert Region.visible_to(cast.actor("mallory")).count() == 0
