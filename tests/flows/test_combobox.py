"""The picker keeps the contract of the WAI-ARIA APG: editable combobox with list autocomplete and manual selection."""

from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.flows.browser import open_panel, path_of
from tests.flows.conftest import Visit, Watch

pytestmark = pytest.mark.browser


@pytest.fixture
def combo(visit: Visit) -> Any:
    page = visit("/styleguide/")
    open_panel(page, "Create consumer")
    return page.get_by_role("dialog").get_by_role("combobox", name="Bind Key")


def options(combo: Any) -> Any:
    return combo.page.get_by_role("dialog").locator("[role=option]")


def chosen(combo: Any) -> str:
    """The option that assistive technology hears, which must exist and be in view."""
    name = combo.get_attribute("aria-activedescendant")
    if not name:
        return ""
    option = combo.page.locator(f"#{name}")
    expect(option).to_be_in_viewport()
    expect(option).to_have_attribute("aria-selected", "true")
    return str(option.get_attribute("data-value"))


def test_the_combobox_says_what_it_is(combo: Any) -> None:
    expect(combo).to_have_attribute("aria-autocomplete", "list")
    expect(combo).to_have_attribute("aria-expanded", "false")
    assert combo.page.locator(f"#{combo.get_attribute('aria-controls')}").get_attribute("role") == "listbox"


def test_typing_opens_the_list_and_nothing_is_chosen_by_itself(combo: Any) -> None:
    combo.press_sequentially("open")
    expect(options(combo)).to_have_count(3)
    expect(combo).to_have_attribute("aria-expanded", "true")
    assert chosen(combo) == ""
    expect(combo.page.get_by_role("status").filter(has_text="3 keys in the list")).to_have_count(1)


def test_arrows_move_and_enter_chooses_without_sending_the_form(combo: Any) -> None:
    combo.press_sequentially("open")
    expect(options(combo)).to_have_count(3)
    moves = []
    for key in ("ArrowDown", "ArrowDown", "ArrowUp", "ArrowUp"):
        combo.press(key)
        moves.append(chosen(combo))
    assert moves == ["openai_prod", "openai_embeddings", "openai_prod", "openai_staging"]
    combo.press("Enter")
    expect(combo).to_have_value("openai_staging")
    expect(combo).to_have_attribute("aria-expanded", "false")
    expect(combo).to_be_focused()
    assert path_of(combo.page) == "/styleguide/consumer/"


def test_down_opens_the_list_and_alt_up_closes_it(combo: Any) -> None:
    combo.press("ArrowDown")
    expect(options(combo)).to_have_count(6)
    combo.press("Alt+ArrowUp")
    expect(combo).to_have_attribute("aria-expanded", "false")


def test_escape_closes_the_list_and_not_the_panel(combo: Any) -> None:
    combo.press_sequentially("open")
    expect(options(combo)).to_have_count(3)
    combo.press("Escape")
    expect(combo).to_have_attribute("aria-expanded", "false")
    expect(combo).to_have_value("open")
    expect(combo.page.get_by_role("dialog")).to_be_visible()


def test_tab_leaves_with_what_was_typed(combo: Any) -> None:
    combo.press_sequentially("openai_prod")
    expect(options(combo)).to_have_count(1)
    combo.press("Tab")
    expect(combo).to_have_attribute("aria-expanded", "false")
    expect(combo).to_have_value("openai_prod")


def test_a_click_chooses_and_keeps_the_focus(combo: Any) -> None:
    combo.click()
    options(combo).nth(1).click()
    expect(combo).to_have_value("openai_embeddings")
    expect(combo).to_be_focused()


def test_nothing_that_matches_is_said(combo: Any) -> None:
    combo.press_sequentially("zzz")
    expect(combo.page.get_by_role("dialog").locator(".listbox-none")).to_be_visible()
    combo.press("Enter")
    expect(combo.page.get_by_role("dialog")).to_be_visible()


def test_a_late_answer_never_overwrites_a_newer_one(combo: Any, watch: Watch) -> None:
    watch.allow("htmx:")  # it reports the request it gave up
    page = combo.page
    page.route("**/options/?q=slow", lambda route: None)  # never answered
    with page.expect_request("**/options/?q=slow"):
        combo.fill("slow")
    with page.expect_event("requestfailed", lambda request: request.url.endswith("q=slow")):
        combo.fill("open")
    expect(options(combo)).to_have_count(3)


def test_the_button_can_be_pressed_while_the_list_is_open(visit: Visit, watch: Watch) -> None:
    watch.allow("422")
    page = visit("/styleguide/consumer/")
    page.get_by_label("Bind Key", exact=True).fill("open")
    expect(page.locator("dialog [role=option], main .sheet [role=option]")).to_have_count(3)
    page.get_by_role("button", name="Create consumer").click()
    expect(page.get_by_role("group", name="There is a problem")).to_be_focused()


def test_the_list_is_in_view_where_the_field_stands_low(combo: Any) -> None:
    page = combo.page
    page.set_viewport_size({"width": 1440, "height": 480})
    combo.click()
    expect(options(combo).first).to_be_visible()
    body, listbox = page.locator(".panel-body").bounding_box(), page.locator(".listbox:not([hidden])").bounding_box()
    assert listbox["y"] + listbox["height"] <= body["y"] + body["height"] + 1


def test_the_picker_is_ready_the_moment_its_panel_opens(visit: Visit) -> None:
    page = visit("/styleguide/")
    page.evaluate("""() => new MutationObserver(() => {
        document.body.dataset.found ??= document.querySelectorAll('#panel [role=combobox]').length;
    }).observe(document.getElementById('panel'), { attributes: true })""")
    open_panel(page, "Create consumer")
    assert page.locator("body").get_attribute("data-found") == "1"  # who types at once loses nothing


def test_what_was_typed_before_the_script_came_is_searched(visit: Visit) -> None:
    page = visit("/styleguide/")
    held: list[Route] = []
    page.route("**/console.js", lambda route: held.append(route))
    page.goto("/styleguide/consumer/", wait_until="commit")
    page.get_by_text("Reference Key", exact=True).first.click()
    page.get_by_role("textbox", name="Bind Key").press_sequentially("open")
    held[0].continue_()
    expect(page.locator("[role=option]")).to_have_count(3)
