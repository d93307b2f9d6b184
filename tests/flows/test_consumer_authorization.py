"""Consumer Authorization from the consumer's side, in a browser: by visible labels, with JavaScript and without."""

import re

import pytest
from playwright.sync_api import Page, expect

from gateway.models import Consumer, Instance, Service
from secrets_app.models import Region
from tests import cast
from tests.flows.browser import LOOKS, focused, lost_by_tab, panel_by_keyboard, problems, without_script
from tests.flows.conftest import Visit, Watch

pytestmark = pytest.mark.browser

HERE = "/local/consumers/acme/"


@pytest.fixture
def west(visit: Visit) -> Instance:
    """Two instances, each with a "chat"; the second has services of all kinds."""
    region = Region.objects.get()
    cast.service(cast.instance(region, "prod-east"), "chat")
    west = cast.instance(region, "prod-west")
    for name in ("chat", "embeddings"):
        cast.service(west, name)
    cast.agent(west, "helpdesk")
    cast.mcp(west, "tools")
    cast.consumer(region, "acme", description="Acme Inc.")
    return west


def tab(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Consumer Authorization").get_by_role("link", name=name).click()


def authorize(page: Page, instance: Instance, service: str, javascript: bool) -> None:
    page.get_by_role("main").get_by_role("link", name="Authorize", exact=True).click()
    page.get_by_role("combobox", name="Instance").select_option(instance.ref)
    if not javascript:
        page.get_by_role("button", name="Search").click()
    expect(page.locator("[name=shown]")).to_have_value(instance.ref)
    page.get_by_role("checkbox", name=service, exact=False).check()
    page.get_by_role("button", name="Authorize").click()


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_a_consumer_is_authorized_on_a_service_of_each_kind_and_revoked(visit: Visit, west: Instance, javascript: bool) -> None:
    page = visit("/", as_="olive", javascript=javascript)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Consumers").click()
    page.get_by_role("link", name="acme", exact=True).click()
    expect(page.get_by_role("heading", name="Not authorized yet: its callers get 403")).to_be_visible()
    for kind, service in (("AI services", "embeddings"), ("Agent services", "helpdesk"), ("MCP services", "tools")):
        tab(page, kind)
        authorize(page, west, service, javascript)
        expect(page.get_by_role("main")).to_contain_text(f"acme may call {service}.")
        expect(page.get_by_role("navigation", name="Consumer Authorization").get_by_role("link", name=f"{kind} 1")).to_have_attribute(
            "aria-current", "true"
        )
        expect(page.get_by_role("region", name="Consumer Authorization").get_by_role("link", name=service, exact=True)).to_be_visible()
    expect(page.get_by_text("3 services", exact=True)).to_be_visible()

    page.get_by_role("link", name="Revoke the authorization on tools of prod-west").click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("main")).to_contain_text("acme may no longer call tools.")
    expect(page.get_by_role("heading", name="Authorized on none of this sort")).to_be_visible()
    assert set(Service.objects.filter(authorizations__consumer__name="acme").values_list("name", flat=True)) == {"embeddings", "helpdesk"}


def test_what_was_granted_meanwhile_is_refused_in_words(visit: Visit, west: Instance, watch: Watch) -> None:
    watch.allow("409")
    page = visit(HERE, as_="olive")
    page.get_by_role("link", name="Authorize this consumer").click()
    page.get_by_role("combobox", name="Instance").select_option(west.ref)
    page.get_by_role("checkbox", name="embeddings").check()
    Service.objects.get(name="embeddings").authorize(["acme"], by=cast.SETUP)
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_text("acme is authorized on embeddings already.")).to_be_visible()
    assert Consumer.objects.get().authorizations.count() == 1


def test_boxes_follow_the_instance_and_the_search(visit: Visit, west: Instance) -> None:
    for number in range(60):
        cast.service(west, f"batch-{number:02d}")
    page = visit(f"{HERE}authorize/ai/", as_="olive")
    boxes = page.get_by_role("checkbox")
    expect(boxes).to_have_count(1)
    page.get_by_role("checkbox", name="chat").check()
    page.get_by_role("combobox", name="Instance").select_option(west.ref)
    expect(page.get_by_text("There are more. Type to narrow the list.")).to_be_visible()
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(0)  # the other instance's "chat" was meant
    page.get_by_label("Services", exact=True).press_sequentially("batch-57")
    expect(boxes).to_have_count(1)
    page.get_by_role("checkbox", name="batch-57").check()
    page.get_by_label("Services", exact=True).fill("embed")
    expect(page.get_by_role("group", name="Chosen").get_by_role("checkbox")).to_have_count(1)
    page.get_by_role("checkbox", name="embeddings").check()
    assert focused(page) != "id_q"
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_role("region", name="Consumer Authorization")).to_contain_text("batch-57")
    assert Service.objects.filter(authorizations__consumer__name="acme").count() == 2


def test_the_card_is_searched_and_narrowed_to_an_instance(visit: Visit, west: Instance) -> None:
    for service in Service.objects.filter(kind="ai"):
        service.authorize(["acme"], by=cast.SETUP)
    page = visit(HERE)
    card = page.get_by_role("region", name="Consumer Authorization")
    expect(card.get_by_role("row")).to_have_count(4)
    card.get_by_role("combobox", name="Instance").select_option(west.ref)
    expect(card.get_by_role("row")).to_have_count(3)
    card.get_by_role("searchbox").press_sequentially("emb")
    expect(card.get_by_role("row")).to_have_count(2)
    expect(page.locator("#granted-found")).to_have_text("1 service")
    expect(page).to_have_url(re.compile(f"instance={west.ref}"))


def test_from_the_list_to_the_panel(visit: Visit, west: Instance) -> None:
    page = visit("/local/consumers/", as_="olive")
    page.get_by_role("link", name="Authorize acme").click()
    expect(page.get_by_role("dialog").get_by_role("heading", name="Authorize on AI services")).to_be_visible()
    page.get_by_role("checkbox", name="chat").check()
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_role("main")).to_contain_text("acme may call chat.")


def test_everything_is_for_everybody(visit: Visit, west: Instance) -> None:
    paths = (HERE, f"{HERE}?show=mcp", f"{HERE}?q=nothing", f"{HERE}authorize/ai/", f"{HERE}authorize/agent/", f"{HERE}authorize/mcp/")
    page = visit(HERE)
    assert problems(page) == []
    for service in Service.objects.exclude(name="embeddings"):
        service.authorize(["acme"], by=cast.SETUP)
    for path in paths:
        page.goto(path)
        assert (problems(page), lost_by_tab(page)) == ([], []), path
    for path in paths:
        without_script(page, path)
        assert problems(page, LOOKS[::2]) == [], path
    page.goto(f"{HERE}?show=ai")
    with panel_by_keyboard(page, "Authorize"):
        assert (problems(page), lost_by_tab(page)) == ([], [])
    with panel_by_keyboard(page, "Revoke the authorization on chat of prod-west"):
        assert problems(page) == []
