"""The audit log in a real browser: found by filters, read in a panel, shared by its address."""

import pytest
from django.db import connection
from playwright.sync_api import expect

from secrets_app.errors import NotAllowed
from secrets_app.models import AuditEntry, Region
from tests import cast
from tests.flows.browser import problems
from tests.flows.conftest import Visit, Watch
from tests.openlog import open_log

pytestmark = pytest.mark.browser


@pytest.fixture
def region(visit: Visit) -> Region:
    region = Region.objects.get(name="local")
    key = cast.key(region, "openai_prod")
    cast.consumer(region, "acme", bound_to=key)
    key.rotate(cast.value(), 24, by=cast.actor("kim"))
    with pytest.raises(NotAllowed):
        key.rotate(cast.value(), by=cast.actor("vera"))
    return region


@pytest.mark.parametrize("javascript", [True, False])
def test_an_auditor_finds_who_rotated_a_key(visit: Visit, region: Region, javascript: bool) -> None:
    page = visit("/audit/", as_="audrey", javascript=javascript)
    page.get_by_label("Actor").fill("kim")
    page.get_by_label("Action").select_option("key.rotate")
    page.get_by_role("button", name="Apply").click()
    rows = page.get_by_role("main").get_by_role("row")
    expect(rows).to_have_count(2)  # the head and one entry
    expect(rows.last).to_contain_text("kim rotated key openai_prod")
    expect(rows.last).to_contain_text("Previous value valid for: 24 hours")
    assert "actor=kim" in page.url
    assert "action=key.rotate" in page.url
    page.get_by_role("link", name="Clear").click()
    expect(page.get_by_role("main")).to_contain_text("vera was refused key.rotate on openai_prod")


@pytest.mark.parametrize("javascript", [True, False])
def test_an_entry_opens_with_its_hash_and_leads_to_all_of_the_object(visit: Visit, region: Region, javascript: bool) -> None:
    entry = AuditEntry.objects.get(action="key.rotate", outcome="ok")
    page = visit("/audit/", as_="audrey", javascript=javascript)
    page.get_by_role("link", name="kim rotated key openai_prod").click()
    expect(page.get_by_text(entry.hash)).to_be_visible()
    assert page.url.endswith(f"/audit/{entry.seq}/")
    page.get_by_role("link", name="All its entries").click()
    expect(page.get_by_role("main").get_by_role("row")).to_have_count(4)
    expect(page.get_by_role("main")).to_contain_text("tests created key openai_prod")


def test_back_closes_the_panel_and_keeps_the_filter(visit: Visit, region: Region) -> None:
    page = visit("/audit/?actor=kim", as_="audrey")
    page.get_by_role("link", name="kim rotated key openai_prod").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_label("Actor")).to_have_value("kim")


def test_the_badge_says_how_to_check_the_whole_chain(visit: Visit, region: Region) -> None:
    page = visit("/audit/", as_="audrey")
    page.get_by_text("Chained", exact=True).click()
    expect(page.get_by_text("uv run manage.py verify_audit_log")).to_be_visible()
    with open_log(), connection.cursor() as cursor:
        cursor.execute("UPDATE secrets_app_auditentry SET actor = 'nobody' WHERE action = 'key.rotate' AND outcome = 'ok'")
    page.reload()
    expect(page.get_by_text("Broken chain", exact=True)).to_be_visible()


def test_a_filter_that_cannot_be_read_is_said_and_takes_the_focus(visit: Visit, watch: Watch, region: Region) -> None:
    watch.allow("422", "does not conform")
    page = visit("/audit/?since=yesterday&actor=kim", as_="audrey")
    expect(page.get_by_role("group", name="There is a problem")).to_be_focused()
    expect(page.get_by_label("Actor")).to_have_value("kim")
    expect(page).to_have_title("Error: Audit log · Latchkey")


def test_axe_finds_nothing(visit: Visit, watch: Watch, region: Region) -> None:
    watch.allow("422", "does not conform")
    for path in ("/audit/", "/audit/?actor=nobody", "/audit/?since=yesterday", f"/audit/{AuditEntry.objects.latest('seq').seq}/"):
        page = visit(path, as_="audrey")
        assert problems(page) == [], path
    page = visit("/audit/", as_="audrey")
    page.get_by_text("Chained", exact=True).click()
    assert problems(page) == []
    page.keyboard.press("Escape")
    page.goto("/audit/")
    page.get_by_role("link", name="kim rotated key openai_prod").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert problems(page) == []
