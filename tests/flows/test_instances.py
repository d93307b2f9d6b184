"""The instance pages in a real browser, by visible labels: with JavaScript, without, and for assistive technology."""

import re

import pytest
from playwright.sync_api import expect

from gateway.models import ControlPlane, Instance, Node, Publication
from secrets_app.models import AuditHead, Region
from tests import cast
from tests.flows.browser import LOOKS, lost_by_tab, open_panel, panel_by_keyboard, problems, without_script
from tests.flows.conftest import Visit, Watch

pytestmark = pytest.mark.browser


@pytest.fixture
def region(visit: Visit) -> Region:
    """One instance with two nodes, the second behind; one that is old; one without a node."""
    region = Region.objects.get(name="local")
    east = cast.instance(region, "prod-east")
    cast.instance(region, "old", version="2.1.10")
    cast.service(east, "chat")
    nodes = [Node.join(east, f"node-{n}", "127.0.0.1", 9000 + n, by=cast.SETUP)[0] for n in (1, 2)]
    cast.instance(region, "west")
    seq = AuditHead.objects.get().seq
    Publication.objects.create(region=region, seq=seq)
    Node.objects.filter(pk=nodes[0].pk).update(connected=True, in_effect_seq=seq, envoy_version="1.40.0")
    ControlPlane.beat(started=True)
    return region


@pytest.mark.parametrize("javascript", [True, False])
def test_create_an_instance_and_delete_it(visit: Visit, watch: Watch, javascript: bool) -> None:
    watch.allow("422")
    page = visit("/local/instances/", as_="olive", javascript=javascript)
    page.get_by_role("link", name="Create instance").first.click()
    page.get_by_label("Instance name").fill(" prod west")
    page.get_by_role("button", name="Create instance").click()
    expect(page.get_by_text("without a space at either end").first).to_be_visible()
    page.get_by_label("Instance name").fill("prod west")
    page.get_by_label("Compatibility version").select_option("2.1.11")
    page.get_by_role("button", name="Create instance").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("prod west")
    instance = Instance.objects.get()
    expect(page.get_by_role("region", name="Join a node")).to_contain_text(f"run_gateway --instance {instance.ref} --name node-1")
    for tab in ("Service", "Nodes", "Overview"):
        page.get_by_role("navigation", name="Instance").get_by_role("link", name=tab).click()
        expect(page.get_by_role("navigation", name="Instance").get_by_role("link", name=tab)).to_have_attribute("aria-current", "page")
    page.get_by_label("More actions").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_label("Type prod west to confirm").fill("prod west")
    page.get_by_role("button", name="Delete instance").click()
    expect(page.get_by_role("main")).to_contain_text("Instance prod west was deleted.")


def test_an_instance_with_services_shows_them_instead_of_a_button(visit: Visit, region: Region) -> None:
    east = Instance.objects.get(name="prod-east")
    page = visit(f"/local/instances/{east.ref}/")
    page.get_by_label("More actions").click()
    page.get_by_role("link", name="Delete").click()
    expect(page.get_by_text("It still has 1 service.")).to_be_visible()
    expect(page.get_by_role("button", name="Delete instance")).to_have_count(0)
    page.get_by_role("link", name="Show its services").click()
    expect(page.get_by_role("link", name="chat", exact=True)).to_be_visible()


def test_the_nodes_are_followed_while_they_change(visit: Visit, region: Region) -> None:
    east = Instance.objects.get(name="prod-east")
    page = visit(f"/local/instances/{east.ref}/nodes/")
    expect(page.get_by_text("Behind: not connected")).to_be_visible()
    Node.objects.update(connected=True, in_effect_seq=Publication.objects.get().seq)
    expect(page.get_by_text("Up to date")).to_have_count(2)


@pytest.mark.parametrize("javascript", [True, False])
def test_a_long_list_is_searched_as_one_types_or_by_a_button(visit: Visit, region: Region, javascript: bool) -> None:
    for number in range(50):
        cast.instance(region, f"batch {number:02d}")
    page = visit("/local/instances/", javascript=javascript)
    page.get_by_role("searchbox", name="Search instances").press_sequentially("WES")
    if javascript:
        expect(page.locator("#instance-found")).to_have_text("1 instance")
    else:
        page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_role("main").get_by_role("row")).to_have_count(2)
    expect(page).to_have_url(re.compile("q=WES$"))


def test_the_line_is_copied(visit: Visit, region: Region) -> None:
    west = Instance.objects.get(name="west")
    page = visit(f"/local/instances/{west.ref}/nodes/", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("main").get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"uv run manage.py run_gateway --instance {west.ref} --name node-1 --port 8080")


def pages() -> list[str]:
    east, old, west = (Instance.objects.get(name=name).ref for name in ("prod-east", "old", "west"))
    here = "/local/instances/"
    return [
        here,
        f"{here}new/",
        "/empty/instances/",
        f"{here}{east}/",
        f"{here}{east}/nodes/",
        f"{here}{east}/delete/",
        f"{here}{old}/",
        f"{here}{old}/upgrade/",
        f"{here}{west}/",
        f"{here}{west}/nodes/",
        f"{here}{west}/delete/",
    ]


def test_every_page_is_for_everybody(visit: Visit, region: Region) -> None:
    Region.create("empty", "Nothing yet", by=cast.SETUP)
    page = visit("/local/instances/")
    for path in pages():
        page.goto(path)
        assert (problems(page), lost_by_tab(page)) == ([], []), path
    assert problems(visit("/empty/instances/", as_="vera")) == [], "who may not create one"


def test_every_page_is_for_everybody_without_javascript(visit: Visit, region: Region) -> None:
    Region.create("empty", "Nothing yet", by=cast.SETUP)
    page = visit("/local/instances/")
    for path in pages():
        without_script(page, path)
        assert problems(page, LOOKS[::2]) == [], path


def test_every_panel_is_for_everybody_and_gives_the_focus_back(visit: Visit, watch: Watch, region: Region) -> None:
    watch.allow("422")
    east, old, west = (Instance.objects.get(name=name).ref for name in ("prod-east", "old", "west"))
    page = visit("/local/instances/")
    for path, name, menu in (
        ("", "Create instance", ""),
        (f"{east}/", "Delete", "More actions"),
        (f"{west}/", "Delete", "More actions"),
        (f"{old}/", "Upgrade", ""),
    ):
        page.goto(f"/local/instances/{path}")
        with panel_by_keyboard(page, name, menu):
            assert (problems(page), lost_by_tab(page)) == ([], []), f"{name} at {path}"
    page.goto("/local/instances/")
    open_panel(page, "Create instance")
    page.get_by_role("button", name="Create instance").click()
    expect(page.get_by_role("group", name="There is a problem")).to_be_focused()
    assert problems(page) == []
