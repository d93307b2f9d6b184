"""MCP services in a real browser: "Reference a key in an MCP service", step by step, as the documentation has it."""

import pytest
from playwright.sync_api import Page, expect

from gateway.models import McpService
from secrets_app.models import Reference, Region
from tests import cast
from tests.flows.browser import generation, open_panel, problems
from tests.flows.conftest import Visit

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("javascript", [True, False])
def test_a_key_is_referenced_in_an_mcp_service(visit: Visit, javascript: bool) -> None:
    page = visit("/", javascript=javascript)
    region = Region.objects.get()
    instance = cast.instance(region, "gateway")
    cast.key(region, "tools_key")
    # 1. In the navigation pane, select Instance.
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Instance").click()
    # 2. Click the target instance and create an MCP service for the direct proxy scenario.
    page.get_by_role("link", name=instance.ref).click()
    page.get_by_role("link", name="MCP Management").click()
    page.get_by_role("main").get_by_role("link", name="Create MCP service").first.click()
    page.get_by_label("Name", exact=True).fill("tools")
    page.get_by_label("Backend service").fill("https://tools.example.com")
    page.get_by_label("Path", exact=True).fill("/mcp")
    page.get_by_role("button", name="Create MCP service").click()
    # 3. On the details page, click Configure Backend Service Authentication in Basic Information.
    basic = page.get_by_role("region", name="Basic Information")
    expect(basic).to_contain_text("Off: the server is shown no key.")
    basic.get_by_role("link", name="Configure Backend Service Authentication").click()
    expect(page.get_by_label("Enable backend authentication")).to_be_checked()
    expect(page.get_by_role("group", name="Authentication method").get_by_label("API key")).to_be_checked()
    expect(page.get_by_role("group", name="Credential source").get_by_label("Custom HTTP Header")).to_be_checked()
    page.get_by_label("Header", exact=True).fill("x-tools-key")
    generation(page, "Reference Key")
    choose(page, "tools_key", javascript)
    if javascript:
        expect(page.locator("#preview")).to_contain_text("x-tools-key: $ref{tools_key}")
    page.get_by_role("button", name="Save").click()
    expect(basic).to_contain_text("x-tools-key: $ref{tools_key}")
    assert Reference.objects.get().path == "backend_auth"
    # And off again by its toggle.
    basic.get_by_role("link", name="Configure Backend Service Authentication").click()
    page.get_by_label("Enable backend authentication").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(basic).to_contain_text("Off: the server is shown no key.")
    assert not Reference.objects.exists()


def choose(page: Page, key: str, javascript: bool) -> None:
    field = page.get_by_label("Credential", exact=True).last
    if javascript:
        field = page.get_by_role("combobox", name="Credential")
    field.fill(key)
    if javascript:
        page.get_by_role("option", name=key).click()


def test_axe_finds_nothing(visit: Visit) -> None:
    page = visit("/")
    instance = cast.instance(Region.objects.get(), "gateway")
    base = f"/local/instances/{instance.ref}/mcp/"
    page.goto(base)
    assert problems(page) == []
    open_panel(page, "Create MCP service")
    assert problems(page) == []
    tools = cast.mcp(instance, "tools", key=cast.key(instance.region, "tools_key"))
    tools.authorize([cast.consumer(instance.region, "acme").name], by=cast.SETUP)
    page.goto(base)
    assert problems(page) == []
    page.goto(f"{base}tools/")
    assert problems(page) == []
    open_panel(page, "Configure Backend Service Authentication")
    assert problems(page) == []
    assert McpService.objects.count() == 1
