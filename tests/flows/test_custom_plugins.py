"""A custom plug-in in a browser: written, installed, given a rule and a new version, and deleted when nothing uses it any more."""

import pytest
from playwright.sync_api import expect

from gateway.models import CustomPlugin, Instance, Rule
from secrets_app.models import Region
from tests import cast
from tests.flows.browser import problems
from tests.flows.conftest import Visit, Watch

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])]


@pytest.fixture
def instance(visit: Visit) -> Instance:
    region = Region.objects.get()
    cast.key(region, "secretName")
    return cast.instance(region, "gateway")


def test_from_the_first_version_to_the_last_word(visit: Visit, instance: Instance, watch: Watch, javascript: bool) -> None:
    watch.allow("422")
    page = visit("/local/", as_="olive", javascript=javascript)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Plug-in").click()
    page.get_by_role("main").get_by_role("link", name="Create custom plug-in").first.click()
    page.get_by_label("Name", exact=True).fill("Stamp It")
    page.get_by_role("button", name="Create custom plug-in").click()
    expect(page.get_by_label("Name", exact=True)).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Name", exact=True).fill("stamp")
    page.get_by_label("Description").fill("Adds a token")
    page.get_by_role("button", name="Create custom plug-in").click()
    expect(page.get_by_role("status").first).to_contain_text("Custom plug-in stamp was created.")

    page.goto(f"/local/instances/{instance.ref}/plugins/stamp/")
    page.get_by_role("link", name="Install").click()
    page.get_by_role("button", name="Install", exact=True).click()
    page.get_by_role("link", name="Add the instance's rule").click()
    expect(page.get_by_label("Configuration", exact=True)).to_have_value("token: $ref{secretName}\n")
    page.get_by_role("button", name="Review changes").click()
    page.get_by_role("button", name="Save and apply").click()
    expect(page.get_by_role("status").first).to_contain_text("Rule stamp was saved and is enabled.")
    assert [reference.path for reference in Rule.objects.get().references] == ["token"]

    page.get_by_role("navigation", name="Main").get_by_role("link", name="Plug-in").click()
    page.get_by_role("main").get_by_role("link", name="stamp").click()
    expect(page.get_by_role("region", name="Used on")).to_contain_text("gateway")
    page.get_by_role("link", name="New version").click()
    page.get_by_label("Script", exact=True).fill("function envoy_on_response(handle, config) end\n")
    page.get_by_role("button", name="Save as v2").click()
    expect(page.get_by_role("status").first).to_contain_text("Version 2 of stamp was saved.")

    page.goto("/local/plugins/stamp/delete/")
    expect(page.get_by_role("link", name="gateway")).to_be_visible()
    expect(page.get_by_role("button", name="Delete plug-in")).to_have_count(0)
    page.get_by_role("link", name="gateway").click()
    page.get_by_role("link", name="Uninstall").click()
    page.get_by_role("textbox").fill("stamp")
    page.get_by_role("button", name="Uninstall").click()
    expect(page.get_by_role("status").first).to_contain_text("Plug-in stamp was uninstalled.")
    page.goto("/local/plugins/stamp/delete/")
    page.get_by_role("main").get_by_role("textbox").fill("stamp")
    page.get_by_role("button", name="Delete plug-in").click()
    expect(page.get_by_role("status").first).to_contain_text("Custom plug-in stamp was deleted.")
    if javascript:
        assert problems(page) == []
    assert not CustomPlugin.objects.exists()
