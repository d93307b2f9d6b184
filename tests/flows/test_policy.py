"""Where a key may go, in a real browser: said on its page, set in a panel, and in the way of who would send it elsewhere."""

import pytest
from playwright.sync_api import expect

from secrets_app.models import Key, Region
from secrets_app.models.policy import checked
from tests import cast
from tests.flows.browser import open_panel, problems
from tests.flows.conftest import Visit, Watch

pytestmark = pytest.mark.browser


def _key() -> Key:
    region = Region.objects.get()
    cast.instance(region, "East")
    cast.team("Platform")
    return cast.key(region, "openai_prod", policy=checked(kinds=["ai_service"], hosts=["api.openai.com"], headers=["authorization"]))


@pytest.mark.parametrize("javascript", [True, False])
def test_a_key_manager_says_where_a_key_may_go(visit: Visit, watch: Watch, javascript: bool) -> None:
    watch.allow("422")
    visit("/sign-in/", as_="")
    key = _key()
    page = visit("/local/keys/openai_prod/", as_="kim", javascript=javascript)
    card = page.get_by_role("region", name="Where it may go")
    expect(card).to_contain_text("May be sent to api.openai.com, in authorization, by AI services of any instance.")
    card.get_by_role("link", name="Change").click()
    page.get_by_role("textbox", name="Hosts").fill("api.openai.com\nuser@elsewhere.example")
    page.get_by_role("button", name="Save policy").click()
    expect(page.get_by_role("link", name="is no host")).to_be_visible()
    page.get_by_role("textbox", name="Hosts").fill("api.openai.com\n*.openai.azure.com")
    page.get_by_label("East").check()
    page.get_by_label("Platform").check()
    page.get_by_role("button", name="Save policy").click()
    expect(card).to_contain_text("api.openai.com and *.openai.azure.com, in authorization, by AI services of East.")
    expect(card).to_contain_text("Members of Platform.")
    key.refresh_from_db()
    assert key.policy.hosts == ("api.openai.com", "*.openai.azure.com")


def test_an_operator_is_told_why_a_key_does_not_go_there(visit: Visit, watch: Watch) -> None:
    watch.allow("422")
    visit("/sign-in/", as_="")
    instance = cast.instance(_key().region, "West")
    page = visit(f"/local/instances/{instance.ref}/services/new/?key=openai_prod", as_="olive")
    page.get_by_label("Service name").fill("mine")
    page.get_by_label("Large model supplier").select_option("custom")
    page.get_by_label("Service address").first.fill("https://evil.example/v1")
    page.get_by_role("button", name="Create").last.click()
    expect(page.get_by_role("group", name="There is a problem")).to_contain_text("may not be sent to evil.example")
    expect(page.get_by_role("group", name="There is a problem")).to_contain_text("Ask an owner or a key manager")


def test_the_pages_look_right_to_everybody(visit: Visit) -> None:
    visit("/sign-in/", as_="")
    key = _key()
    Key.objects.filter(pk=cast.key(key.region, "wide_open").pk).update(description="Old and open")
    page = visit("/local/keys/openai_prod/", as_="kim")
    open_panel(page, "Change")
    assert problems(page) == []
    page.get_by_role("dialog").locator("label").filter(has_text="Open to any destination").click()
    assert problems(page) == []
    for path in ("/local/keys/", "/local/keys/wide_open/", "/local/keys/openai_prod/policy/", "/local/keys/new/"):
        page.goto(path)
        if path.endswith("new/"):
            page.locator("summary", has_text="Policy").click()
        assert problems(page) == [], path
