"""The nodes of an instance, and the removal of one that will not come back."""

import pytest
from playwright.sync_api import expect

from gateway.models import ControlPlane, Node
from secrets_app.models import Region
from tests import cast
from tests.flows.conftest import Visit

pytestmark = pytest.mark.browser


def test_a_node_is_removed_from_a_list_that_keeps_itself_new(visit: Visit) -> None:
    page = visit("/")
    instance = cast.instance(Region.objects.get(), "gateway")
    for number in (1, 2):
        Node.join(instance, f"node-{number}", "127.0.0.1", 8080 + number, by=cast.SETUP)
    ControlPlane.beat()
    page.goto(f"/local/instances/{instance.ref}/nodes/")
    page.get_by_role("row", name="node-1").get_by_role("link", name="Remove").click()
    dialog = page.get_by_role("dialog", name="Remove node node-1")
    expect(dialog).to_contain_text("It is not connected.")
    dialog.get_by_role("textbox").fill("node-1")
    dialog.get_by_role("button", name="Remove node").click()
    expect(page.get_by_role("status").filter(has_text="Node node-1 was removed.")).to_be_visible()
    expect(page.get_by_role("row", name="node-1")).to_have_count(0)
    expect(page.get_by_role("row", name="node-2")).to_be_visible()
