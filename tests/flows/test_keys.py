"""The key pages in a real browser, by visible labels: with JavaScript, without, by keyboard, and for assistive technology."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from gateway.models import ControlPlane, Node
from secrets_app.models import AuditHead, Key, Region
from tests import cast
from tests.flows.browser import focused, generation, open_panel, path_of, problems
from tests.flows.conftest import Visit, Watch

pytestmark = pytest.mark.browser

VALUE = "sk-a-value-that-travels-0123456789"


@pytest.fixture
def region(visit: Visit) -> Region:
    """One key that a service sends, one that a caller presents, and one of each other sort."""
    region = Region.objects.get(name="local")
    gateway = cast.instance(region, "prod-east")
    sent, presented = cast.key(region, "openai_prod", description="Production traffic"), cast.key(region, "partner_acme")
    for number in range(25):
        cast.service(gateway, f"chat-{number:02d}", keys=[sent])
    cast.consumer(region, "acme", bound_to=presented)
    cast.key(region, "spare")
    cast.key(region, "legacy").disable(by=cast.SETUP)
    node, _token = Node.join(gateway, "node", "127.0.0.1", 9000, by=cast.SETUP)
    Node.objects.filter(pk=node.pk).update(connected=True, in_effect_seq=AuditHead.objects.get().seq)
    ControlPlane.beat(started=True)
    return region


def row(page: Page, name: str) -> Any:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


@pytest.mark.parametrize("javascript", [True, False])
def test_create_a_key_rotate_it_and_delete_it(visit: Visit, watch: Watch, javascript: bool) -> None:
    watch.allow("422")
    page = visit("/local/keys/", as_="kim", javascript=javascript)
    page.get_by_role("link", name="Create key").first.click()
    page.get_by_label("Key name").fill("openai_prod")
    page.get_by_label("Description").fill("Production traffic")
    page.get_by_label("Key content", exact=True).fill(VALUE)
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("openai_prod")
    expect(page.get_by_role("main")).to_contain_text("Key openai_prod was created.")
    assert VALUE not in page.content()

    page.get_by_role("link", name="Rotate").first.click()
    page.get_by_label("Key content", exact=True).fill(VALUE + "-new")
    page.get_by_role("button", name="Rotate to v2").click()
    expect(page.get_by_role("main")).to_contain_text("Key openai_prod was rotated to v2.")

    page.get_by_label("More actions").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_label("Type openai_prod to confirm").fill("openai")
    page.get_by_role("button", name="Delete key").click()
    expect(page.get_by_text("This is not the name.").first).to_be_visible()
    page.get_by_label("Type openai_prod to confirm").fill("openai_prod")
    page.get_by_role("button", name="Delete key").click()
    expect(page.get_by_role("main")).to_contain_text("Key openai_prod was deleted.")
    assert not Key.objects.exists()


@pytest.mark.parametrize("javascript", [True, False])
def test_from_an_unused_key_to_the_service_that_uses_it(visit: Visit, region: Region, javascript: bool) -> None:
    cast.instance(region, "prod-west")
    page = visit("/local/keys/spare/", as_="olive", javascript=javascript)
    page.get_by_role("link", name="Use in a service").click()
    assert problems(page) == [] if javascript else True
    page.get_by_role("link", name="prod-west").click()
    expect(page.get_by_role("radio", name="Reference Key")).to_be_checked()
    expect(page.get_by_role("combobox" if javascript else "textbox", name="API Key")).to_have_value("spare")
    page.get_by_label("Service name").fill("first")
    page.get_by_label("Large model supplier").select_option("custom")
    page.get_by_role("textbox", name="Service address").fill("https://llm.example.com/v1")
    page.get_by_role("button", name="Create service").click()
    expect(page.get_by_role("main")).to_contain_text("Service first was created.")
    assert Key.objects.get(name="spare").reference_count == 1


@pytest.mark.parametrize("javascript", [True, False])
def test_a_generated_value_is_shown_once(visit: Visit, javascript: bool) -> None:
    page = visit("/local/keys/new/", as_="kim", javascript=javascript)
    page.get_by_label("Key name").fill("ours")
    generation(page, "System-generated")
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_text("This is the only time this value is shown.")).to_be_visible()
    value = page.get_by_label("Key content", exact=True).input_value()
    assert re.fullmatch(r"lk_\w{43}", value)
    if javascript:
        page.get_by_label("I have stored it").check()
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("ours")
    assert value not in page.content()
    if javascript:
        assert value not in str(page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, history.state])"))


def test_a_generated_value_cannot_be_lost_by_accident(visit: Visit) -> None:
    page = visit("/local/keys/")
    open_panel(page, "Create key")
    page.get_by_label("Key name").fill("ours")
    generation(page, "System-generated")
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_text("This is the only time this value is shown.")).to_be_visible()
    page.keyboard.press("Escape")
    asked: list[str] = []
    page.once("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.get_by_role("link", name="Bind a consumer").click(no_wait_after=True)
    page.wait_for_timeout(300)
    assert asked == ["beforeunload"]
    expect(page.get_by_label("Key content", exact=True)).to_be_visible()
    page.get_by_label("I have stored it").check()
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("ours")


def test_what_is_wrong_takes_the_focus_and_all_but_the_value_stays(visit: Visit, watch: Watch) -> None:
    watch.allow("422")
    page = visit("/local/keys/")
    open_panel(page, "Create key")
    page.get_by_label("Key name").fill("open ai")
    expect(page.get_by_text("Try open_ai.")).to_be_visible()
    page.get_by_label("Key name").fill("open_ai")
    expect(page.get_by_text("Try open_ai.")).to_be_hidden()
    page.get_by_label("Key name").fill("open ai")
    expect(page.get_by_text("Try open_ai.")).to_be_visible()
    page.get_by_label("Description").fill("Production")
    page.get_by_label("Key content", exact=True).fill(VALUE)
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_role("heading", name="There is a problem")).to_be_visible()
    assert "There is a problem" in focused(page)
    assert page.title().startswith("Error: Create key")
    assert page.get_by_label("Description").input_value() == "Production"
    assert page.get_by_label("Key content", exact=True).input_value() == ""
    page.get_by_role("group", name="There is a problem").get_by_role("link").first.click()
    assert focused(page) == "id_name"


def test_a_key_is_created_by_keyboard_alone(visit: Visit) -> None:
    page = visit("/local/keys/", as_="kim")
    page.get_by_role("link", name="Create key").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.type("by_keyboard")
    for _field in ("description", "generation", "value"):
        page.keyboard.press("Tab")
    page.keyboard.type(VALUE)
    page.keyboard.press("Tab")  # show
    page.keyboard.press("Tab")  # where it may go
    page.keyboard.press("Tab")  # cancel
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("by_keyboard")


def test_the_list_is_searched_as_one_types_and_the_address_keeps_it(visit: Visit, region: Region) -> None:
    page = visit("/local/keys/?sort=referenced")
    page.get_by_role("searchbox", name="Search keys").press_sequentially("PROD")
    expect(page.get_by_role("main").get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("link", name="openai_prod", exact=True)).to_be_visible()
    expect(page.locator("#key-found")).to_have_text("1 key")
    assert focused(page) == "key-search"
    assert "q=PROD" in page.url
    assert "sort=referenced" in page.url
    page.get_by_role("link", name="Unused").click()
    expect(page.get_by_role("heading", name="No key matches")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="No key matches")).to_be_visible()
    page.get_by_role("link", name="Clear search and filters").click()
    expect(page.get_by_role("main").get_by_role("row")).to_have_count(5)


def test_the_list_is_searched_and_sorted_without_javascript(visit: Visit, region: Region) -> None:
    page = visit("/local/keys/", javascript=False)
    page.get_by_role("searchbox", name="Search keys").fill("prod")
    page.keyboard.press("Enter")
    expect(page.get_by_role("main").get_by_role("row")).to_have_count(2)
    page.goto("/local/keys/")
    page.get_by_role("columnheader", name="Referenced").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="Referenced")).to_have_attribute("aria-sort", "descending")
    expect(page.get_by_role("main").get_by_role("row").nth(1)).to_contain_text("openai_prod")


@pytest.mark.parametrize("javascript", [True, False])
def test_from_the_list_to_who_refers_is_one_click(visit: Visit, region: Region, javascript: bool) -> None:
    page = visit("/local/keys/", javascript=javascript)
    page.get_by_role("link", name="25 holders refer to openai_prod").click()
    expect(page.get_by_role("heading", name="Referenced by 25 holders")).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("^chat-19"))).to_be_visible()
    page.get_by_text("Show 20 more").click()
    expect(page.get_by_role("link", name=re.compile("^chat-24"))).to_be_visible()
    page.get_by_role("searchbox", name="Search holders").fill("chat-07")
    if not javascript:
        page.keyboard.press("Enter")
    expect(page.get_by_role("link", name=re.compile("^chat-"))).to_have_count(1)
    page.get_by_role("link", name=re.compile("^chat-07")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("chat-07")


def test_the_drawer_gives_the_focus_back(visit: Visit, region: Region) -> None:
    page = visit("/local/keys/")
    page.get_by_role("link", name="1 holder refers to partner_acme").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert path_of(page) == "/local/keys/partner_acme/references/"
    page.keyboard.press("Escape")
    assert path_of(page) == "/local/keys/"
    assert page.evaluate("document.activeElement.ariaLabel") == "1 holder refers to partner_acme"


@pytest.mark.parametrize("javascript", [True, False])
def test_a_rotation_says_who_must_act(visit: Visit, region: Region, javascript: bool) -> None:
    page = visit("/local/keys/partner_acme/", as_="kim", javascript=javascript)
    page.get_by_role("link", name="Rotate").first.click()
    expect(page.get_by_text("These callers must switch to v2 before v1 ends.")).to_be_visible()
    expect(page.get_by_role("radio", name="24 hours")).to_be_checked()
    page.get_by_text("7 days", exact=True).click()
    page.get_by_label("Key content", exact=True).fill(VALUE)
    page.get_by_role("button", name="Rotate to v2").click()
    expect(page.get_by_text("Still accepted, ends")).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False])
def test_a_key_in_use_cannot_be_deleted(visit: Visit, region: Region, javascript: bool) -> None:
    page = visit("/local/keys/", javascript=javascript)
    page.get_by_label("Actions for openai_prod").click()
    row(page, "openai_prod").get_by_role("link", name="Delete").click()
    expect(page.get_by_role("heading", name="openai_prod is in use")).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("^chat-00"))).to_be_visible()
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)
    page.get_by_role("link", name="Disable instead").click()
    expect(page.get_by_text("stop sending this key.")).to_be_visible()
    page.get_by_role("button", name="Disable key").click()
    expect(page.get_by_text("This key is disabled.")).to_be_visible()


def test_the_page_follows_a_change_until_it_is_in_effect(visit: Visit, region: Region) -> None:
    Key.objects.get(name="openai_prod").rotate(cast.value(), by=cast.SETUP)
    page = visit("/local/keys/openai_prod/")
    expect(page.get_by_text("Not delivered yet").first).to_be_visible()
    Node.objects.update(in_effect_seq=AuditHead.objects.get().seq)
    expect(page.get_by_text("In effect on 1 of 1 node")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2_500)
    assert asked == []


def test_a_stale_edit_shows_what_is_stored_now(visit: Visit, region: Region, watch: Watch) -> None:
    watch.allow("409")
    page = visit("/local/keys/spare/edit/", as_="kim")
    Key.objects.get(name="spare").edit("someone else's", lock_version=1, by=cast.SETUP)
    page.get_by_label("Description").fill("mine")
    page.get_by_role("button", name="Save key").click()
    expect(page.get_by_text("someone else's")).to_be_visible()
    assert page.get_by_label("Description").input_value() == "mine"
    page.get_by_role("button", name="Save key").click()
    expect(page.get_by_role("main")).to_contain_text("Key spare was saved.")
    assert Key.objects.get(name="spare").description == "mine"


def test_the_reference_is_copied(visit: Visit, region: Region) -> None:
    page = visit("/local/keys/spare/", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy reference").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "$ref{spare}"


def test_who_may_not_is_told_who_may(visit: Visit, region: Region) -> None:
    page = visit("/local/keys/spare/", as_="vera")
    expect(page.get_by_role("button", name="Rotate")).to_have_attribute("aria-disabled", "true")
    expect(page.get_by_text("Needs Key manager").first).to_be_attached()
    page.get_by_label("More actions").click()
    expect(page.get_by_role("button", name="Delete")).to_have_attribute("aria-disabled", "true")


PAGES = [
    "/local/keys/",
    "/local/keys/?q=nothing",
    "/local/keys/new/",
    "/local/keys/openai_prod/",
    "/local/keys/spare/",
    "/local/keys/legacy/",
    "/local/keys/openai_prod/references/",
    "/local/keys/partner_acme/rotate/",
    "/local/keys/openai_prod/disable/",
    "/local/keys/openai_prod/delete/",
    "/local/keys/spare/delete/",
    "/local/keys/spare/edit/",
]
PANELS = ["/local/keys/new/", "/local/keys/openai_prod/references/", "/local/keys/partner_acme/rotate/", "/local/keys/openai_prod/delete/"]


def test_nothing_is_in_the_way_of_anybody(visit: Visit, region: Region) -> None:
    page = visit("/local/keys/")
    for path in PAGES:
        page.goto(path)
        assert problems(page) == [], path
    for path in PANELS:
        page.goto("/local/keys/")
        page.evaluate("url => htmx.ajax('GET', url, {target: '#panel'})", path)
        expect(page.get_by_role("dialog")).to_be_visible()
        assert problems(page) == [], f"panel {path}"
    page.goto("/local/keys/")
    page.get_by_label("Actions for spare").click()
    assert problems(page) == [], "menu"


def test_wrong_forms_are_told_to_everybody(visit: Visit, region: Region, watch: Watch) -> None:
    watch.allow("422")
    page = visit("/local/keys/new/")
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_role("heading", name="There is a problem")).to_be_visible()
    assert problems(page) == []
    page.goto("/local/keys/partner_acme/rotate/")
    page.get_by_role("button", name="Rotate to v2").click()
    expect(page.get_by_role("heading", name="There is a problem")).to_be_visible()
    assert problems(page) == []


@pytest.mark.parametrize("javascript", [True, False])
def test_an_earlier_version_is_made_current_again(visit: Visit, javascript: bool) -> None:
    region = Region.objects.get()
    key = cast.key(region, "one")
    cast.consumer(region, "acme", bound_to=key)
    key.rotate(cast.value(), by=cast.SETUP)
    page = visit("/local/keys/one/", as_="kim", javascript=javascript)
    page.get_by_role("link", name="Make v1 current again").click()
    main = page.get_by_role("dialog") if javascript else page.get_by_role("main")
    expect(main).to_contain_text("The gateways take v1 in place of v2 within moments.")
    if javascript:
        assert problems(page) == []
    main.get_by_text("1 hour", exact=True).click()
    main.get_by_role("button", name="Make v1 current again").click()
    expect(page.get_by_role("main")).to_contain_text("v1 of key one is current again.")
    versions = page.get_by_role("region", name="Versions")
    expect(versions.get_by_role("listitem").first).to_contain_text("Previous")
    expect(versions.get_by_role("listitem").last).to_contain_text("Current")
