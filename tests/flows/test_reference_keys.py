"""The documentation's page "Reference keys", step by step: its own labels in its own order, in a region that is not the one seen first.

MCP services, plug-ins and the view of references have walks of their own; the last test here meets what all of them leave behind.
"""

import pytest
from playwright.sync_api import Page, expect

from gateway.models import AgentService, AiService, Consumer, Instance
from secrets_app.models import Key, Region
from tests import cast
from tests.flows.browser import generation
from tests.flows.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])]


@pytest.fixture
def instance(visit: Visit) -> Instance:
    """Of the second region, which has an existing key, as the prerequisites ask."""
    region = Region.create("eu-west", "Europe West", by=cast.SETUP)
    cast.key(region, "secretName")
    cast.key(Region.objects.get(name="local"), "elsewhere")
    return cast.instance(region, "prod")


def select_in_navigation(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name=name, exact=True).click()


def select_region(page: Page, title: str) -> None:
    page.get_by_role("banner").get_by_label("Region: Local").click()
    page.get_by_role("navigation", name="Region").get_by_role("link", name=title).click()
    expect(page.get_by_role("banner").get_by_label(f"Region: {title}")).to_be_visible()


def select_key(page: Page, label: str, key: str, javascript: bool) -> None:
    """From the list, where there is one to open; without JavaScript by its name."""
    if not javascript:
        page.get_by_role("textbox", name=label, exact=True).fill(key)
        return
    page.get_by_role("combobox", name=label, exact=True).press_sequentially(key[:4])
    page.get_by_role("option", name=key).click()


def create_service(page: Page, instance: Instance) -> None:
    # 1. In the navigation pane on the left, select Instance. In the top menu bar, select a region.
    select_in_navigation(page, "Instance")
    select_region(page, "Europe West")
    # 2. Click the ID of the target instance. Select Service, and then click Create Service.
    page.get_by_role("main").get_by_role("link", name=instance.ref, exact=True).click()
    page.get_by_role("navigation", name="Instance").get_by_role("link", name="Service", exact=True).click()
    page.get_by_role("main").get_by_role("link", name="Create Service").first.click()
    expect(page.get_by_role("heading", name="Create Service", exact=True)).to_be_visible()


def test_reference_a_key_in_a_consumer(visit: Visit, instance: Instance, javascript: bool) -> None:
    page = visit("/local/", as_="olive", javascript=javascript)
    # 1. In the navigation pane on the left, select Consumers. In the top menu bar, select a region.
    select_in_navigation(page, "Consumers")
    select_region(page, "Europe West")
    # 2. Click Create a consumer. Enter a consumer name.
    page.get_by_role("main").get_by_role("link", name="Create consumer").first.click()
    expect(page.get_by_role("heading", name="Create consumer")).to_be_visible()
    page.get_by_label("Consumer name").fill("partner")
    #    Set the authentication method to API key, the generation method to Reference Key, and select an existing key for Bind Key.
    page.get_by_role("group", name="Authentication method").get_by_role("radio", name="API Key").check()
    generation(page, "Reference Key")
    select_key(page, "Bind Key", "secretName", javascript)
    page.get_by_role("button", name="Create consumer").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("partner")
    expect(page.get_by_role("main").get_by_role("link", name="$ref{secretName}")).to_be_visible()
    consumer = Consumer.objects.get()
    assert (consumer.region.name, [use.key.name for use in consumer.references]) == ("eu-west", ["secretName"])


def test_a_key_of_another_region_is_not_found(visit: Visit, instance: Instance, javascript: bool) -> None:
    page = visit("/eu-west/consumers/new/", as_="olive", javascript=javascript)
    page.get_by_label("Consumer name").fill("partner")
    generation(page, "Reference Key")
    page.get_by_label("Bind Key", exact=True).fill("elsewhere")
    if javascript:
        page.keyboard.press("Tab")
        expect(page.get_by_text("No key is named “elsewhere” in this region.")).to_be_visible()
    assert not Consumer.objects.exists()


def test_reference_a_key_in_an_ai_service(visit: Visit, instance: Instance, javascript: bool) -> None:
    page = visit("/local/", as_="olive", javascript=javascript)
    create_service(page, instance)
    # 3. Set Service Source to AI Services.
    page.get_by_role("group", name="Service Source").get_by_role("radio", name="AI Services").check()
    page.get_by_label("Service name").fill("chat")
    #    In the Large Model Configuration section, set the generation method to Reference Key and select an existing key for API Key.
    section = page.get_by_role("group", name="Large Model Configuration")
    section.get_by_label("Large model supplier").select_option(label="OpenAI")
    section.get_by_role("group", name="Generation method").get_by_text("Reference Key", exact=True).click()
    select_key(page, "API Key", "secretName", javascript)
    page.get_by_role("button", name="Create service").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("chat")
    expect(page.get_by_role("region", name="API Key")).to_contain_text("$ref{secretName}")
    service = AiService.objects.get()
    assert (service.generation, [use.key.name for use in service.uses]) == ("reference", ["secretName"])


def test_reference_a_key_in_an_agent_service(visit: Visit, instance: Instance, javascript: bool) -> None:
    page = visit("/local/", as_="olive", javascript=javascript)
    create_service(page, instance)
    # 3. Set Service Source to Agent Services, Generation Method to Reference Key, and select an existing key for API Key.
    page.get_by_role("group", name="Service Source").get_by_role("radio", name="Agent Services").check()
    page.get_by_label("Service name").fill("studio")
    page.get_by_role("group", name="Agent platform").get_by_role("radio", name="Model Studio app").check()
    page.get_by_role("textbox", name="App ID", exact=True).fill("app-1")
    generation(page, "Reference Key")
    select_key(page, "API Key", "secretName", javascript)
    page.get_by_role("button", name="Create service").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("studio")
    expect(page.get_by_role("region", name="API Key")).to_contain_text("$ref{secretName}")
    assert {use.path: use.key.name for use in AgentService.objects.get().uses} == {"apps[app-1]": "secretName"}


def test_all_that_was_referenced_is_counted_and_leads_back(visit: Visit, instance: Instance, javascript: bool) -> None:
    """And a consumer that refers to the key may call both services, granted from its own side."""
    key = Key.objects.get(name="secretName")
    cast.consumer(instance.region, "partner", bound_to=key)
    cast.service(instance, "chat", keys=[key])
    cast.agent(instance, "studio", keys=[key], apps=["app-1"])
    page = visit("/local/", as_="olive", javascript=javascript)
    select_in_navigation(page, "Key")
    select_region(page, "Europe West")
    page.get_by_role("link", name="3 holders refer to secretName").click()
    for name in ("partner", "chat", "studio"):
        expect(page.get_by_role("link", name=name).first).to_be_visible()
    page.goto("/eu-west/consumers/partner/")
    for kind, service in (("AI services", "chat"), ("Agent services", "studio")):
        page.get_by_role("navigation", name="Consumer Authorization").get_by_role("link", name=kind).click()
        page.get_by_role("main").get_by_role("link", name="Authorize", exact=True).click()
        page.get_by_role("checkbox", name=service).check()
        page.get_by_role("button", name="Authorize").click()
        expect(page.get_by_role("main")).to_contain_text(f"partner may call {service}.")
    expect(page.get_by_text("2 services", exact=True)).to_be_visible()
