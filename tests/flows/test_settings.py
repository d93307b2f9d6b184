"""Settings in a real browser: an owner makes a region; everybody else is told who may."""

import pytest
from playwright.sync_api import expect

from secrets_app.models import Region
from tests import cast
from tests.flows.browser import open_panel, problems
from tests.flows.conftest import Visit, Watch

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("javascript", [True, False])
def test_an_owner_makes_a_region_and_lands_in_it(visit: Visit, watch: Watch, javascript: bool) -> None:
    watch.allow("422")
    page = visit("/settings/", javascript=javascript)
    page.get_by_role("main").get_by_role("link", name="Create region").click()
    page.get_by_label("Name", exact=True).fill("China East 1")
    page.get_by_label("Region ID").fill("audit")
    page.get_by_role("button", name="Create region").click()
    expect(page.get_by_role("group", name="There is a problem")).to_be_focused()
    expect(page.get_by_role("link", name="This word is an address of the console.")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("China East 1")
    page.get_by_label("Region ID").fill("cn-east-1")
    page.get_by_role("button", name="Create region").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("China East 1")
    expect(page.get_by_role("main")).to_contain_text("Three steps to the first call")
    assert Region.objects.filter(name="cn-east-1").exists()


def test_who_may_not_is_told_who_may(visit: Visit, watch: Watch) -> None:
    watch.allow("403")
    page = visit("/settings/", as_="kim")
    expect(page.get_by_role("main")).to_contain_text("Needs Owner")
    expect(page.get_by_role("navigation", name="Main").get_by_role("link", name="Settings")).to_have_count(0)


def test_axe_finds_nothing(visit: Visit) -> None:
    for name in cast.ROLES:
        cast.person(name)
    page = visit("/settings/")
    assert problems(page) == []
    open_panel(page, "Create region")
    assert problems(page) == []
    page = visit("/settings/regions/new/")
    assert problems(page) == []
