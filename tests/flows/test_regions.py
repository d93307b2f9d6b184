"""The region selector in a browser, with two regions: what belongs to a region, what to an instance, and what stays."""

import re

import pytest
from playwright.sync_api import Page, expect

from gateway.models import Instance
from secrets_app.models import Region
from tests import cast
from tests.flows.browser import path_of, problems
from tests.flows.conftest import Visit

pytestmark = pytest.mark.browser


@pytest.fixture
def east(visit: Visit) -> Instance:
    """An instance in "local" with all that can belong to one. "Europe West" has a key, a consumer and an instance of its own."""
    local, west = Region.objects.get(), Region.create("eu-west", "Europe West", by=cast.SETUP)
    for region in (local, west):
        cast.key(region, "shared")
        cast.consumer(region, "acme")
    cast.key(local, "only_local")
    cast.consumer(local, "local-team")
    east = cast.instance(local, "prod-east")
    cast.instance(west, "prod-west")
    cast.service(east, "chat")
    cast.mcp(east, "tools")
    cast.plugin(east)
    return east


def switch(page: Page, here: str, to: str) -> None:
    page.get_by_label(f"Region: {here}").click()
    page.get_by_role("navigation", name="Region").get_by_role("link", name=to).click()
    expect(page.get_by_label(f"Region: {to}")).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_switching_keeps_the_page_and_drops_what_does_not_exist_there(visit: Visit, east: Instance, javascript: bool) -> None:
    page, main = visit("/local/", javascript=javascript), "main"
    for name, path in (("Key", "keys/"), ("Consumers", "consumers/"), ("Instance", "instances/"), ("Overview", "")):
        page.get_by_role("navigation", name="Main").get_by_role("link", name=name, exact=True).click()
        switch(page, "Local", "Europe West")
        assert path_of(page) == f"/eu-west/{path}"
        expect(page.get_by_role(main)).not_to_contain_text("prod-east")
        expect(page.get_by_role(main)).not_to_contain_text("only_local")
        switch(page, "Europe West", "Local")
        assert path_of(page) == f"/local/{path}"

    page.goto("/local/keys/?q=o&show=unused")
    switch(page, "Local", "Europe West")
    assert page.url.endswith("/eu-west/keys/?q=o&show=unused")

    page.goto("/local/keys/shared/")
    switch(page, "Local", "Europe West")
    assert path_of(page) == "/eu-west/keys/shared/"
    page.goto("/local/keys/only_local/")
    switch(page, "Local", "Europe West")
    assert path_of(page) == "/eu-west/keys/"
    expect(page.get_by_role("status").filter(has_text="Europe West has no key named only_local.")).to_be_visible()

    page.goto("/local/consumers/acme/")
    switch(page, "Local", "Europe West")
    assert path_of(page) == "/eu-west/consumers/acme/"
    page.goto("/local/consumers/local-team/")
    switch(page, "Local", "Europe West")
    expect(page.get_by_text("Europe West has no consumer named local-team.")).to_be_visible()

    for rest in ("", "services/", "services/chat/", "mcp/tools/", "plugins/", "nodes/"):
        page.goto(f"/local/instances/{east.ref}/{rest}")
        switch(page, "Local", "Europe West")
        assert path_of(page) == "/eu-west/instances/", rest
        expect(page.get_by_role("status").filter(has_text="Services and plug-ins belong to an instance.")).to_be_visible()
        expect(page.get_by_role("link", name="prod-west")).to_be_visible()


def test_a_choice_offers_only_what_the_region_has(visit: Visit, east: Instance) -> None:
    page = visit("/eu-west/consumers/new/", as_="olive")
    picker = page.get_by_role("combobox", name="Bind Key")
    picker.fill("o")
    expect(page.get_by_role("option")).to_have_count(0)
    picker.fill("shared")
    expect(page.get_by_role("option", name="shared")).to_be_visible()
    page.goto("/eu-west/consumers/acme/authorize/ai/")
    expect(page.get_by_role("combobox", name="Instance").get_by_role("option")).to_have_text(re.compile("prod-west"))


def test_a_page_without_a_region_leads_to_the_overview_of_one(visit: Visit, east: Instance) -> None:
    page = visit("/audit/")
    page.get_by_label("Choose a region").or_(page.get_by_label("Region:")).first.click()
    assert problems(page) == []
    page.get_by_role("navigation", name="Region").get_by_role("link", name="Europe West").click()
    expect(page.get_by_role("heading", level=1, name="Europe West")).to_be_visible()
    assert path_of(page) == "/eu-west/"
