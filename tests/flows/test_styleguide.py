"""Every component and state, measured in a real browser: light and dark, wide and narrow, with and without a script."""

import pytest
from playwright.sync_api import expect

from secrets_app.models import User
from tests import cast
from tests.flows.browser import lost_by_tab, open_panel, path_of, problems
from tests.flows.conftest import Visit, Watch

pytestmark = pytest.mark.browser


def test_axe_finds_nothing_on_the_page(visit: Visit) -> None:
    assert problems(visit("/styleguide/")) == []


def test_axe_finds_nothing_in_panels_lists_and_menus(visit: Visit, watch: Watch) -> None:
    watch.allow("422")
    page = visit("/styleguide/")
    open_panel(page, "Create consumer")
    combo = page.get_by_role("dialog").get_by_role("combobox", name="Bind Key")
    combo.fill("open")
    expect(page.locator("dialog [role=option], main .sheet [role=option]")).to_have_count(3)
    combo.press("ArrowDown")
    assert problems(page) == []
    page.get_by_role("button", name="Create consumer").click()
    expect(page.get_by_role("dialog").get_by_role("group", name="There is a problem")).to_be_visible()
    assert problems(page) == []
    for scene in ("consumer", "holders", "decision"):  # the same panels as pages of their own
        page.goto(f"/styleguide/{scene}/")
        assert problems(page) == [], scene
    for name in ("Drawer", "Decision", "Shown once"):
        page.goto("/styleguide/")
        open_panel(page, name)
        assert problems(page) == [], name
        if name == "Shown once":
            page.get_by_label("I have stored it").check()


def test_axe_finds_nothing_on_the_way_in_and_on_errors(visit: Visit, watch: Watch) -> None:
    watch.allow("404 (Not Found)")
    page = visit("/sign-in/", as_="")
    assert problems(page) == []
    page.goto("/nothing-is-here")
    assert problems(page) == []


@pytest.mark.parametrize("width", [320, 390, 720, 768, 1024, 1100, 1440])
def test_nothing_runs_out_of_the_page(visit: Visit, width: int) -> None:
    """720 is also what 1440 has left at twice the size."""
    page = visit("/styleguide/", width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.goto("/styleguide/consumer/")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1440, 390])
def test_every_pointer_target_has_room(visit: Visit, width: int) -> None:
    """WCAG 2.5.8: 24 px, but for links inside a sentence."""
    page = visit("/styleguide/", width=width)
    small = page.evaluate("""() => [...document.querySelectorAll('a[href], button, summary, input:not([type=hidden]), select, textarea')]
        .filter((one) => one.checkVisibility() && !one.closest('p, .skip, .check'))
        .map((one) => [one, (one.matches('input') && one.closest('label') || one).getBoundingClientRect()])
        .filter(([one, box]) => box.width && (box.width < 24 || box.height < 24) && getComputedStyle(one).display !== 'inline')
        .map(([one, box]) => `${one.outerHTML.slice(0, 90)} ${box.width}x${box.height}`)""")
    assert small == []


def test_motion_stops_for_whoever_asks(visit: Visit) -> None:
    page = visit("/styleguide/", reduced_motion="reduce")
    longest = page.evaluate("""() => Math.max(...[...document.querySelectorAll('*')].flatMap((one) => {
        const style = getComputedStyle(one);
        return `${style.transitionDuration},${style.animationDuration}`.split(',').map(parseFloat);
    }))""")
    assert longest <= 0.001


def test_chosen_and_disabled_are_told_apart_in_forced_colours(visit: Visit) -> None:
    page = visit("/styleguide/", forced_colors="active")
    outlines = page.evaluate("""() => ['.choice:has(:checked)', '.seg label:has(:checked)', '.choice:not(:has(:checked))']
        .map((one) => getComputedStyle(document.querySelector(one)).outlineStyle)""")
    assert outlines == ["solid", "solid", "none"]


def test_the_theme_is_the_user_s_own(visit: Visit) -> None:
    cast.person("alice")
    User.objects.update(theme="dark")
    page = visit("/styleguide/", theme="light")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    page.get_by_label("Account: alice").click()
    page.get_by_role("button", name="Light").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    assert path_of(page) == "/styleguide/"


def test_a_walk_by_tab_is_always_seen(visit: Visit) -> None:
    page = visit("/styleguide/")
    assert lost_by_tab(page) == []


# ── Navigation ──


@pytest.mark.parametrize("javascript", [True, False])
def test_on_a_phone_the_navigation_opens_and_closes(visit: Visit, javascript: bool) -> None:
    page = visit("/styleguide/", width=390, javascript=javascript)
    navigation = page.get_by_role("navigation", name="Main")
    expect(navigation).to_be_hidden()
    page.get_by_role("button", name="Open navigation").click()
    expect(navigation).to_be_visible()
    page.keyboard.press("Escape")
    expect(navigation).to_be_hidden()
    page.get_by_role("button", name="Open navigation").click()
    page.get_by_role("button", name="Close navigation").click()
    expect(navigation).to_be_hidden()


@pytest.mark.parametrize("javascript", [True, False])
def test_menus_open_with_and_without_a_script(visit: Visit, javascript: bool) -> None:
    page = visit("/styleguide/", javascript=javascript)
    page.get_by_text("All regions").click()
    expect(page.get_by_role("navigation", name="Region").get_by_role("link")).to_have_count(1)
    page.get_by_label("Account: alice").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    expect(page.get_by_role("navigation", name="Region")).to_be_hidden()


def test_escape_closes_a_menu_and_gives_the_focus_back(visit: Visit) -> None:
    page = visit("/styleguide/")
    account = page.get_by_label("Account: alice")
    account.click()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    expect(account).to_be_focused()
    account.click()
    page.get_by_role("heading", name="Styleguide").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()


def test_a_row_s_menu_is_not_cut_off_by_its_table(visit: Visit) -> None:
    page = visit("/styleguide/", width=1150)
    page.get_by_label("Actions for partner_acme_inbound").click()
    page.get_by_role("link", name="Delete").last.click()
    expect(page.get_by_role("dialog")).to_be_visible()
