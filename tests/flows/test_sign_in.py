"""Coming in and going out in a real browser."""

import re

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from secrets_app.models import Region
from tests import cast
from tests.flows.browser import open_panel, problems
from tests.flows.conftest import Visit, Watch

pytestmark = pytest.mark.browser


def sign_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize("javascript", [True, False])
def test_sign_in_leads_to_where_one_wanted_and_sign_out_ends_it(visit: Visit, watch: Watch, javascript: bool) -> None:
    watch.allow("422")
    cast.person("kim")
    page = visit("/local/keys/?q=openai", as_="", javascript=javascript)
    expect(page).to_have_title("Sign in · Latchkey")
    sign_in(page, "kim", "wrong, wrong, wrong")
    expect(page.get_by_role("group", name="There is a problem")).to_contain_text("The username or the password is wrong.")
    expect(page.get_by_label("Username")).to_have_value("kim")
    expect(page.get_by_label("Password", exact=True)).to_have_value("")
    sign_in(page, "kim", cast.PASSWORD)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Keys")
    assert page.url.endswith("/local/keys/?q=openai")
    page.get_by_label("Account: kim").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_title("Sign in · Latchkey")
    page.goto("/local/keys/")
    expect(page).to_have_title("Sign in · Latchkey")


def test_a_session_that_ended_takes_the_whole_page_to_sign_in_and_back(visit: Visit, watch: Watch) -> None:
    watch.allow("401")
    page = visit("/local/keys/", as_="kim")
    page.context.clear_cookies()
    page.get_by_role("main").get_by_role("link", name="Create key").first.click()
    expect(page).to_have_title("Sign in · Latchkey")
    expect(page.get_by_role("dialog")).to_have_count(0)
    sign_in(page, "kim", cast.PASSWORD)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Keys")
    assert page.url.endswith("/local/keys/")


def test_a_form_sent_after_the_session_ended_saves_nothing_and_shows_nothing(visit: Visit, watch: Watch) -> None:
    """The value typed is gone; it stands in no address on the way."""
    watch.allow("401", "403")
    asked: list[str] = []
    page = visit("/local/keys/", as_="kim")
    page.on("request", lambda request: asked.append(request.url))
    open_panel(page, "Create key")
    with page.expect_response("**/keys/new/name/**"):  # the name is looked at meanwhile, while the session lasts
        page.get_by_label("Key name").fill("late")
    page.get_by_label("Key content", exact=True).fill("a-value-typed-too-late")
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    page.get_by_role("button", name="Create key").click()
    expect(page).to_have_title(re.compile("Sign in"))
    assert not any("a-value-typed-too-late" in url for url in asked)
    assert not Region.objects.get(name="local").keys.exists()


@pytest.mark.parametrize("javascript", [True, False])
def test_the_theme_is_chosen_once_and_kept(visit: Visit, javascript: bool) -> None:
    page = visit("/local/", javascript=javascript)
    page.get_by_label("Account: alice").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.url.endswith("/local/")
    again = visit("/local/")
    expect(again.locator("html")).to_have_attribute("data-theme", "dark")


def test_axe_finds_nothing(visit: Visit, watch: Watch) -> None:
    watch.allow("422", "404", "403")
    page = visit("/sign-in/", as_="")
    assert problems(page) == []
    sign_in(page, "nobody", "wrong, wrong, wrong")
    expect(page.get_by_role("group", name="There is a problem")).to_be_visible()
    assert problems(page) == []
    for who, path in (("alice", "/sign-out/"), ("alice", "/no/such/place/"), ("", "/no/such/place/"), ("mallory", "/local/")):
        page = visit(path, as_=who)
        assert problems(page) == [], f"{who} {path}"
