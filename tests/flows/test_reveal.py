"""A value shown for thirty seconds in a real browser, and what is left of it afterwards: nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from console.views import reveal
from secrets_app.broker import Broker
from secrets_app.models import AuditEntry, Region
from tests import cast
from tests.flows.browser import problems
from tests.flows.conftest import Visit, Watch
from tests.security.canary import Canaries

pytestmark = pytest.mark.browser

REASON = "Ticket 4711: the supplier asks for it"


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture
def region(visit: Visit, canaries: Canaries, broker: Broker) -> Region:
    region = Region.objects.get(name="local")
    cast.revealing()
    cast.key(region, "openai_prod", canaries.plant("revealed", before="", after=""))
    return region


def ask(page: Page) -> None:
    page.get_by_label("More actions").click()
    page.get_by_role("link", name="Reveal").click()
    page.get_by_label("Reason").fill(REASON)
    page.get_by_role("button", name="Reveal v1").click()
    expect(page.get_by_role("heading", name="Value of openai_prod")).to_be_visible()


def everything_kept(page: Page) -> dict[str, str]:
    """What the browser would show, or has put away."""
    script = (
        "() => [localStorage, sessionStorage].map((one) => JSON.stringify(one)).join() + JSON.stringify(history.state) + document.cookie"
    )
    return {
        "page": page.content(),
        "fields": str(page.evaluate("() => [...document.querySelectorAll('input, textarea')].map((one) => one.value).join()")),
        "storage": str(page.evaluate(script)),
        "databases": str(page.evaluate("async () => JSON.stringify([await indexedDB.databases(), await caches.keys()])")),
        "address": page.url,
    }


@contextmanager
def found_before(page: Page, canaries: Canaries) -> Iterator[None]:
    """The scan sees it while it is shown, and nothing of it afterwards."""
    assert {one.where for one in canaries.found_in(everything_kept(page))} == {"page", "fields"}
    yield
    assert canaries.found_in(everything_kept(page)) == []


def test_it_is_shown_for_thirty_seconds_and_gone_from_the_page(visit: Visit, region: Region, canaries: Canaries) -> None:
    page = visit("/local/keys/openai_prod/", as_="kim")
    page.clock.install()
    ask(page)
    expect(page.get_by_role("timer")).to_contain_text("Hidden in")
    assert problems(page) == []
    with found_before(page, canaries):
        page.clock.fast_forward(30_000)
        expect(page.get_by_text("The value is hidden again")).to_be_visible()
        expect(page.get_by_label("Key content")).to_have_count(0)
    assert problems(page) == []
    page.get_by_role("link", name="Rotate now").click()
    expect(page.get_by_role("heading", name="Rotate openai_prod")).to_be_visible()
    assert [entry.action for entry in AuditEntry.objects.order_by("-seq")[:2]] == ["key.show", "key.reveal"]


def test_it_is_hidden_at_once_where_somebody_asks_for_that(visit: Visit, region: Region, canaries: Canaries) -> None:
    page = visit("/local/keys/openai_prod/", as_="kim")
    ask(page)
    with found_before(page, canaries):
        page.get_by_role("button", name="Hide now").click()


def test_closing_the_panel_takes_it_away(visit: Visit, region: Region, canaries: Canaries) -> None:
    page = visit("/local/keys/openai_prod/", as_="kim")
    ask(page)
    with found_before(page, canaries):
        page.get_by_role("link", name="Done").click()
        expect(page.get_by_role("status").filter(has_text="is hidden again")).to_be_visible()


def test_neither_back_nor_a_copy_that_the_browser_keeps_shows_it_again(visit: Visit, region: Region, canaries: Canaries) -> None:
    page = visit("/local/keys/openai_prod/", as_="kim")
    ask(page)
    with found_before(page, canaries):
        page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    page = visit("/local/keys/openai_prod/", as_="kim")
    ask(page)
    page.goto("/local/")
    page.go_back()
    expect(page.get_by_role("heading", level=1).first).to_be_visible()
    assert canaries.found_in(everything_kept(page)) == []
    page.reload()
    assert canaries.found_in(everything_kept(page)) == []


def test_without_javascript_the_page_leaves_by_itself(
    visit: Visit, region: Region, canaries: Canaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reveal, "SHOWN", 3)
    page = visit("/local/keys/openai_prod/reveal/", as_="kim", javascript=False)
    page.get_by_label("Reason").fill(REASON)
    page.get_by_role("button", name="Reveal v1").click()
    assert canaries.found_in({"page": page.content()})
    page.wait_for_url("**/keys/openai_prod/")
    expect(page.get_by_role("main")).to_contain_text("The value of key openai_prod is hidden again.")
    assert canaries.found_in({"page": page.content()}) == []


def test_other_peoples_pages_know_nothing_of_it(visit: Visit, region: Region, canaries: Canaries) -> None:
    page, other = visit("/local/keys/openai_prod/", as_="kim"), visit("/local/keys/openai_prod/", as_="alice")
    ask(page)
    for path in ("/local/keys/openai_prod/", "/audit/", "/local/"):
        other.goto(path)
        assert canaries.found_in(everything_kept(other)) == []


def test_a_control_plane_that_is_down_is_said_in_the_panel(visit: Visit, watch: Watch, region: Region, control_plane_down: None) -> None:
    watch.allow("503")
    page = visit("/local/keys/openai_prod/", as_="kim")
    page.get_by_label("More actions").click()
    page.get_by_role("link", name="Reveal").click()
    page.get_by_label("Reason").fill(REASON)
    page.get_by_role("button", name="Reveal v1").click()
    expect(page.get_by_role("group", name="There is a problem")).to_contain_text("The control plane did not answer")
    expect(page.get_by_label("Reason")).to_have_value(REASON)
    assert problems(page) == []


def test_while_it_is_off_the_panel_says_so(visit: Visit, region: Region) -> None:
    cast.revealing("off")
    page = visit("/local/keys/openai_prod/reveal/", as_="kim")
    expect(page.get_by_text("Revealing values is off")).to_be_visible()
    assert problems(page) == []


def test_an_owner_turns_it_on(visit: Visit, region: Region) -> None:
    cast.revealing("off")
    page = visit("/settings/", as_="alice")
    page.get_by_role("region", name="Revealing values").get_by_role("link", name="Change").click()
    page.get_by_role("radio", name="On A key manager").check()
    assert problems(page) == []
    page.get_by_role("button", name="Save policy").click()
    expect(page.get_by_role("region", name="Revealing values")).to_contain_text("after signing in anew")


def test_a_second_person_approves_in_a_browser_of_their_own(
    visit: Visit, region: Region, canaries: Canaries, live_server: LiveServer
) -> None:
    cast.revealing("two")
    page = visit("/local/keys/openai_prod/", as_="kim")
    page.get_by_label("More actions").click()
    page.get_by_role("link", name="Reveal").click()
    page.get_by_label("Reason").fill(REASON)
    page.get_by_role("button", name="Ask for approval").click()
    expect(page.get_by_text("Waiting for a second person")).to_be_visible()
    assert problems(page) == []

    client = Client()
    client.force_login(cast.somebody("keeper", "key_manager"), settings.AUTHENTICATION_BACKENDS[0])
    cast.passed(client, 0)
    other = visit("/sign-in/", as_="")
    other.context.add_cookies([{"name": name, "value": cookie.value, "url": live_server.url} for name, cookie in client.cookies.items()])
    other.goto("/local/")
    other.get_by_role("link", name="kim asks to be shown the value of openai_prod").click()
    expect(other.get_by_role("main")).to_contain_text(REASON)
    assert problems(other) == []
    other.get_by_role("button", name="Approve").click()
    expect(other.get_by_role("main")).to_contain_text("You approved that kim is shown the value of openai_prod.")
    assert canaries.found_in(everything_kept(other)) == []

    page.get_by_role("link", name="Look again").click()
    expect(page.get_by_text("keeper approved it")).to_be_visible()
    assert problems(page) == []
    page.get_by_role("button", name="Reveal v1").click()
    expect(page.get_by_role("heading", name="Value of openai_prod")).to_be_visible()
    with found_before(page, canaries):
        page.get_by_role("button", name="Hide now").click()
    assert canaries.found_in(everything_kept(other)) == []
