"""A preset that comes too late takes nothing away that was typed meanwhile."""

import pytest
from playwright.sync_api import Route, expect

from secrets_app.models import Region
from tests import cast
from tests.flows.conftest import Visit

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("late", [True, False])
def test_what_was_typed_stays(visit: Visit, late: bool) -> None:
    page = visit("/")
    instance = cast.instance(Region.objects.get(), "gateway")
    page.goto(f"/local/instances/{instance.ref}/services/new/")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/preset/**", hold)
    page.get_by_label("Large model supplier").select_option(label="OpenAI")
    expect(page.locator("#supplier.htmx-request")).to_have_count(1)
    while not held:
        page.wait_for_timeout(10)
    address = page.get_by_role("textbox", name="Service address")
    if late:
        address.fill("https://mine.example.com/v1")
    with page.expect_response("**/preset/**"):
        held[0].continue_()
    expect(page.locator("#supplier.htmx-request")).to_have_count(0)
    expect(address).to_have_value("https://mine.example.com/v1" if late else "https://api.openai.com/v1")
