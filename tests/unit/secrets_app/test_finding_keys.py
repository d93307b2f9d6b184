"""Finding keys: search, filters and the options of a picker."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from secrets_app.errors import NotFound
from secrets_app.models import Key, Region
from secrets_app.models.finding import KeyQuerySet
from tests import cast


def seen(region: Region) -> KeyQuerySet:
    return Key.visible_to(cast.actor("vera"), region)


def names(keys: KeyQuerySet | list[Key]) -> list[str | None]:
    return [key.name for key in keys]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("openai", ["OpenAI_prod", "openai_test"]),
        ("OPENAI prod", ["OpenAI_prod"]),
        ("traffic production", ["OpenAI_prod"]),
        ("straße", ["berlin"]),
        ("STRASSE", ["berlin"]),
        ("$ref{openai_test}", ["openai_test"]),
        ("100%", []),
        ("open_i", []),
        ("no such thing", []),
        ("\0", ["OpenAI_prod", "openai_test", "berlin"]),
        ("", ["OpenAI_prod", "openai_test", "berlin"]),
    ],
)
def test_a_search_finds_every_word_in_name_or_description(region: Region, text: str, found: list[str]) -> None:
    cast.key(region, "OpenAI_prod", description="Production traffic")
    cast.key(region, "openai_test")
    cast.key(region, "berlin", description="Office in the Straße")
    assert set(names(seen(region).search(text))) == set(found)


def test_a_description_that_grows_when_folded_is_stored_whole_and_searched_as_far_as_it_fits(region: Region) -> None:
    key = cast.key(region, "growing", description="ΐ" * 500)
    assert len(key.description) == 500
    assert names(seen(region).search("growing ΐΐ")) == ["growing"]


def test_filters_tell_used_unused_and_disabled_apart(region: Region) -> None:
    used, _unused, off = cast.key(region, "used"), cast.key(region, "unused"), cast.key(region, "off")
    cast.consumer(region, bound_to=used)
    off.disable(by=cast.SETUP)
    assert names(seen(region).referenced()) == ["used"]
    assert set(names(seen(region).unused())) == {"unused", "off"}
    assert names(seen(region).disabled()) == ["off"]


def test_options_begin_with_what_was_typed_then_hold_it(region: Region) -> None:
    for name in ("prod_openai", "OpenAI_prod", "openai_eu", "anthropic"):
        cast.key(region, name)
    assert names(seen(region).options("OPEN")) == ["openai_eu", "OpenAI_prod", "prod_openai"]
    assert names(seen(region).options("$ref{open")) == ["openai_eu", "OpenAI_prod", "prod_openai"]
    assert names(seen(region).options("n_p")) == []


def test_options_of_nothing_typed_are_the_newest_values(region: Region) -> None:
    for name in ("a", "b", "c"):
        cast.key(region, name)
    Key.objects.get(name="b").rotate(cast.value(), by=cast.SETUP)
    assert names(seen(region).options("  ")) == ["b", "c", "a"]


def test_options_are_eight_at_most_and_never_disabled_foreign_or_inline(region: Region) -> None:
    for number in range(12):
        cast.key(region, f"key_{number:02d}")
    cast.key(region, "key_off").disable(by=cast.SETUP)
    cast.key(Region.create("eu", "Europe", by=cast.SETUP), "key_eu")
    cast.consumer(region)
    assert names(seen(region).options("key_")) == [f"key_{number:02d}" for number in range(8)]
    assert names(seen(region).options("key_off")) == names(seen(region).options("key_eu")) == []
    assert len(seen(region).options("")) == 8
    assert Key.visible_to(cast.actor("mallory"), region).options("key") == []


@pytest.mark.parametrize("typed", ["", "key", "none of them", "%", "_", "ü", "\0", "{", "'"])
def test_options_cost_at_most_two_queries_and_no_count(region: Region, typed: str) -> None:
    cast.key(region, "key")
    keys = seen(region)
    with CaptureQueriesContext(connection) as asked:
        keys.options(typed)
    assert len(asked) <= 2
    assert not any("COUNT" in query["sql"] for query in asked)


@pytest.mark.parametrize(
    ("order", "index"),
    [
        (["name_folded"], "key_by_name"),
        (["-name_folded"], "key_by_name"),
        (["-reference_count", "name_folded"], "key_by_references"),
        (["reference_count", "-name_folded"], "key_by_references"),
        (["-rotated_at", "name_folded"], "key_by_rotation"),
    ],
)
def test_every_order_of_the_list_is_read_from_its_index(region: Region, order: list[str], index: str) -> None:
    if connection.vendor == "postgresql":  # of a table this small it would take any way
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_sort = off; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
    plan = seen(region).search("word").order_by(*order)[:51].explain()
    assert index in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan


@pytest.mark.parametrize("name", ["", "a\0b", "a b", "x" * 65, "x" * 70_000, "\u212a", "k\n", "é", "$ref{k}"])
def test_what_cannot_be_a_name_is_not_looked_for(region: Region, name: str, django_assert_num_queries: Any) -> None:
    """The Kelvin sign is a "k" in lower case, and PostgreSQL takes no NUL."""
    cast.key(region, "k")
    with django_assert_num_queries(0), pytest.raises(NotFound):
        Key.objects.filter(region=region).find(name)


def test_a_search_of_very_many_words_looks_for_the_first_few(region: Region) -> None:
    cast.key(region, "k", description="a b c")
    keys = Key.objects.filter(region=region)
    assert keys.search("a a b b c c k k").count() == 1
    words = [f"w{number}" for number in range(100)]
    assert str(keys.search(" ".join(words)).query).count("LIKE") == 10
