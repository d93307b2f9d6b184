"""The service pages in a real browser, by visible labels: with JavaScript, without, and for assistive technology."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from gateway.models import ControlPlane, Instance, Node, Problem, Service
from secrets_app.models import AuditHead, Region
from tests import cast
from tests.flows.browser import LOOKS, focused, generation, lost_by_tab, open_panel, panel_by_keyboard, problems, without_script
from tests.flows.conftest import Visit, Watch

pytestmark = pytest.mark.browser

VALUE = "sk-the-suppliers-own-value-0123456789"


@pytest.fixture
def east(visit: Visit) -> Instance:
    """An instance with a node, an old one, three services and sixty consumers."""
    region = Region.objects.get(name="local")
    east = cast.instance(region, "prod-east")
    cast.instance(region, "old", version="2.1.10")
    for name in ("openai_prod", "openai_batch"):
        cast.key(region, name)
    for number in range(60):
        cast.consumer(region, f"team-{number:02d}", description="Nightly job" if number % 2 else "")
    cast.consumer(region, "acme", description="Acme Inc.")
    chat = cast.service(east, "chat", keys=list(region.keys.filter(name="openai_prod")))
    chat.authorize(["acme"], by=cast.SETUP)
    clear = cast.service(east, "internal", address="http://10.0.0.7:8000/v1")
    Problem.objects.create(region=region, holder_kind="ai_service", holder_id=clear.pk, path="api_keys[0]", reason="unreadable")
    cast.service(east, "public").open(by=cast.SETUP)
    node, _token = Node.join(east, "node", "127.0.0.1", 9000, by=cast.SETUP)
    Node.objects.filter(pk=node.pk).update(connected=True, in_effect_seq=AuditHead.objects.get().seq)
    ControlPlane.beat(started=True)
    return east


def at(instance: Instance, rest: str = "") -> str:
    return f"/local/instances/{instance.ref}/services/{rest}"


def model(page: Page) -> Locator:
    """What is asked of an AI service; an Agent service's fields stand in the same form, hidden."""
    return page.get_by_role("group", name="Large Model Configuration")


@pytest.mark.parametrize("javascript", [True, False])
def test_create_a_service_authorize_a_consumer_and_take_it_back(visit: Visit, east: Instance, javascript: bool) -> None:
    page = visit("/local/instances/", as_="olive", javascript=javascript)
    page.get_by_role("link", name=east.ref).click()
    page.get_by_role("main").get_by_role("link", name="Service", exact=True).click()
    page.get_by_role("link", name="Create Service").first.click()
    page.get_by_label("Service name").fill("claude")
    page.get_by_label("Large model supplier").select_option(label="Claude (Anthropic)")
    generation(page, "Reference Key")
    model(page).get_by_label("API Key", exact=True).last.fill("openai_batch")
    page.get_by_role("button", name="Create service").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("claude")
    expect(page.get_by_role("main")).to_contain_text("https://api.anthropic.com/v1")
    expect(page.get_by_role("link", name="$ref{openai_batch}").first).to_be_visible()
    expect(page.get_by_text("Callers get 403: authorize a consumer")).to_be_visible()

    page.get_by_role("link", name="Authorize", exact=True).click()
    page.get_by_label("Consumers", exact=True).fill("acme")
    if not javascript:
        page.get_by_role("button", name="Search").click()
    page.get_by_role("checkbox", name="acme").check()
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_role("main").get_by_role("link", name="acme", exact=True)).to_be_visible()

    page.get_by_role("link", name="Turn off", exact=True).click()
    expect(page.get_by_text("on your keys and your bill")).to_be_visible()
    page.get_by_role("button", name="Turn off").click()
    expect(page.get_by_text("Off, open to anybody")).to_be_visible()
    page.get_by_role("link", name="Turn on", exact=True).click()
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_role("main")).to_contain_text("claude asks its callers for: API Key.")

    page.get_by_role("link", name="Revoke the authorization of acme").click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("main")).to_contain_text("acme may no longer call claude.")

    page.get_by_label("More actions").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_label("Type claude to confirm").fill("claude")
    page.get_by_role("button", name="Delete service").click()
    expect(page.get_by_role("main")).to_contain_text("Service claude was deleted.")
    assert not Service.objects.filter(name="claude").exists()


def test_a_supplier_fills_in_its_address_and_no_value_stands_in_an_address(visit: Visit, east: Instance) -> None:
    page = visit(at(east), as_="olive")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_panel(page, "Create Service")
    generation(page, "Custom")
    model(page).get_by_label("API Key", exact=True).first.fill(VALUE)
    page.get_by_label("Large model supplier").select_option(label="OpenAI")
    address = model(page).get_by_label("Service address")
    expect(address).to_have_value("https://api.openai.com/v1")
    page.get_by_label("Large model supplier").select_option(label="Gemini")
    expect(address).to_have_value("https://generativelanguage.googleapis.com/v1beta/openai")
    address.fill("http://proxy.example/v1")
    page.get_by_label("Large model supplier").select_option(label="OpenAI-compatible")
    expect(page.get_by_text("The key travels in clear.")).to_be_visible()
    expect(address).to_have_value("http://proxy.example/v1")
    model(page).get_by_role("button", name="Add another API key").first.click()
    expect(model(page).get_by_label("API Key 2", exact=True)).to_be_focused()
    model(page).get_by_label("API Key 2", exact=True).fill(VALUE + "-2")
    model(page).get_by_role("button", name="Add another API key").first.click()
    expect(model(page).get_by_label("API Key 3", exact=True)).to_be_focused()
    page.get_by_role("button", name="Remove API Key 2").click()
    expect(model(page).get_by_label("API Key 2", exact=True)).to_have_count(0)
    expect(model(page).get_by_label("API Key 3", exact=True)).to_be_focused()
    assert model(page).get_by_label("API Key", exact=True).first.input_value() == VALUE  # rows come and go around what was typed
    model(page).get_by_label("API Key 3", exact=True).fill(VALUE + "-3")
    page.get_by_label("Service name").fill("proxied")
    page.get_by_role("button", name="Create service").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("proxied")
    expect(page.get_by_text("Calls are spread evenly over these keys.")).to_be_visible()
    assert len(Service.objects.get(name="proxied").uses) == 2
    assert not [url for url in asked if VALUE in url]


def test_rows_come_and_go_without_javascript(visit: Visit, east: Instance) -> None:
    page = visit(at(east, "new/"), as_="olive", javascript=False)
    page.get_by_label("Service name").fill("two")
    page.get_by_label("Large model supplier").select_option(label="OpenAI")
    generation(page, "Reference Key")
    model(page).get_by_label("API Key", exact=True).last.fill("openai_prod")
    model(page).get_by_role("button", name="Add another API key").last.click()
    assert page.get_by_label("Service name").input_value() == "two"
    model(page).get_by_label("API Key 2", exact=True).fill("openai_batch")
    page.get_by_role("button", name="Create service").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("two")
    assert [use.key.name for use in Service.objects.get(name="two").uses] == ["openai_prod", "openai_batch"]


def test_picking_several_among_many(visit: Visit, east: Instance) -> None:
    page = visit(at(east, "chat/"), as_="olive")
    page.get_by_role("link", name="Authorize", exact=True).click()
    search = page.get_by_label("Consumers", exact=True)
    expect(page.get_by_text("There are more. Type to narrow the list.")).to_be_visible()
    search.fill("team-5")
    expect(page.get_by_role("group", name="Found").get_by_role("checkbox")).to_have_count(10)
    page.get_by_role("checkbox", name="team-57").check()
    search.fill("team-04")
    expect(page.get_by_role("group", name="Chosen").get_by_role("checkbox")).to_have_count(1)
    expect(page.get_by_role("group", name="Found").get_by_role("checkbox")).to_have_count(1)
    assert focused(page) == "id_q"
    page.get_by_role("checkbox", name="team-04").check()
    search.fill("nobody-like-that")
    expect(page.get_by_text("No other consumer matches.")).to_be_visible()
    expect(page.get_by_role("group", name="Chosen").get_by_role("checkbox")).to_have_count(2)
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_role("link", name="team-57", exact=True)).to_be_visible()
    assert set(Service.objects.get(name="chat").consumers.values_list("name", flat=True)) == {"acme", "team-04", "team-57"}


@pytest.mark.parametrize("javascript", [True, False])
def test_the_list_is_searched_as_one_types_or_by_a_button(visit: Visit, east: Instance, javascript: bool) -> None:
    page = visit(at(east), javascript=javascript)
    rows = page.get_by_role("main").get_by_role("row")
    page.get_by_role("searchbox", name="Search services").press_sequentially("INTER")
    if javascript:
        expect(page.locator("#service-found")).to_have_text("1 service")
        assert focused(page) == "service-search"
    else:
        page.get_by_role("button", name="Search", exact=True).click()
    expect(rows).to_have_count(2)
    expect(rows.last).to_contain_text("internal")
    expect(page).to_have_url(re.compile("q=INTER$"))
    page.reload()
    expect(rows).to_have_count(2)
    page.get_by_role("searchbox", name="Search services").fill("nobody")
    if not javascript:
        page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
    page.get_by_role("link", name="Clear search and filters").click()
    expect(rows).to_have_count(4)


def test_a_long_list_of_consumers_is_searched(visit: Visit, east: Instance) -> None:
    Service.objects.get(name="chat").authorize([f"team-{number:02d}" for number in range(60)], by=cast.SETUP)
    page = visit(at(east, "chat/"))
    page.get_by_role("link", name="Next page").click()
    expect(page.get_by_role("link", name="team-59", exact=True)).to_be_visible()
    page.get_by_role("searchbox", name="Search authorized consumers").press_sequentially("acme")
    expect(page.locator("#authorized-list").get_by_role("row")).to_have_count(2)
    expect(page.locator("#authorized-found")).to_have_text("1 consumer")
    assert "q=acme" in page.url


def test_an_old_instance_offers_no_references(visit: Visit, east: Instance) -> None:
    old = Instance.objects.get(name="old")
    page = visit(at(old, "new/"))
    expect(page.get_by_role("radio", name="Reference Key")).to_be_disabled()
    expect(page.get_by_role("radio", name="Custom")).to_be_checked()
    expect(model(page).get_by_text("Key references need version 2.1.11 or later; this instance has 2.1.10.")).to_be_visible()


def test_an_edit_keeps_what_is_stored_unless_others_are_entered(visit: Visit, east: Instance, watch: Watch) -> None:
    watch.allow("409")
    page = visit(at(east, "public/"), as_="olive")
    page.get_by_role("link", name="Edit").first.click()
    expect(page.get_by_text("1 value is stored. Leave the field empty to keep it.")).to_be_visible()
    Service.objects.filter(name="public").update(lock_version=7, address="https://api.example.com/theirs")
    model(page).get_by_label("Service address").fill("https://api.example.com/mine")
    page.get_by_role("button", name="Save service").click()
    expect(page.get_by_text("https://api.example.com/theirs")).to_be_visible()
    page.get_by_role("button", name="Save service").click()
    expect(page.get_by_role("main")).to_contain_text("Service public was saved.")
    assert Service.objects.get(name="public").address == "https://api.example.com/mine"


def test_the_base_url_is_copied(visit: Visit, east: Instance) -> None:
    page = visit(at(east, "chat/"), permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the base URL").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "http://localhost:9000/ai/chat"


PAGES = [
    "",
    "?q=nothing",
    "new/",
    "chat/",
    "internal/",
    "public/",
    "chat/edit/",
    "public/edit/",
    "chat/authorize/",
    "chat/open/",
    "public/require-authentication/",
    "chat/revoke/acme/",
    "chat/delete/",
]
PANELS = [
    ("", "Create Service", ""),
    ("public/", "Edit", ""),
    ("chat/", "Authorize", ""),
    ("chat/", "Turn off", ""),
    ("public/", "Turn on", ""),
    ("chat/", "Revoke the authorization of acme", ""),
    ("chat/", "Delete", "More actions"),
]


def test_every_page_is_for_everybody(visit: Visit, east: Instance) -> None:
    page = visit(at(east))
    for path in PAGES:
        page.goto(at(east, path))
        assert (problems(page), lost_by_tab(page)) == ([], []), path
    empty = at(Instance.objects.get(name="old"))
    page.goto(empty)
    assert problems(page) == [], "nothing yet"
    assert problems(visit(empty, as_="vera")) == [], "who may not create one"


def test_every_page_is_for_everybody_without_javascript(visit: Visit, east: Instance) -> None:
    page = visit(at(east))
    for path in PAGES:
        without_script(page, at(east, path))
        assert problems(page, LOOKS[::2]) == [], path


def test_every_panel_is_for_everybody_and_gives_the_focus_back(visit: Visit, east: Instance) -> None:
    page = visit(at(east))
    for path, name, menu in PANELS:
        page.goto(at(east, path))
        with panel_by_keyboard(page, name, menu):
            assert (problems(page), lost_by_tab(page)) == ([], []), f"{name} at {path}"
    page.goto(at(east))
    open_panel(page, "Create Service")
    model(page).get_by_role("button", name="Add another API key").last.click()
    page.get_by_role("combobox", name="API Key 2").press_sequentially("open")
    expect(page.get_by_role("listbox").get_by_role("option").first).to_be_visible()
    assert problems(page) == [], "open list"


def test_wrong_forms_are_told_to_everybody(visit: Visit, east: Instance, watch: Watch) -> None:
    watch.allow("422")
    page = visit(at(east, "new/"))
    page.get_by_role("button", name="Create service").click()
    expect(page.get_by_role("heading", name="There is a problem")).to_be_visible()
    assert problems(page) == []
    page.goto(at(east, "chat/authorize/"))
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_role("group", name="There is a problem").get_by_role("link")).to_have_text(re.compile("Choose at least one"))
    page.get_by_role("group", name="There is a problem").get_by_role("link").click()
    assert focused(page) == "id_q"
    assert problems(page) == []
