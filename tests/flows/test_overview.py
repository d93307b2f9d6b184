"""The first page of a region in a real browser: from nothing to the first call, and what needs a look."""

import re

import pytest
from playwright.sync_api import expect

from gateway.models import ControlPlane, Node, Problem, Publication
from secrets_app.models import AuditHead, Region
from tests import cast
from tests.flows.browser import path_of, problems
from tests.flows.conftest import Visit

pytestmark = pytest.mark.browser


@pytest.fixture
def region(visit: Visit) -> Region:
    return Region.objects.get(name="local")


@pytest.fixture
def busy(region: Region) -> Region:
    """Something of everything that the page may have to say."""
    gateway, key = cast.instance(region, "prod-east"), cast.key(region, "legacy_2024")
    cast.instance(region, "batch")
    chat = cast.service(gateway, "chat")
    cast.service(gateway, "old", keys=[key])
    cast.service(gateway, "open-house").open(by=cast.SETUP)
    key.disable(by=cast.SETUP)
    caller = cast.consumer(region, "acme", bound_to=cast.key(region, "partner"))
    chat.authorize(["acme"], by=cast.SETUP)
    Problem.objects.create(region=region, holder_kind="consumer", holder_id=caller.pk, path="credentials[0]", reason="duplicate")
    Node.join(gateway, "local", "127.0.0.1", 8080, by=cast.SETUP)
    seq = AuditHead.objects.get().seq
    Node.objects.update(connected=True, in_effect_seq=seq)
    Publication.objects.create(region=region, seq=seq)
    ControlPlane.beat()
    return region


@pytest.mark.parametrize("javascript", [True, False])
def test_the_three_steps_lead_to_a_call(visit: Visit, region: Region, javascript: bool) -> None:
    gateway = cast.instance(region, "Main")
    Node.join(gateway, "local", "127.0.0.1", 8080, by=cast.SETUP)
    page = visit("/local/", javascript=javascript)
    main = page.get_by_role("main")

    main.get_by_role("link", name="Create key").click()
    page.get_by_label("Key name").fill("openai_prod")
    page.get_by_label("Key content", exact=True).fill("sk-a-value-that-is-long-enough")
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("openai_prod")

    page.get_by_role("link", name="Latchkey, overview").click()
    main.get_by_role("link", name="Create consumer").click()
    page.get_by_label("Consumer name").fill("acme")
    page.get_by_label("Bind Key", exact=True).fill("openai_prod")
    page.get_by_role("button", name="Create consumer").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("acme")

    page.get_by_role("link", name="Latchkey, overview").click()
    expect(main).to_contain_text("First create an AI service")
    cast.service(gateway, "chat")
    page.reload()
    main.get_by_role("link", name="Open the service").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("chat")
    gateway.services.get().authorize(["acme"], by=cast.SETUP)
    page.get_by_role("link", name="Latchkey, overview").click()
    expect(main.get_by_role("region", name="Call the gateway")).to_contain_text("curl http://localhost:8080/ai/chat/chat/completions")
    expect(main).not_to_contain_text("Three steps")


def test_the_call_is_copied_with_one_click(visit: Visit, busy: Region) -> None:
    page = visit("/local/", permissions=["clipboard-read", "clipboard-write"])
    call = page.get_by_role("main").get_by_role("region", name="Call the gateway")
    call.get_by_role("button", name="Copy").click()
    expect(call.get_by_role("status")).to_have_text("Copied")
    assert "curl http://localhost:8080/ai/chat" in page.evaluate("navigator.clipboard.readText()")


@pytest.mark.parametrize(
    ("words", "heading"),
    [
        ("acme is not served", "Edit credential 1 of acme"),
        ("Key legacy_2024 is disabled and in use", "legacy_2024"),
        ("Anybody may call open-house", "open-house"),
        ("Nobody may call old yet", "old"),
    ],
)
def test_each_concern_leads_to_where_it_is_mended(visit: Visit, busy: Region, words: str, heading: str) -> None:
    page = visit("/local/")
    page.get_by_role("main").get_by_role("link", name=words).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(heading)


def test_the_figures_lead_to_their_lists(visit: Visit, busy: Region) -> None:
    for name, path in (("Keys", "/local/keys/"), ("Consumers", "/local/consumers/"), ("Nodes", "/local/instances/")):
        page = visit("/local/")
        page.get_by_role("main").get_by_role("link", name=re.compile(f"^{name}")).click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert path_of(page) == path


def test_a_viewer_sees_what_they_may_not_do_with_the_reason(visit: Visit, region: Region) -> None:
    page = visit("/local/", as_="vera")
    button = page.get_by_role("button", name="Create key")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_have_accessible_description("Needs Key manager")
    expect(page.get_by_role("main")).to_contain_text("Needs Operator")
    expect(page.get_by_role("main").get_by_role("link", name="Create instance")).to_have_count(0)


@pytest.mark.parametrize("javascript", [True, False])
def test_the_selector_changes_the_region_and_keeps_the_page(visit: Visit, region: Region, javascript: bool) -> None:
    Region.create("eu-west", "Europe West", by=cast.SETUP)
    page = visit("/local/keys/", javascript=javascript)
    page.get_by_label("Region: Local").click()
    page.get_by_role("navigation", name="Region").get_by_role("link", name="Europe West").click()
    expect(page.get_by_label("Region: Europe West")).to_be_visible()
    assert page.url.endswith("/eu-west/keys/")
    page.goto("/")
    assert page.url.endswith("/eu-west/")


def test_the_state_of_the_gateways_follows_by_itself_and_waits_while_somebody_is_in_it(visit: Visit, busy: Region) -> None:
    Node.objects.update(connected=False)
    page = visit("/local/")
    gateways, concerns = (page.get_by_role("main").get_by_role("region", name=name) for name in ("Gateways", "Needs attention"))
    expect(gateways).to_contain_text("1 node is not connected")
    expect(page.get_by_role("complementary", name="Console")).to_contain_text("0 of 1 nodes in sync")
    gateways.get_by_role("link", name="prod-east").focus()
    Node.objects.update(connected=True)
    with page.expect_response("**/local/"):
        pass
    expect(gateways).to_contain_text("1 node is not connected")
    page.get_by_role("link", name="Latchkey, overview").focus()
    expect(gateways).not_to_contain_text("is not connected")
    expect(concerns).not_to_contain_text("is not connected")
    expect(concerns).to_contain_text("acme is not served")
    expect(page.get_by_role("complementary", name="Console")).to_contain_text("1 node in sync")


def test_axe_finds_nothing(visit: Visit, busy: Region) -> None:
    Region.create("empty", "Nothing yet", by=cast.SETUP)
    for who, path in (("alice", "/local/"), ("alice", "/empty/"), ("vera", "/empty/"), ("audrey", "/local/")):
        page = visit(path, as_=who)
        assert problems(page) == [], f"{who} {path}"
