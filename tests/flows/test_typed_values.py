"""What is typed where a value belongs goes into the body of a post and nowhere else: no address, no storage, no history."""

import pytest
from playwright.sync_api import Page, Request, expect

from secrets_app.models import Region
from tests import cast
from tests.flows.browser import generation
from tests.flows.conftest import Visit, Watch
from tests.security.canary import Canaries

pytestmark = pytest.mark.browser


class Ear:
    """Every address that a page asks for, with its headers, and every body but those of posts."""

    def __init__(self, page: Page) -> None:
        self.heard: dict[str, bytes | str] = {}
        page.on("request", self._hear)

    def _hear(self, request: Request) -> None:
        body = "" if request.method == "POST" else request.post_data or ""
        self.heard[f"{len(self.heard)} {request.method}"] = f"{request.url}\n{request.headers}\n{body}"


def kept(page: Page) -> str:
    """What the browser stores of a site, and what stands in its history."""
    return str(
        page.evaluate(
            "JSON.stringify([{...localStorage}, {...sessionStorage}, history.state, location.href, document.cookie, window.name])"
        )
    )


@pytest.fixture
def region(visit: Visit) -> Region:
    region = Region.objects.get(name="local")
    cast.service(cast.instance(region, "Main"), "chat")
    cast.consumer(region, "acme")
    cast.key(region, "openai_prod")
    return region


def test_typing_into_every_form_and_changing_ones_mind(visit: Visit, watch: Watch, region: Region) -> None:
    watch.allow("422", "409")
    canaries = Canaries()
    page = visit("/local/keys/")
    ear = Ear(page)

    def leave() -> None:
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Discard").click()

    page.get_by_role("main").get_by_role("link", name="Create key").first.click()
    page.get_by_label("Key content", exact=True).fill(canaries.plant("Create key"))
    page.get_by_label("Key name").fill("not a name")
    generation(page, "System-generated")
    generation(page, "Custom")
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_role("group", name="There is a problem")).to_be_visible()
    page.get_by_label("Key content", exact=True).fill(canaries.plant("Create key, left"))
    leave()

    page.goto("/local/consumers/")
    page.get_by_role("main").get_by_role("link", name="Create consumer").first.click()
    generation(page, "Custom")
    page.get_by_label("Credential", exact=True).fill(canaries.plant("Create consumer"))
    generation(page, "Reference Key")
    page.get_by_label("Bind Key", exact=True).fill("open")
    page.get_by_role("option").first.click()
    generation(page, "Custom")
    page.get_by_label("Consumer name").fill("other")
    leave()

    instance = region.instances.get()
    page.goto(f"/local/instances/{instance.ref}/services/")
    page.get_by_role("main").get_by_role("link", name="Create Service").first.click()
    generation(page, "Custom")
    page.get_by_role("textbox", name="API Key").first.fill(canaries.plant("Create service"))
    page.get_by_label("Large model supplier").select_option(label="OpenAI")
    page.get_by_label("Large model supplier").select_option(label="Claude (Anthropic)")
    page.get_by_role("button", name="Add another API key").last.click()
    page.get_by_role("textbox", name="API Key 2").fill(canaries.plant("Create service, second key"))
    page.get_by_label("Model protocol").select_option(index=1)
    page.get_by_role("button", name="Create service").click()
    expect(page.get_by_role("group", name="There is a problem")).to_be_visible()

    for address, label, button in (
        ("/local/keys/openai_prod/rotate/", "Key content", "Rotate"),
        ("/local/consumers/acme/credentials/0/rotate/", "Credential", "Rotate"),
    ):
        page.goto(address)
        page.get_by_label(label, exact=True).fill(canaries.plant(address))
        page.get_by_role("button", name=button).click()
        expect(page.get_by_role("status").or_(page.get_by_role("heading", level=1)).first).to_be_visible()
        assert canaries.found_in({"the browser": kept(page), "the page": page.content()}) == []

    page.go_back()
    page.wait_for_load_state("networkidle")
    assert canaries.found_in({"the browser": kept(page), "the page gone back to": page.content()}) == []
    assert canaries.found_in(ear.heard) == []
    assert len(ear.heard) > 20
    assert ear.heard


def test_the_ear_hears(visit: Visit) -> None:
    canaries = Canaries()
    page = visit("/local/")
    ear = Ear(page)
    page.goto(f"/local/keys/?q={canaries.plant('in an address', after='')}")
    page.evaluate(f"localStorage.kept = {canaries.plant('in the storage', after='')!r}")
    assert {finding.what for finding in canaries.found_in(ear.heard)} == {"in an address"}
    assert "in the storage" in {finding.what for finding in canaries.found_in({"the browser": kept(page)})}
