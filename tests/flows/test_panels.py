"""Panels: addresses, focus, history, unsaved changes, values shown once; and what is said when something goes wrong."""

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests import cast
from tests.flows.browser import focused, generation, open_panel, path_of
from tests.flows.conftest import Visit, Watch

pytestmark = pytest.mark.browser


def test_a_panel_has_an_address_and_gives_it_back(visit: Visit) -> None:
    page = visit("/styleguide/")
    pages_fetched: list[str] = []
    page.on("response", lambda response: pages_fetched.append(response.url) if response.url.endswith("/styleguide/") else None)
    open_panel(page, "Create consumer")
    assert path_of(page) == "/styleguide/consumer/"
    assert page.title() == "Create consumer · Latchkey"
    assert focused(page) == "id_name"
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    assert path_of(page) == "/styleguide/"
    assert page.title() == "Styleguide · Latchkey"
    assert focused(page) == "Create consumer"
    assert pages_fetched == []  # the page below was standing all the time


@pytest.mark.parametrize("way", ["back", "cross", "cancel", "outside"])
def test_a_panel_closes_in_every_usual_way(visit: Visit, way: str) -> None:
    page = visit("/styleguide/")
    open_panel(page, "Create consumer")
    if way == "back":
        page.go_back()
    elif way == "outside":
        page.mouse.click(300, 500)
    else:
        page.get_by_role("dialog").get_by_role("link", name={"cross": "Close", "cancel": "Cancel"}[way]).click()
    expect(page.locator("#panel")).to_be_hidden()
    assert path_of(page) == "/styleguide/"
    assert focused(page) == "Create consumer"


def test_the_focus_stays_in_the_panel(visit: Visit) -> None:
    page = visit("/styleguide/")
    open_panel(page, "Decision")
    for _step in range(8):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")


def test_forward_and_reload_show_the_panel_as_a_page(visit: Visit) -> None:
    page = visit("/styleguide/")
    open_panel(page, "Create consumer")
    page.go_back()
    page.go_forward()
    expect(page.get_by_role("heading", level=1, name="Create consumer")).to_be_visible()
    expect(page.locator("#panel")).to_be_hidden()
    page.reload()
    expect(page.get_by_role("heading", level=1, name="Create consumer")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", level=1, name="Styleguide")).to_be_visible()


@pytest.mark.parametrize("way", ["Escape", "back"])
def test_unsaved_changes_ask_once(visit: Visit, way: str) -> None:
    page = visit("/styleguide/")

    def leave() -> None:
        page.keyboard.press("Escape") if way == "Escape" else page.go_back()

    open_panel(page, "Create consumer")
    page.get_by_role("dialog").get_by_label("Consumer name").fill("acme")
    leave()
    page.get_by_role("button", name="Keep editing").click()
    expect(page.get_by_role("dialog").get_by_label("Consumer name")).to_have_value("acme")
    assert path_of(page) == "/styleguide/consumer/"
    leave()
    page.get_by_role("button", name="Discard").click()
    expect(page.locator("#panel")).to_be_hidden()
    assert path_of(page) == "/styleguide/"


def test_problems_take_the_focus_and_keep_what_was_typed(visit: Visit, watch: Watch) -> None:
    watch.allow("422")
    page = visit("/styleguide/")
    open_panel(page, "Create consumer")
    panel = page.get_by_role("dialog")
    panel.get_by_label("Consumer name").fill("acme")
    panel.get_by_label("Bind Key", exact=True).fill("opnai_prod")
    panel.get_by_role("button", name="Create consumer").click()
    summary = panel.get_by_role("group", name="There is a problem")
    expect(summary).to_be_focused()
    assert page.title().startswith("Error: ")
    expect(panel.get_by_label("Consumer name")).to_have_value("acme")
    summary.get_by_role("link").click()
    expect(panel.get_by_label("Bind Key", exact=True)).to_be_focused()
    page.keyboard.press("Escape")  # what was typed is still unsaved
    expect(page.get_by_role("button", name="Discard")).to_be_visible()


def test_a_deed_leads_on_and_leaves_no_form_behind_in_the_history(visit: Visit) -> None:
    page = visit("/styleguide/holders/")
    page.goto("/styleguide/")
    open_panel(page, "Create consumer")
    panel = page.get_by_role("dialog")
    panel.get_by_label("Consumer name").fill("acme")
    panel.get_by_label("Bind Key", exact=True).fill("openai_prod")
    panel.get_by_role("button", name="Create consumer").click()
    expect(page.get_by_role("status").filter(has_text="Consumer created.")).to_be_visible()
    expect(page.locator("#panel")).to_be_hidden()
    assert path_of(page) == "/styleguide/"
    # The page before has the same address and heading: only that it was asked for tells that it came back.
    with page.expect_response(lambda response: "hx-history-restore-request" in response.request.headers) as restored:
        page.go_back()
    assert urlsplit(restored.value.url).path == "/styleguide/"
    expect(page.get_by_role("status").filter(has_text="Consumer created.")).to_have_count(0)
    page.go_back()
    expect(page.get_by_role("heading", level=1, name="Referenced by 5 holders")).to_be_visible()


# ── A value shown once ──


def test_a_value_shown_once_cannot_be_left_by_accident(visit: Visit) -> None:
    page = visit("/styleguide/")
    open_panel(page, "Create consumer")
    panel = page.get_by_role("dialog")
    panel.get_by_label("Consumer name").fill("acme")
    generation(page, "System-generated")
    panel.get_by_role("button", name="Create consumer").click()
    value = panel.get_by_label("API key")
    expect(value).to_have_value(re.compile("^lk_"))
    for leave in (
        lambda: page.keyboard.press("Escape"),
        lambda: page.keyboard.press("Escape"),
        lambda: page.mouse.click(300, 500),
        lambda: page.go_back(),
        lambda: panel.get_by_role("link", name="Close").click(),
        lambda: panel.get_by_role("link", name="Done").click(),
    ):
        leave()
        expect(value).to_be_visible()
        expect(panel.get_by_role("alert")).to_contain_text("Copy it, or say that you have stored it")
    panel.get_by_label("I have stored it").check()
    panel.get_by_role("link", name="Done").click()
    expect(page.locator("#panel")).to_be_hidden()


def test_copying_the_value_opens_the_way_and_says_copied(visit: Visit) -> None:
    page = visit("/styleguide/", permissions=["clipboard-read", "clipboard-write"])
    open_panel(page, "Shown once")
    panel = page.get_by_role("dialog")
    panel.get_by_role("button", name="Copy").click()
    expect(panel.get_by_role("status").filter(has_text="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == panel.get_by_label("API key").input_value()
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    expect(page.locator("#once-value")).to_have_count(0)
    assert "lk_" not in page.evaluate("JSON.stringify([localStorage, sessionStorage])")


def test_the_value_can_be_saved_as_env(visit: Visit) -> None:
    page = visit("/styleguide/once/")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download .env").click()
    assert re.fullmatch(r"LATCHKEY_API_KEY=lk_\w+\n", download.value.path().read_text())
    assert download.value.suggested_filename == "latchkey_api_key.env"
    page.get_by_role("link", name="Done").click()
    assert path_of(page) == "/styleguide/"


def test_a_value_being_typed_is_masked_until_asked(visit: Visit) -> None:
    page = visit("/styleguide/consumer/")
    generation(page, "Custom")
    field = page.get_by_label("Credential", exact=True)
    field.fill("a-value-of-16-chars")
    expect(field).to_have_attribute("type", "password")
    page.get_by_role("button", name="Show Credential").click()
    expect(field).to_have_attribute("type", "text")
    page.get_by_role("button", name="Show Credential").click()
    expect(field).to_have_attribute("type", "password")


# ── When things go wrong ──


def test_a_console_that_cannot_be_reached_is_said(visit: Visit, watch: Watch) -> None:
    watch.allow("ERR_", "htmx:")
    page = visit("/styleguide/")
    page.context.set_offline(True)
    page.get_by_role("main").get_by_role("link", name="Decision", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("could not be reached")
    page.context.set_offline(False)
    open_panel(page, "Decision")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_what_is_gone_meanwhile_is_said_in_the_panel(visit: Visit, watch: Watch) -> None:
    watch.allow("404", "Response Status Error")
    page = visit("/styleguide/")
    open_panel(page, "Decision")
    page.route("**/styleguide/decision/", lambda route: route.fulfill(status=404, body="gone"))
    page.get_by_role("dialog").get_by_role("textbox").fill("openai_prod")
    page.get_by_role("dialog").get_by_role("button", name="Delete key").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("no longer exists")


def test_while_the_database_is_away_the_panel_keeps_what_was_typed(visit: Visit, watch: Watch) -> None:
    watch.allow("503")
    page = visit("/styleguide/")
    open_panel(page, "Decision")
    away = {"Retry-After": "5", "HX-Reswap": "none", "HX-Trigger": "database-away"}  # console/refusals.py
    page.route("**/styleguide/decision/", lambda route: route.fulfill(status=503, headers=away))
    typed = page.get_by_role("dialog").get_by_role("textbox")
    typed.fill("openai_prod")
    page.get_by_role("dialog").get_by_role("button", name="Delete key").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("The database does not answer")
    assert typed.input_value() == "openai_prod"


def test_a_session_that_ended_takes_the_whole_window_to_sign_in(visit: Visit, watch: Watch) -> None:
    watch.allow("401")
    page = visit("/styleguide/")
    page.context.clear_cookies(name="latchkey")
    page.get_by_role("main").get_by_role("link", name="Decision", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Sign in to Latchkey")).to_be_visible()
    assert "next=%2Fstyleguide%2F" in page.url
    expect(page.locator("#panel")).to_be_hidden()


def test_signing_in_with_a_wrong_password_is_told_and_leaks_nothing(visit: Visit, watch: Watch) -> None:
    watch.allow("422")
    cast.person("alice")
    page = visit("/sign-in/?next=/styleguide/", as_="")
    page.get_by_label("Username").fill("alice")
    page.get_by_label("Password", exact=True).fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("group", name="There is a problem")).to_be_focused()
    assert "not the password" not in page.content()
    page.get_by_label("Password", exact=True).fill(cast.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1, name="Styleguide")).to_be_visible()


# ── Without JavaScript ──


def test_a_panel_is_a_page_and_its_form_works(visit: Visit, watch: Watch) -> None:
    watch.allow("422")
    page = visit("/styleguide/", javascript=False)
    page.get_by_role("main").get_by_role("link", name="Create consumer", exact=True).first.click()
    expect(page.get_by_role("heading", level=1, name="Create consumer")).to_be_visible()
    expect(page.get_by_label("Bind Key", exact=True)).to_be_visible()
    expect(page.get_by_label("Credential", exact=True)).to_be_hidden()
    generation(page, "Custom")
    expect(page.get_by_label("Credential", exact=True)).to_be_visible()
    expect(page.get_by_label("Bind Key", exact=True)).to_be_hidden()
    expect(page.get_by_role("button", name="Show Credential")).to_be_hidden()
    generation(page, "Reference Key")
    page.get_by_label("Consumer name").fill("acme")
    page.get_by_label("Bind Key", exact=True).fill("opnai_prod")
    page.get_by_role("button", name="Create consumer").click()
    expect(page.get_by_role("group", name="There is a problem")).to_be_visible()
    assert page.title().startswith("Error: ")
    page.get_by_label("Bind Key", exact=True).fill("openai_prod")
    page.get_by_role("button", name="Create consumer").click()
    expect(page.get_by_role("status").filter(has_text="Consumer created.")).to_be_visible()
    assert path_of_plain(page) == "/styleguide/"


def test_a_value_shown_once_can_be_read_and_left(visit: Visit) -> None:
    page = visit("/styleguide/once/", javascript=False)
    expect(page.get_by_label("API key")).to_have_value(re.compile("^lk_"))
    expect(page.get_by_role("button", name="Copy")).to_be_hidden()
    expect(page.get_by_label("I have stored it")).to_be_hidden()
    page.get_by_role("link", name="Done").click()
    assert path_of_plain(page) == "/styleguide/"


def path_of_plain(page: Page) -> str:
    return "/" + page.url.split("/", 3)[3]
