"""The list of keys: what it shows, how it is searched, filtered and ordered, and what it says when there is nothing to show."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from gateway.models import ControlPlane, Node
from secrets_app.models import AuditHead, Key, Region
from tests import cast
from tests.unit.console.asking import CANARY, assert_silent, get, markup, text

KEYS = "/local/keys/"


def names(address: str = "", who: str = "alice") -> list[str]:
    return re.findall(r'<tr id="key-(\w+)"', markup(get(KEYS + address, who)))


def row(name: str, who: str = "alice") -> str:
    found = re.search(rf'<tr id="key-{name}">(.*?)</tr>', markup(get(KEYS, who)))
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("kim", 200), ("olive", 200), ("vera", 200), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_see_the_list(region: Region, who: str, status: int) -> None:
    get(KEYS, who, status=status)


def test_a_row_says_all_but_the_value(region: Region) -> None:
    key = cast.key(region, "openai_prod", CANARY, description="Production <b>traffic</b>")
    cast.consumer(region, bound_to=cast.key(region, "partner"))
    page = get(KEYS)
    assert_silent(page, CANARY)
    assert "Production &lt;b&gt;traffic" in row("openai_prod")
    assert "v1" in row("openai_prod")
    assert "Enabled" in row("openai_prod")
    assert "Not referenced" in row("openai_prod")
    assert "Not in use" in row("openai_prod")
    assert 'href="/local/keys/partner/references/"' in row("partner")
    assert 'aria-label="1 holder refers to partner"' in row("partner")
    key.disable(by=cast.SETUP)
    assert "Disabled" in row("openai_prod")


def test_inline_and_foreign_keys_are_not_listed(region: Region) -> None:
    cast.key(region, "here")
    cast.consumer(region)
    cast.key(Region.create("eu", "Europe", by=cast.SETUP), "there")
    assert names() == ["here"]


def test_the_overlap_of_a_rotation_is_shown(region: Region) -> None:
    key = cast.key(region, "partner")
    cast.consumer(region, bound_to=key)
    key.rotate(cast.value(), 24, by=cast.SETUP)
    assert re.search(r"v1 ends <time[^>]*>in (1 day|24 hours)", row("partner"))


def test_search_filters_and_order_work_together(region: Region) -> None:
    for name in ("openai_b", "openai_a", "anthropic"):
        cast.key(region, name)
    cast.service(cast.instance(region), keys=[Key.objects.get(name="openai_b")])
    Key.objects.get(name="anthropic").disable(by=cast.SETUP)
    assert names() == ["anthropic", "openai_a", "openai_b"]
    assert names("?sort=-name") == ["openai_b", "openai_a", "anthropic"]
    assert names("?sort=referenced") == ["openai_b", "anthropic", "openai_a"]
    assert names("?q=OpenAI") == ["openai_a", "openai_b"]
    assert names("?q=openai&show=unused") == ["openai_a"]
    assert names("?show=referenced") == ["openai_b"]
    assert names("?show=disabled") == ["anthropic"]


def test_the_order_in_force_is_said_in_the_head(region: Region) -> None:
    cast.key(region)
    page = markup(get(KEYS + "?sort=referenced&q="))
    assert re.findall(r'aria-sort="(\w+)"', page) == ["none", "descending", "none"]
    assert 'href="?sort=-referenced"' in page


@pytest.mark.parametrize(
    ("address", "who", "says"),
    [
        ("", "kim", "Create your first key"),
        ("", "vera", "No key yet Needs Key manager"),
        ("?q=nothing", "vera", "No key matches"),
        ("?show=disabled", "vera", "No key is disabled"),
        ("?show=referenced", "vera", "No key is referenced yet"),
        ("?show=unused", "vera", "Every key is in use"),
    ],
)
def test_an_empty_list_says_why_and_what_next(region: Region, address: str, who: str, says: str) -> None:
    if address == "?show=unused":
        cast.consumer(region, bound_to=cast.key(region))
    elif address:
        cast.key(region, "one")
    page = get(KEYS + address, who)
    assert says in text(page)
    if address:
        assert "Clear search and filters" in text(page)


def test_htmx_gets_the_rows_and_what_goes_with_them(region: Region) -> None:
    cast.key(region, "openai_prod")
    part = get(KEYS + "?q=open&show=unused", part="key-list")
    assert "<html" not in markup(part)
    assert '<tr id="key-openai_prod">' in markup(part)
    assert 'id="key-filters"' in markup(part)
    assert "?q=open&amp;show=disabled" in markup(part)
    assert '<span id="key-found" hx-swap-oob="innerHTML">1 key</span>' in markup(part)
    assert "HX-Target" in part.headers["Vary"]


def test_deeds_that_are_not_allowed_say_who_may(region: Region) -> None:
    cast.key(region, "one")
    for who in ("vera", "olive"):
        menu = row("one", who)
        assert menu.count('aria-disabled="true"') == 5
        assert menu.count("Needs Key manager") == 5
        assert "/one/rotate/" not in menu
        assert "/new/" not in markup(get(KEYS, who))
    assert "/one/rotate/" in row("one", "kim")


@pytest.mark.parametrize(
    ("in_effect", "up", "says"),
    [((9, 9, 9), True, "All 3 nodes"), ((9, 0, 0), True, "1 of 3"), ((0, 0, 0), True, "Not delivered yet"), ((), True, "No gateway yet")],
)
def test_how_far_the_last_change_has_got(region: Region, in_effect: tuple[int, ...], up: bool, says: str) -> None:
    gateway = cast.instance(region)
    cast.service(gateway, keys=[cast.key(region, "one")])
    for number, seq in enumerate(in_effect):
        Node.join(gateway, f"node-{number}", "127.0.0.1", 9000 + number, by=cast.SETUP)
        Node.objects.filter(name=f"node-{number}").update(in_effect_seq=AuditHead.objects.get().seq if seq else 0)
    ControlPlane.beat()
    assert says in row("one")


def test_a_page_costs_the_same_however_many_keys_there_are(region: Region) -> None:
    gateway, client = cast.instance(region), cast.client("alice")

    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert client.get(KEYS + "?sort=referenced").status_code == 200
        return len(asked)

    cast.service(gateway, keys=[cast.key(region)])
    cost()
    once = cost()
    for _ in range(12):
        cast.service(gateway, keys=[cast.key(region), cast.key(region)])
    assert cost() == once
    assert not any("COUNT(" in query["sql"] for query in connection.queries_log)


def test_paging_leads_through_all_keys(region: Region) -> None:
    for number in range(60):
        cast.key(region, f"key_{number:02d}")
    first = markup(get(KEYS))
    assert "50 keys on this page" in first
    following = re.search(r'rel="next" href="(\?[^"]+)"', first)
    assert following
    second = markup(get(KEYS + following[1]))
    assert "10 keys on this page" in second
    assert "key_59" in second
    assert 'rel="prev"' in second
