"""Django's admin in a real browser: under the console's policy, without a script, and read by whoever needs a screen reader."""

import pytest
from playwright.sync_api import expect

from secrets_app.errors import NotAllowed
from secrets_app.models import AuditEntry, Region
from tests import cast
from tests.flows.browser import problems
from tests.flows.conftest import Visit

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("javascript", [True, False])
def test_an_auditor_finds_an_entry_and_comes_back_to_the_console(visit: Visit, javascript: bool) -> None:
    entry = _refused(Region.objects.get())
    page = visit("/admin/", as_="audrey", javascript=javascript)
    page.get_by_label("Search").fill("vera")
    page.get_by_role("button", name="Search").click()
    rows = page.get_by_role("main").get_by_role("row")
    expect(rows).to_have_count(2)  # the head and one entry
    page.get_by_role("link", name=str(entry.seq), exact=True).click()
    expect(page.get_by_text(entry.hash)).to_be_visible()
    page.get_by_role("link", name="View on site").click()
    assert page.url.endswith(f"/audit/{entry.seq}/")


def test_both_pages_in_every_look(visit: Visit) -> None:
    entry = _refused(Region.objects.get())
    for path in ("/admin/", "/admin/?q=nobody", f"/admin/{entry.seq}/"):
        assert problems(visit(path, as_="audrey")) == [], path


def _refused(region: Region) -> AuditEntry:
    key = cast.key(region, "openai_prod")
    with pytest.raises(NotAllowed):
        key.rotate(cast.value(), by=cast.actor("vera"))
    return AuditEntry.objects.get(action="key.rotate", outcome="refused")
