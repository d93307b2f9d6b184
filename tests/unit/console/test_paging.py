"""Lists and their addresses, on keys: every row once, in order, forwards and back, at the same number of queries."""

from urllib.parse import parse_qs

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from console import paging
from console.paging import Cut, Listing
from secrets_app.models import Key, Region
from tests import cast

SORTS = {"name": ["name_folded"], "referenced": ["-reference_count", "name_folded"], "rotated": ["-rotated_at", "name_folded"]}


@pytest.fixture(autouse=True)
def keys(region: Region, monkeypatch: pytest.MonkeyPatch) -> list[Key]:
    monkeypatch.setattr(paging, "ROWS_A_PAGE", 3)
    made = [cast.key(region, f"key_{number:02d}") for number in range(11)]
    for number, key in enumerate(made):
        Key.objects.filter(pk=key.pk).update(reference_count=number // 4)
    return made


def listing(address: str = "") -> Listing:
    return Listing(QueryDict(address.removeprefix("?")), SORTS, ["unused"])


def cut(address: str = "") -> Cut[Key]:
    return listing(address).cut(Key.objects.named())


def names(page: Cut[Key]) -> list[str]:
    return [key.name or "" for key in page.rows]


@pytest.mark.parametrize("sort", ["name", "-name", "referenced", "-referenced", "rotated", "-rotated"])
def test_walking_forwards_and_back_meets_every_row_once_and_in_order(sort: str) -> None:
    pages = [cut(f"sort={sort}")]
    while pages[-1].next_url:
        pages.append(cut(pages[-1].next_url))
    columns = SORTS[sort.removeprefix("-")]
    order = columns if not sort.startswith("-") else [c[1:] if c.startswith("-") else f"-{c}" for c in columns]
    assert [name for page in pages for name in names(page)] == list(Key.objects.order_by(*order).values_list("name", flat=True))
    assert [len(page.rows) for page in pages] == [3, 3, 3, 2]
    assert pages[0].previous_url == ""
    back = [pages[-1]]
    while back[-1].previous_url:
        back.append(cut(back[-1].previous_url))
    assert [names(page) for page in back] == [names(page) for page in reversed(pages)]


def test_ties_are_broken_by_name_in_reading_order() -> None:
    assert names(cut("sort=referenced")) == ["key_08", "key_09", "key_10"]


def test_a_page_costs_two_queries_at_most_however_deep() -> None:
    address = "sort=referenced"
    for _page in range(4):
        with CaptureQueriesContext(connection) as asked:
            page = cut(address)
        assert len(asked) <= 2
        address = page.next_url


@pytest.mark.parametrize(
    "address",
    ["after=nonsense", "after=", "before=%00", "sort=value", "sort=--name", "show=everything", "after=a:b:c", "q=&sort=&show="],
)
def test_an_address_that_makes_no_sense_shows_the_first_page(address: str) -> None:
    assert names(cut(address)) == ["key_00", "key_01", "key_02"]


def test_a_place_in_another_order_counts_as_none() -> None:
    place = parse_qs(cut("sort=referenced").next_url.removeprefix("?"))["after"][0]
    assert names(cut(f"after={place}")) == ["key_00", "key_01", "key_02"]


def test_a_place_whose_row_has_gone_still_counts(keys: list[Key]) -> None:
    address = cut().next_url
    keys[2].delete(by=cast.SETUP)
    assert names(cut(address)) == ["key_03", "key_04", "key_05"]


def test_past_the_end_there_is_the_first_page(keys: list[Key]) -> None:
    pages = [cut()]
    while pages[-1].next_url:
        pages.append(cut(pages[-1].next_url))
    for key in keys[9:]:
        Key.objects.filter(pk=key.pk).update(name=None, name_folded=None)
    last = cut(pages[-2].next_url)
    assert names(last) == ["key_00", "key_01", "key_02"]
    assert last.previous_url == ""


def test_going_back_to_less_than_a_page_shows_the_whole_first_page(keys: list[Key]) -> None:
    second = cut(cut().next_url)
    Key.objects.filter(pk=keys[0].pk).update(name=None, name_folded=None)
    first = cut(second.previous_url)
    assert (names(first), first.previous_url) == (["key_01", "key_02", "key_03"], "")


def test_links_keep_search_filter_and_order_and_drop_the_place() -> None:
    asked = listing("q=open+ai&show=unused&sort=-rotated&after=x")
    assert asked.tabs["all"].url == "?q=open+ai&sort=-rotated"
    assert asked.tabs["unused"].current
    assert asked.heads["name"].url == "?q=open+ai&show=unused&sort=name"
    assert asked.all_url == "?sort=-rotated"
    assert asked.narrowed
    assert not listing("sort=name").narrowed


def test_a_head_says_which_way_it_sorts_and_leads_the_other_way() -> None:
    heads = listing("sort=referenced").heads
    assert (heads["referenced"].aria, heads["referenced"].url) == ("descending", "?sort=-referenced")
    assert (heads["name"].aria, heads["rotated"].aria) == ("none", "none")
    turned = listing("sort=-referenced").heads["referenced"]
    assert (turned.aria, turned.url) == ("ascending", "?sort=referenced")
    assert listing().heads["name"].aria == "ascending"


def test_a_search_is_cut_to_a_sensible_length() -> None:
    assert len(listing("q=" + "x" * 5000).q) == paging.LONGEST_SEARCH
    assert listing("q=a%00b").q == "ab"
