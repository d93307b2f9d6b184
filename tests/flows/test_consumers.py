"""The consumer pages in a real browser, by visible labels: with JavaScript, without, by keyboard, and for assistive technology."""

import re

import pytest
from playwright.sync_api import Page, expect

from gateway.models import Consumer, ControlPlane, Node
from gateway.sources import Source
from secrets_app.models import AuditHead, Key, Region
from tests import cast
from tests.flows.browser import (
    LOOKS,
    focused,
    generation,
    lost_by_tab,
    open_panel,
    panel_by_keyboard,
    path_of,
    problems,
    without_script,
)
from tests.flows.conftest import Visit, Watch

pytestmark = pytest.mark.browser

VALUE = "what-acme-presents-to-us-0123456789"


@pytest.fixture
def region(visit: Visit) -> Region:
    """Consumers of each sort; acme may call chat, whose supplier key "openai_prod" is free to be bound by mistake."""
    region = Region.objects.get(name="local")
    gateway = cast.instance(region, "prod-east")
    service = cast.service(gateway, "chat", keys=[cast.key(region, "openai_prod", description="Production traffic")])
    cast.key(region, "partner_acme", description="What Acme presents")
    cast.key(region, "spare")
    cast.consumer(region, "acme", bound_to=Key.objects.get(name="partner_acme"), description="Acme Inc.")
    cast.consumer(region, "web-chat", sources=[Source("header", "x-api-key")])
    cast.consumer(region, "load-test", enabled=False)
    service.authorize(["acme", "web-chat"], by=cast.SETUP)
    node, _token = Node.join(gateway, "node", "127.0.0.1", 9000, by=cast.SETUP)
    Node.objects.filter(pk=node.pk).update(connected=True, in_effect_seq=AuditHead.objects.get().seq)
    ControlPlane.beat(started=True)
    return region


def source(page: Page, kind: str) -> None:
    page.get_by_role("group", name="Credential source").get_by_text(kind, exact=True).click()


@pytest.mark.parametrize("javascript", [True, False])
def test_create_a_consumer_with_bind_key_and_change_it(visit: Visit, region: Region, javascript: bool) -> None:
    page = visit("/local/consumers/", as_="olive", javascript=javascript)
    page.get_by_role("link", name="Create consumer").first.click()
    page.get_by_label("Consumer name").fill("mobile")
    generation(page, "Reference Key")
    page.get_by_label("Bind Key", exact=True).fill("spare")
    source(page, "Custom HTTP header")
    page.get_by_role("textbox", name="Header", exact=True).fill("X-Mobile-Key")
    page.get_by_role("button", name="Create consumer").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("mobile")
    expect(page.get_by_role("main")).to_contain_text("Consumer mobile was created.")
    expect(page.get_by_role("main")).to_contain_text("Header x-mobile-key")
    expect(page.get_by_role("link", name="$ref{spare}")).to_be_visible()

    page.get_by_role("link", name="Edit").first.click()
    page.get_by_label("Description").fill("The app on the phones")
    page.get_by_role("button", name="Save consumer").click()
    expect(page.get_by_role("main")).to_contain_text("Consumer mobile was saved.")

    page.get_by_label("Actions for credential 1").click()
    page.get_by_role("link", name="Edit credential").click()
    generation(page, "Custom")
    page.get_by_label("Credential", exact=True).fill(VALUE)
    page.get_by_role("button", name="Save credential").click()
    expect(page.get_by_role("main")).to_contain_text("Credential 1 of mobile was saved.")
    assert VALUE not in page.content()
    assert Key.objects.get(name="spare").reference_count == 0

    page.get_by_label("More actions").click()
    page.get_by_role("link", name="Disable").click()
    expect(page.get_by_text("It is authorized on no service yet.")).to_be_visible()
    page.get_by_role("button", name="Disable consumer").click()
    expect(page.get_by_role("main")).to_contain_text("mobile was disabled.")

    page.get_by_label("More actions").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_label("Type mobile to confirm").fill("mobile")
    page.get_by_role("button", name="Delete consumer").click()
    expect(page.get_by_role("main")).to_contain_text("Consumer mobile was deleted.")
    assert not Consumer.objects.filter(name="mobile").exists()


@pytest.mark.parametrize("javascript", [True, False])
def test_a_generated_value_is_shown_once_and_rotated_with_an_overlap(visit: Visit, region: Region, javascript: bool) -> None:
    page = visit("/local/consumers/new/", as_="olive", javascript=javascript)
    page.get_by_label("Consumer name").fill("ours")
    generation(page, "System-generated")
    page.get_by_role("button", name="Create consumer").click()
    first = take(page, javascript)
    page.get_by_role("link", name="Rotate credential").first.click()
    page.get_by_role("group", name="Keep the previous value valid for").get_by_text("1 hour", exact=True).click()
    page.get_by_role("button", name="Rotate credential").click()
    second = take(page, javascript)
    assert first != second
    expect(page.get_by_text("v1 is still accepted, ends")).to_be_visible()
    if javascript:
        stored = str(page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, history.state])"))
        assert first not in stored
        assert second not in stored


def take(page: Page, javascript: bool) -> str:
    """The value on the one page that shows it; then on to the consumer's page, which does not."""
    expect(page.get_by_text("This is the only time this value is shown.")).to_be_visible()
    value = page.get_by_label("Credential", exact=True).input_value()
    assert re.fullmatch(r"lk_\w{43}", value)
    if javascript:
        page.get_by_label("I have stored it").check()
    page.get_by_role("link", name="Open consumer").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("ours")
    assert value not in page.content()
    return value


def test_binding_warns_of_a_key_that_services_send_upstream(visit: Visit, region: Region) -> None:
    page = visit("/local/consumers/")
    open_panel(page, "Create consumer")
    picker = page.get_by_role("combobox", name="Bind Key")
    picker.press_sequentially("openai")
    expect(page.get_by_role("option").locator("mark")).to_have_text("openai")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert picker.input_value() == "openai_prod"
    expect(page.get_by_text("1 service already sends this key upstream.")).to_be_visible()
    expect(page.locator("#bind-summary")).to_contain_text("Version 1, rotated")
    picker.fill("nobody")
    page.keyboard.press("Tab")
    expect(page.get_by_text("No key is named “nobody” in this region.")).to_be_visible()
    expect(page.get_by_label("Consumer name")).to_be_visible()  # the rest of the panel stands


def test_a_consumer_is_bound_by_keyboard_alone(visit: Visit, region: Region) -> None:
    page = visit("/local/consumers/", as_="olive")
    page.get_by_role("link", name="Create consumer").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.type("by-keyboard")
    for _field in ("method", "generation", "key"):
        page.keyboard.press("Tab")
    page.keyboard.type("spar")
    expect(page.get_by_role("option").locator("mark")).to_have_text("spar")  # the answer to all four letters
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    for _field in range(20):
        page.keyboard.press("Tab")
        if "Create consumer" in focused(page):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("by-keyboard")


def test_what_is_wrong_takes_the_focus_and_all_but_the_value_stays(visit: Visit, region: Region, watch: Watch) -> None:
    watch.allow("422")
    page = visit("/local/consumers/")
    open_panel(page, "Create consumer")
    page.get_by_label("Consumer name").fill("Acme Partner")
    generation(page, "Custom")
    page.get_by_label("Credential", exact=True).fill(VALUE)
    source(page, "Custom query parameter")
    page.get_by_label("Parameter", exact=True).fill("token")
    page.get_by_role("button", name="Create consumer").click()
    expect(page.get_by_role("heading", name="There is a problem")).to_be_visible()
    assert "There is a problem" in focused(page)
    assert page.get_by_label("Parameter", exact=True).input_value() == "token"
    assert page.get_by_label("Credential", exact=True).input_value() == ""
    page.get_by_role("group", name="There is a problem").get_by_role("link").first.click()
    assert focused(page) == "id_name"
    assert path_of(page) == "/local/consumers/new/"


def test_the_list_is_searched_as_one_types_and_keeps_its_filter(visit: Visit, region: Region) -> None:
    page = visit("/local/consumers/")
    page.get_by_role("searchbox", name="Search consumers").press_sequentially("ACME")
    expect(page.get_by_role("main").get_by_role("row")).to_have_count(2)
    expect(page.locator("#consumer-found")).to_have_text("1 consumer")
    assert "q=ACME" in page.url
    page.get_by_role("link", name="Disabled", exact=True).click()
    expect(page.get_by_role("heading", name="No consumer matches")).to_be_visible()
    page.get_by_role("link", name="Clear search and filters").click()
    expect(page.get_by_role("main").get_by_role("row")).to_have_count(4)


def test_the_list_is_searched_by_a_button_without_javascript(visit: Visit, region: Region) -> None:
    page = visit("/local/consumers/?show=enabled", javascript=False)
    page.get_by_role("searchbox", name="Search consumers").fill("web")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_role("main").get_by_role("row")).to_have_count(2)
    expect(page).to_have_url(re.compile("q=web&show=enabled$"))


def test_the_page_follows_a_change_until_it_is_in_effect(visit: Visit, region: Region) -> None:
    Consumer.objects.get(name="acme").disable(by=cast.SETUP)
    page = visit("/local/consumers/acme/")
    expect(page.get_by_text("Not delivered yet").first).to_be_visible()
    Node.objects.update(in_effect_seq=AuditHead.objects.get().seq)
    expect(page.locator("#delivery").get_by_text("1 node")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2_500)
    assert asked == []


def test_a_stale_edit_shows_what_is_stored_now(visit: Visit, region: Region, watch: Watch) -> None:
    watch.allow("409")
    page = visit("/local/consumers/acme/", as_="olive")
    page.get_by_role("link", name="Edit").first.click()
    consumer = Consumer.objects.get(name="acme")
    consumer.edit(description="someone else's", sources=consumer.sources, lock_version=1, by=cast.SETUP)
    page.get_by_label("Description").fill("mine")
    page.get_by_role("button", name="Save consumer").click()
    expect(page.get_by_text("someone else's").last).to_be_visible()
    assert page.get_by_label("Description").input_value() == "mine"
    page.get_by_role("button", name="Save consumer").click()
    expect(page.get_by_role("main")).to_contain_text("Consumer acme was saved.")
    assert Consumer.objects.get(name="acme").description == "mine"


def test_who_may_not_is_told_who_may(visit: Visit, region: Region) -> None:
    page = visit("/local/consumers/acme/", as_="vera")
    expect(page.get_by_role("button", name="Edit").first).to_have_attribute("aria-disabled", "true")
    page.get_by_label("More actions").click()
    expect(page.get_by_role("button", name="Delete")).to_have_attribute("aria-disabled", "true")
    expect(page.get_by_text("Needs Operator").first).to_be_attached()


PAGES = [
    "/local/consumers/",
    "/local/consumers/?q=nothing",
    "/local/consumers/?show=unauthorized",
    "/empty/consumers/",
    "/local/consumers/new/",
    "/local/consumers/new/?key=openai_prod",
    "/local/consumers/acme/",
    "/local/consumers/load-test/",
    "/local/consumers/acme/edit/",
    "/local/consumers/web-chat/credentials/0/rotate/",
    "/local/consumers/acme/disable/",
    "/local/consumers/load-test/enable/",
    "/local/consumers/acme/delete/",
]
PANELS = [
    ("/local/consumers/", "Create consumer", ""),
    ("/local/consumers/", "Rotate credential", "Actions for web-chat"),
    ("/local/consumers/", "Enable", "Actions for load-test"),
    ("/empty/consumers/", "Create consumer", ""),
    ("/local/consumers/acme/", "Edit", ""),
    ("/local/consumers/acme/", "Disable", "More actions"),
    ("/local/consumers/acme/", "Delete", "More actions"),
]


def test_every_page_is_for_everybody(visit: Visit, region: Region) -> None:
    Region.create("empty", "Nothing yet", by=cast.SETUP)
    page = visit("/local/consumers/")
    for path in PAGES:
        page.goto(path)
        assert (problems(page), lost_by_tab(page)) == ([], []), path
    page.goto("/local/consumers/")
    page.get_by_label("Actions for acme").press("Enter")
    assert problems(page) == [], "menu"
    assert problems(visit("/empty/consumers/", as_="vera")) == [], "who may not create one"


def test_every_page_is_for_everybody_without_javascript(visit: Visit, region: Region) -> None:
    Region.create("empty", "Nothing yet", by=cast.SETUP)
    page = visit("/local/consumers/")
    for path in PAGES:
        without_script(page, path)
        assert problems(page, LOOKS[::2]) == [], path


def test_every_panel_is_for_everybody_and_gives_the_focus_back(visit: Visit, region: Region) -> None:
    Region.create("empty", "Nothing yet", by=cast.SETUP)
    page = visit("/local/consumers/")
    for path, name, menu in PANELS:
        page.goto(path)
        with panel_by_keyboard(page, name, menu):
            assert (problems(page), lost_by_tab(page)) == ([], []), f"{name} at {path}"
    page.goto("/local/consumers/")
    open_panel(page, "Create consumer")
    page.get_by_role("combobox", name="Bind Key").press_sequentially("openai")
    page.get_by_role("option").first.click()
    expect(page.get_by_text("1 service already sends this key upstream.")).to_be_visible()
    assert problems(page) == [], "a key that services send"
    page.get_by_role("combobox", name="Bind Key").press("ArrowDown")
    expect(page.get_by_role("option").first).to_be_visible()
    assert problems(page) == [], "open list"


def test_wrong_forms_and_a_value_shown_once_are_told_to_everybody(visit: Visit, region: Region, watch: Watch) -> None:
    watch.allow("422")
    page = visit("/local/consumers/new/")
    page.get_by_role("button", name="Create consumer").click()
    expect(page.get_by_role("heading", name="There is a problem")).to_be_visible()
    assert problems(page) == []
    page.get_by_label("Consumer name").fill("ours")
    generation(page, "System-generated")
    page.get_by_role("button", name="Create consumer").click()
    expect(page.get_by_text("This is the only time this value is shown.")).to_be_visible()
    assert problems(page) == []
