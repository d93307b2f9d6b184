"""Single sign-on and the set-up of a second factor in a real browser."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from console import oidc
from secrets_app.models import AuditEntry, Deployment
from tests import cast
from tests.flows.browser import open_panel, path_of, problems
from tests.flows.conftest import Visit, Watch
from tests.flows.test_second_factor import seed_of
from tests.flows.test_sign_in import sign_in
from tests.oidc import CLIENT, SECRET, Provider, serving

pytestmark = pytest.mark.browser


@pytest.fixture
def provider(settings: Any, watch: Watch) -> Iterator[Provider]:
    with serving() as provider:
        settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = provider.issuer, CLIENT, SECRET
        settings.OIDC_NAME, settings.OIDC_GROUPS = "Example ID", "keys=key_manager@local"
        oidc._descriptions.clear()
        watch.allow(f"asked a stranger: {provider.issuer}/authorize")
        yield provider


@pytest.mark.parametrize("javascript", [True, False])
def test_the_provider_lets_in_and_leads_to_where_one_wanted(visit: Visit, provider: Provider, javascript: bool) -> None:
    page = visit("/local/keys/", as_="", javascript=javascript)
    page.get_by_role("link", name="Continue with Example ID").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Keys")
    assert path_of(page) == "/local/keys/"
    expect(page.get_by_label("Account: paula")).to_be_visible()
    assert AuditEntry.objects.latest("seq").facts == {"methods": ["socialaccount"]}


def test_whose_groups_open_nothing_is_told(visit: Visit, watch: Watch, provider: Provider) -> None:
    watch.allow("403")
    provider.person["groups"] = ["canteen"]
    page = visit("/sign-in/", as_="")
    assert problems(page) == []
    page.get_by_role("link", name="Continue with Example ID").click()
    expect(page.get_by_text("None of your groups at the provider opens this console.")).to_be_visible()
    assert problems(page) == []
    page.get_by_role("link", name="Back to sign-in").click()
    expect(page).to_have_title("Sign in · Latchkey")


@pytest.mark.parametrize("javascript", [True, False])
def test_whoever_owes_a_second_factor_is_led_to_it_and_goes_on(visit: Visit, javascript: bool) -> None:
    cast.person("kim")
    page = visit("/sign-in/", as_="", javascript=javascript)
    Deployment.here().edit_second_factor(["key_manager"], by=cast.SETUP)
    sign_in(page, "kim", cast.PASSWORD)
    expect(page.get_by_role("heading", name="Set up a second factor")).to_be_visible()
    page.goto("/local/keys/")
    expect(page.get_by_role("heading", name="Set up a second factor")).to_be_visible()
    page.get_by_role("link", name="Add authenticator app").click()
    expect(page.get_by_label("Code")).to_be_visible()
    page.get_by_label("Code").fill(cast.code(seed_of(page)))
    page.get_by_role("button", name="Add the app").click()
    expect(page.get_by_role("heading", name="Keep these recovery codes")).to_be_visible()
    if javascript:
        page.get_by_label("I have stored them").check()
    page.get_by_role("link", name="Done").click()
    page.goto("/local/keys/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Keys")


def test_the_policy_is_chosen_in_settings(visit: Visit) -> None:
    cast.person("kim")
    page = visit("/settings/")
    expect(page.get_by_text("The default of a console for this machine alone.")).to_be_visible()
    page.locator("section", has=page.locator("#second-factor")).get_by_role("link", name="Change").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Key manager").check()
    assert problems(page) == []
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The policy on second factors was changed.")).to_be_visible()
    expect(page.locator("section", has=page.locator("#second-factor"))).to_contain_text("Key manager")
    there = visit("/", as_="kim")
    expect(there.get_by_role("heading", name="Set up a second factor")).to_be_visible()
    assert problems(there) == []
    open_panel(there, "Add security key or passkey")
