"""An API token, made in a real browser and used over real HTTP."""

import json
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import expect
from pytest_django.live_server_helper import LiveServer

from secrets_app.models import Region
from tests import cast
from tests.flows.browser import problems
from tests.flows.conftest import Visit

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("javascript", [True, False])
def test_a_token_is_made_used_and_revoked(visit: Visit, live_server: LiveServer, javascript: bool) -> None:
    cast.key(Region.objects.get(), "partner")
    page = visit("/account/tokens/", as_="kim", javascript=javascript)
    page.get_by_role("main").get_by_role("link", name="Make a token").first.click()
    page.get_by_label("Name", exact=True).fill("ci")
    page.get_by_label("See keys and who refers to them").check()
    page.get_by_role("button", name="Make the token").click()
    expect(page.get_by_role("heading", name="The token ci")).to_be_visible()
    token = page.get_by_label("API token", exact=True).input_value()
    request = urllib.request.Request(f"{live_server.url}/api/v1/local/keys/", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request) as answer:
        assert [key["name"] for key in json.load(answer)["keys"]] == ["partner"]
    page.goto("/account/tokens/")
    assert token not in page.content()
    page.get_by_role("link", name="Revoke ci").click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("main")).to_contain_text("The token ci opens nothing any more.")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(request)


def test_the_pages_in_every_look(visit: Visit) -> None:
    page = visit("/account/tokens/")
    for path in ("/account/tokens/", "/account/tokens/new/", "/team/tokens/"):
        page.goto(path)
        assert problems(page) == [], path
