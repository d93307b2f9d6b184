"""Invited in a real browser: the link is made, shown once, opened by somebody else, and they are in."""

import pytest
from playwright.sync_api import expect

from tests import cast
from tests.flows.browser import problems
from tests.flows.conftest import Visit, Watch

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("javascript", [True, False])
def test_from_the_invitation_to_the_first_page(visit: Visit, watch: Watch, javascript: bool) -> None:
    watch.allow("404", "422")
    page = visit("/team/", javascript=javascript)
    page.get_by_role("link", name="Invite").click()
    page.get_by_label("Username").fill("nina")
    page.get_by_label("Note").fill("Nina from Platform")
    page.get_by_role("radio", name="Operator").check(force=True)
    page.get_by_role("button", name="Make the link").click()
    expect(page.get_by_role("heading", name="The link for nina")).to_be_visible()
    link = page.get_by_label("Link", exact=True).input_value()
    path = "/" + link.split("/", 3)[3]
    guest = visit(path, as_="", javascript=javascript)
    expect(guest.get_by_role("heading", level=1)).to_have_text("Welcome, nina")
    if javascript:
        assert problems(guest) == []
    guest.get_by_label("New password", exact=True).fill("nina-nina-nina")
    guest.get_by_label("New password again", exact=True).fill("nina-nina-nina")
    guest.get_by_role("button", name="Come in").click()
    expect(guest.get_by_role("group", name="There is a problem")).to_be_visible()
    guest.get_by_label("New password", exact=True).fill("three unrelated words")
    guest.get_by_label("New password again", exact=True).fill("three unrelated words")
    guest.get_by_role("button", name="Come in").click()
    expect(guest.get_by_role("heading", level=1)).to_have_text("Local")
    again = visit(path, as_="", javascript=javascript)
    expect(again.get_by_role("heading", level=1)).to_have_text("This link does not work")
    if javascript:
        assert problems(again) == []


def test_a_role_changed_while_signed_in(visit: Visit, watch: Watch) -> None:
    """The page is open; the next click is refused, and the menu shows what is left."""
    watch.allow("403")
    page = visit("/local/keys/", as_="kim")
    create = page.get_by_role("main").get_by_role("link", name="Create key").first
    expect(create).to_be_visible()
    grant = cast.person("kim").role_grants.get()
    grant.revoke(cast.everywhere(), by=cast.actor("alice"))
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Key", exact=True).click()
    expect(page.get_by_role("main")).to_contain_text("This is not open to you")
    expect(page.get_by_role("navigation", name="Main").get_by_role("link")).to_have_count(0)


def test_the_pages_in_every_look(visit: Visit, watch: Watch) -> None:
    watch.allow("404")
    kim = cast.person("kim")
    team = f"/team/teams/{cast.team('Platform', kim).pk}/"
    page = visit("/team/invitations/")
    assert problems(page) == []
    for path in (
        "/team/", "/team/invitations/new/", "/team/teams/", team, f"{team}members/new/", f"{team}delete/", "/team/roles/",
        "/team/people/alice/", "/team/people/kim/", "/team/people/kim/grant/", "/team/people/kim/disable/", "/invited/nothing/",
    ):  # fmt: skip
        page.goto(path)
        assert problems(page) == [], path
