"""Second factors in a real browser: an authenticator app, a security key of the browser's own making, recovery codes, sessions."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests import cast
from tests.flows.browser import open_panel, path_of, problems
from tests.flows.conftest import Visit, Watch
from tests.flows.test_sign_in import sign_in

pytestmark = pytest.mark.browser

KEY = {
    "protocol": "ctap2",
    "transport": "usb",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def key_in(page: Page) -> Iterator[CDPSession]:
    """A security key that is plugged in and always touched."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})
    yield session
    session.detach()


def seed_of(page: Page) -> str:
    return page.locator(".seed").inner_text().replace(" ", "")


def codes_of(page: Page) -> list[str]:
    return page.get_by_role("textbox", name="Recovery codes").input_value().split("\n")


@pytest.mark.parametrize("javascript", [True, False])
def test_an_app_is_added_and_asked_for_at_the_next_sign_in(visit: Visit, watch: Watch, javascript: bool) -> None:
    watch.allow("422")
    page = visit("/account/", as_="kim", javascript=javascript)
    page.get_by_role("link", name="Add authenticator app").click()
    expect(page.get_by_alt_text("The same key as a picture")).to_be_visible()
    seed = seed_of(page)
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Add the app").click()
    expect(page.get_by_role("group", name="There is a problem")).to_contain_text("This is not the code")
    assert seed_of(page) == seed
    page.get_by_label("Code").fill(cast.code(seed))
    page.get_by_role("button", name="Add the app").click()
    expect(page.get_by_role("heading", name="Keep these recovery codes")).to_be_visible()
    codes = codes_of(page)
    assert len(codes) == 10
    if javascript:
        page.get_by_label("I have stored them").check()
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_role("row", name="Authenticator app")).to_be_visible()
    assert codes[0] not in page.content()
    page.get_by_label("Account: kim").click()
    page.locator("header").get_by_role("button", name="Sign out").click()
    sign_in(page, "kim", cast.PASSWORD)
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    page.get_by_label("Code").fill(cast.code(seed, 1))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Account: kim")).to_be_visible()
    page.context.clear_cookies()
    page.goto("/account/")
    sign_in(page, "kim", cast.PASSWORD)
    page.get_by_label("Code").fill(codes[0])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("9 recovery codes are left")).to_be_visible()


def test_a_security_key_is_added_and_lets_in_and_confirms(visit: Visit, watch: Watch) -> None:
    watch.allow("403")
    page = visit("/account/", as_="olive")
    for _session in key_in(page):
        open_panel(page, "Add security key or passkey")
        page.get_by_label("Name").fill("Blue key")
        page.get_by_role("button", name="Use the key or passkey").click()
        expect(page.get_by_role("heading", name="Keep these recovery codes")).to_be_visible()
        page.get_by_label("I have stored them").check()
        page.get_by_role("link", name="Done").click()
        expect(page.get_by_role("row", name="Blue key")).to_be_visible()
        page.context.clear_cookies()
        page.goto("/account/")
        sign_in(page, "olive", cast.PASSWORD)
        expect(page.get_by_label("Recovery code")).to_be_visible()
        page.get_by_role("button", name="Use a security key or passkey").click()
        expect(page.get_by_role("row", name="Blue key")).to_be_visible()
        open_panel(page, "Remove Blue key")
        expect(page.get_by_text("This is your only second factor")).to_be_visible()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        expect(page.get_by_role("heading", name="Add a second factor", exact=True)).to_be_visible()


def test_no_key_at_hand_is_said_and_can_be_tried_again(visit: Visit) -> None:
    page = visit("/account/security-key/", as_="olive")
    page.get_by_label("Name").fill("None")
    page.evaluate("() => { navigator.credentials.create = () => Promise.reject(new DOMException('gone', 'NotAllowedError')); }")
    page.get_by_role("button", name="Use the key or passkey").click()
    expect(page.get_by_text("The key was not used. Press the button to try again.")).to_be_visible()
    assert path_of(page) == "/account/security-key/"


def test_in_a_panel_the_question_gives_way_to_what_was_asked_for(visit: Visit, watch: Watch) -> None:
    watch.allow("422")
    page = visit("/account/", as_="kim")
    cast.grow_old("kim")
    open_panel(page, "Change password")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    dialog.get_by_label("Password", exact=True).fill("not it")
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog.get_by_role("group", name="There is a problem")).to_contain_text("The password is wrong.")
    dialog.get_by_label("Password", exact=True).fill(cast.PASSWORD)
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog.get_by_role("heading", name="Change password")).to_be_visible()
    assert path_of(page) == "/account/password/"
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    assert path_of(page) == "/account/"


@pytest.mark.parametrize("javascript", [True, False])
def test_on_a_page_of_its_own_the_question_leads_on(visit: Visit, javascript: bool) -> None:
    page = visit("/account/", as_="kim", javascript=javascript)
    cast.grow_old("kim")
    page.goto("/account/password/")
    page.get_by_label("Password", exact=True).fill(cast.PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Change password")).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False])
def test_a_session_elsewhere_is_ended_and_its_next_click_leads_to_sign_in(visit: Visit, watch: Watch, javascript: bool) -> None:
    watch.allow("401")
    there = visit("/local/", as_="kim")
    here = visit("/account/", as_="kim", javascript=javascript)
    here.get_by_role("link", name=re.compile("^End the session of")).click()
    here.get_by_role("button", name="End session").click()
    expect(here.get_by_text("The session is over.")).to_be_visible()
    there.get_by_role("link", name="Key", exact=True).click()
    expect(there).to_have_title("Sign in · Latchkey")


def test_axe_finds_nothing(visit: Visit, watch: Watch) -> None:
    watch.allow("422")
    for who in ("vera", "kim"):
        if who == "kim":
            cast.app_of("kim")
        page = visit("/account/", as_=who)
        assert problems(page) == []
    page = visit("/account/", as_="vera")
    for link in ("Change password", "Add authenticator app", "Add security key or passkey"):
        open_panel(page, link)
        assert problems(page) == [], link
        page.keyboard.press("Escape")
        expect(page.locator("#panel")).to_be_hidden()
    page = visit("/account/password/", as_="kim")  # the question, of a second factor
    assert problems(page) == []
    page = visit("/sign-in/", as_="")
    sign_in(page, "kim", cast.PASSWORD)
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    assert problems(page) == []
