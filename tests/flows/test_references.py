"""From the count in the list of keys to the very field that refers to one."""

import pytest
from playwright.sync_api import Page, expect

from gateway.models import Instance, NewCredential
from secrets_app.models import Region
from tests import cast
from tests.flows.browser import focused, problems
from tests.flows.conftest import Visit

pytestmark = pytest.mark.browser


@pytest.fixture
def gateway(visit: Visit) -> Instance:
    region = Region.objects.get()
    key, other, gateway = cast.key(region, "one"), cast.key(region, "other"), cast.instance(region, "prod-east")
    cast.service(gateway, "chat", keys=[other, key])
    cast.agent(gateway, "studio", keys=[other, key], apps=["alpha", "beta"])
    cast.mcp(gateway, "tools", key=key)
    cast.rule(cast.plugin(gateway), cast.key_auth(other, key))
    acme = cast.consumer(region, "acme")
    acme.add_credential(NewCredential("reference", key_name="one"), by=cast.SETUP)
    return gateway


def follow(page: Page, name: str) -> None:
    """From the list of keys through the drawer."""
    page.goto("/local/keys/")
    page.get_by_role("link", name="5 holders refer to one").click()
    page.get_by_role("dialog").get_by_role("link", name=name).click()
    page.wait_for_url("**/*#*")


@pytest.mark.parametrize("javascript", [True, False])
def test_the_field_of_whoever_may_edit_it_has_the_focus(visit: Visit, gateway: Instance, javascript: bool) -> None:
    page = visit("/local/keys/one/references/", as_="olive", javascript=javascript)
    for name, field, holds in (("acme", "id_key", "one"), ("chat", "id_key_1", "one"), ("tools", "id_key", "one")):
        if javascript:
            follow(page, name)
        else:
            page.goto("/local/keys/one/references/")
            page.get_by_role("link", name=name).click()
        expect(page.locator(f"#{field}")).to_be_focused()
        expect(page.locator(f"#{field}")).to_have_value(holds)


def test_the_row_of_an_app_is_marked(visit: Visit, gateway: Instance) -> None:
    page = visit("/local/keys/", as_="olive")
    follow(page, "studio")
    row = page.locator(":target")
    expect(row.get_by_role("textbox", name="App ID")).to_have_value("beta")
    assert focused(page) == "use-beta"
    page.keyboard.press("Tab")
    expect(row.get_by_role("textbox", name="App ID")).to_be_focused()


@pytest.mark.parametrize(("name", "says"), [("acme", "Credential 2"), ("chat", "$ref{one}"), ("studio", "beta"), ("tools", "$ref{one}")])
def test_whoever_may_look_sees_the_place_marked(visit: Visit, gateway: Instance, name: str, says: str) -> None:
    page = visit("/local/keys/", as_="vera")
    follow(page, name)
    expect(page.locator(":target")).to_contain_text(says)
    expect(page.locator(":target")).to_be_focused()
    ground = page.locator(":target").evaluate("row => getComputedStyle(row).backgroundColor")
    assert ground != "rgba(0, 0, 0, 0)"


def test_a_rule_opens_at_its_line(visit: Visit, gateway: Instance) -> None:
    page = visit("/local/keys/", as_="vera")
    follow(page, "key-auth")
    expect(page.locator("li#at")).to_contain_text("- $ref{one}")


def test_the_pages_look_right_wherever_they_are_looked_at(visit: Visit, gateway: Instance) -> None:
    page = visit("/local/keys/one/")
    assert problems(page) == []
    page.goto("/local/keys/one/references/")
    assert problems(page) == []


def test_the_graph_says_what_it_shows(visit: Visit, gateway: Instance) -> None:
    page = visit("/local/keys/one/")
    graph = page.get_by_role("group", name="Reference graph of one")
    expect(graph).to_have_accessible_description(
        "From the key to 5 holders, and from there to the instances that serve them. The table below says the same."
    )
    graph.get_by_role("link", name="AI service chat, prod-east").click()
    expect(page.locator("#id_key_1")).to_be_focused()


@pytest.mark.parametrize("javascript", [True, False])
def test_all_of_them_are_moved_to_another_key(visit: Visit, gateway: Instance, javascript: bool) -> None:
    cast.key(Region.objects.get(), "fresh")
    page = visit("/local/keys/one/references/", as_="olive", javascript=javascript)
    page.get_by_role("link", name="Move all to another key").click()
    page.get_by_label("Move to", exact=True).fill("fresh")
    if javascript:
        expect(page.get_by_role("option", name="fresh")).to_be_visible()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
    page.get_by_role("button", name="Preview").click()
    main = page.get_by_role("main")
    expect(main).to_contain_text("Callers must present fresh v1 from that moment.")
    expect(main.get_by_role("row", name="chat").filter(has_text="prod-east")).to_contain_text("Sends fresh v1")
    expect(main.get_by_role("list", name="Changed lines")).to_contain_text("- $ref{fresh}")
    if javascript:
        assert problems(page) == []
    page.get_by_role("button", name="Move 5 holders").click()
    page.wait_for_url("**/local/keys/fresh/")
    expect(main).to_contain_text("5 holders of one refer to this key now.")
    page.goto("/local/keys/one/")
    expect(main).to_contain_text("Nothing refers to this key yet")
