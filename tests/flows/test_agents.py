"""Agent services in a real browser: "Reference a key in an Agent service", step by step, as the documentation has it."""

import pytest
from playwright.sync_api import Page, expect

from gateway.models import AgentService
from secrets_app.models import Key, Reference, Region
from tests import cast
from tests.flows.browser import generation, open_panel, problems
from tests.flows.conftest import Visit

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("javascript", [True, False])
def test_a_key_is_referenced_in_an_agent_service(visit: Visit, javascript: bool) -> None:
    page = visit("/", javascript=javascript)
    region = Region.objects.get()
    instance = cast.instance(region, "gateway")
    cast.key(region, "app_key")
    # 1. In the navigation pane, select Instance.
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Instance").click()
    # 2. Click the ID of the target instance, select Service, and then click Create Service.
    page.get_by_role("link", name=instance.ref).click()
    page.get_by_role("main").get_by_role("link", name="Service", exact=True).first.click()
    page.get_by_role("main").get_by_role("link", name="Create Service").first.click()
    # 3. Set Service Source to Agent Services, Generation Method to Reference Key, and select an existing key for API Key.
    page.get_by_role("group", name="Service Source").get_by_role("radio", name="Agent Services").check()
    expect(page.get_by_role("group", name="Large Model Configuration")).to_be_hidden()
    page.get_by_label("Service name").fill("helpdesk")
    page.get_by_role("group", name="Agent platform").get_by_role("radio", name="Dify").check()
    page.get_by_role("combobox", name="Bot type").select_option("Chatflow")
    generation(page, "Reference Key")
    choose(page, "API Key", "app_key", javascript)
    page.get_by_role("button", name="Create service").click()
    expect(page.get_by_role("heading", level=1, name="helpdesk")).to_be_visible()
    expect(page.get_by_role("region", name="API Key")).to_contain_text("$ref{app_key}")
    agent = AgentService.objects.get()
    assert (agent.bot_type, agent.address) == ("chatflow", "https://api.dify.ai/v1")
    assert Reference.objects.get().holder_kind == "agent_service"


@pytest.mark.parametrize("javascript", [True, False])
def test_each_app_gets_a_key_of_its_own(visit: Visit, javascript: bool) -> None:
    page = visit("/", javascript=javascript)
    region = Region.objects.get()
    instance = cast.instance(region, "gateway")
    for name in ("first", "second"):
        cast.key(region, name)
    page.goto(f"/local/instances/{instance.ref}/services/new/")
    page.get_by_role("radio", name="Agent Services").check()
    page.get_by_label("Service name").fill("studio")
    page.get_by_role("textbox", name="App ID", exact=True).fill("Alpha")
    choose(page, "API Key", "first", javascript)
    page.get_by_role("button", name="Add another app").click()
    page.get_by_role("textbox", name="App ID 2").fill("beta")
    choose(page, "API Key 2", "second", javascript)
    page.get_by_role("button", name="Create service").click()
    expect(page.get_by_role("heading", level=1, name="studio")).to_be_visible()
    assert {use.path: use.key.name for use in AgentService.objects.get().uses} == {"apps[Alpha]": "first", "apps[beta]": "second"}
    page.get_by_role("link", name="Edit").click()
    page.get_by_role("button", name="Remove App ID", exact=True).click()
    page.get_by_role("button", name="Save service").click()
    expect(page.get_by_role("main")).to_contain_text("Service studio was saved.")
    assert [use.key.name for use in AgentService.objects.get().uses] == ["second"]
    assert Key.objects.get(name="first").reference_count == 0


def choose(page: Page, label: str, key: str, javascript: bool) -> None:
    page.get_by_role("combobox" if javascript else "textbox", name=label, exact=True).fill(key)
    if javascript:
        page.get_by_role("option", name=key).click()


def test_axe_finds_nothing(visit: Visit) -> None:
    page = visit("/")
    instance = cast.instance(Region.objects.get(), "gateway")
    cast.agent(instance, "studio", keys=[cast.key(instance.region, "app_key")], apps=["Alpha"])
    base = f"/local/instances/{instance.ref}/services/"
    page.goto(base)
    assert problems(page) == []
    open_panel(page, "Create Service")
    page.get_by_role("radio", name="Agent Services").check()
    page.get_by_role("button", name="Add another app").click()
    expect(page.get_by_role("textbox", name="App ID 2")).to_be_visible()
    assert problems(page) == []
    page.get_by_role("group", name="Agent platform").get_by_role("radio", name="Custom").check()
    page.get_by_role("radio", name="Custom HTTP Header").check()
    assert problems(page) == []
    page.goto(f"{base}studio/")
    assert problems(page) == []
