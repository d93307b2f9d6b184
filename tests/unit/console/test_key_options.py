"""The rows of the Bind Key and API Key pickers."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from secrets_app.models import Key, Region
from tests import cast
from tests.unit.console.asking import CANARY, assert_silent, get, markup, text

OPTIONS = "/local/keys/options/"


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("kim", 200), ("olive", 200), ("vera", 200), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_look_for_keys(region: Region, who: str, status: int) -> None:
    get(OPTIONS, who, status=status)


def test_an_option_says_name_description_references_and_version(region: Region) -> None:
    key = cast.key(region, "openai_prod", CANARY, description="Production <b>")
    cast.service(cast.instance(region), keys=[key])
    answer = get(OPTIONS + "?q=AI_P", part="id_key-list")
    assert_silent(answer, CANARY)
    assert "open<mark>ai_p</mark>rod" in markup(answer)
    assert 'data-value="openai_prod"' in markup(answer)
    assert "Production &lt;b&gt;" in markup(answer)
    assert "1 reference v1" in text(answer)


def test_options_of_the_field_as_typed(region: Region) -> None:
    for name in ("one", "two"):
        cast.key(region, name)
    assert re.findall(r'data-value="(\w+)"', markup(get(OPTIONS + "?q=on"))) == ["one"]
    assert markup(get(OPTIONS + "?q=zzz")).strip() == ""
    assert markup(get(OPTIONS + "?q=" + "x" * 5000)).strip() == ""


def test_only_keys_that_can_be_bound_at_a_place_are_offered_there(region: Region) -> None:
    cast.key(region, "one", CANARY)
    cast.key(region, "short", "hunter2")
    cast.key(region, "lines", "-----BEGIN KEY-----\nabcdefghijkl\n")
    cast.key(region, "resting").disable(by=cast.SETUP)

    def offered(use: str) -> list[str]:
        return sorted(re.findall(r'data-value="(\w+)"', markup(get(f"{OPTIONS}?q=&for={use}"))))

    assert offered("inbound") == ["one"]
    assert offered("outbound") == ["one", "short"]
    assert offered("") == offered("anything") == ["lines", "one", "short"]


def rows(use: str, typed: str = "") -> dict[str, str]:
    """By name, why it cannot be chosen."""
    page = markup(get(f"{OPTIONS}?q={typed}&for={use}"))
    found = re.findall(r'data-value="(\w+)"( aria-disabled="true")?.*?(?:<small>(.*?)</small>)?<span class="meta">', page)
    return {name: why if off else "" for name, off, why in found}


def test_what_cannot_be_bound_stands_last_with_the_reason_where_its_name_is_typed(region: Region) -> None:
    for name, value in (("key_d", ""), ("key_c", "hunter2"), ("key_b", "two\nlines of a value"), ("key_a", "")):
        cast.key(region, name, value)
    Key.objects.get(name="key_a").disable(by=cast.SETUP)
    cast.consumer(region, bound_to=cast.key(region, "key_e"))
    disabled, unsendable = {"key_a": "Disabled"}, {"key_b": "Its value cannot travel in a header"}
    short, taken = {"key_c": "Its value is shorter than 16 characters"}, {"key_e": "A consumer presents it already"}
    assert rows("outbound", "key") == {"key_c": "", "key_d": "", "key_e": ""} | disabled | unsendable
    assert rows("inbound", "key") == {"key_d": "", "key_e": ""} | disabled | unsendable | short
    assert rows("consumer", "key") == {"key_d": ""} | disabled | unsendable | short | taken
    assert rows("", "key") == {"key_b": "", "key_c": "", "key_d": "", "key_e": ""} | disabled
    assert list(rows("consumer", "key")) == ["key_d", "key_a", "key_b", "key_c", "key_e"]
    assert rows("consumer") == {"key_d": ""}


def test_no_more_rows_than_a_list_takes(region: Region) -> None:
    for number in range(12):
        cast.key(region, f"key_{number}", "short" if number % 2 else "")
    assert len(rows("consumer", "key")) == 8
    assert list(rows("consumer", "key").values()).count("") == 6


def test_every_picker_asks_for_what_it_is_for(region: Region) -> None:
    gateway = cast.instance(region)
    key = cast.key(region, "one")
    tools = cast.mcp(gateway, "tools")
    cast.service(gateway, "chat", keys=[key])
    base = f"/local/instances/{gateway.ref}"
    for page, use in (
        ("/local/consumers/new/", "consumer"),
        (f"{base}/services/new/", "outbound"),
        (f"{base}/services/chat/edit/", "outbound"),
        (f"{base}/mcp/{tools.name}/backend-auth/", "outbound"),
        ("/local/keys/one/move/", "outbound"),
    ):
        asked = set(re.findall(r'hx-get="/local/keys/options/([^"]*)"', markup(get(page, "olive"))))
        assert asked == {f"?for={use}"}, page
    cast.consumer(region, bound_to=key)
    assert "options/?for=consumer" in markup(get("/local/keys/one/move/", "olive"))


def test_few_queries_of_its_own(region: Region) -> None:
    client = cast.client("olive")
    client.get(OPTIONS)
    with CaptureQueriesContext(connection) as asked:
        client.get(OPTIONS + "?q=o&for=inbound")
    assert len([query for query in asked if "secrets_app_key" in query["sql"]]) == 3
    assert not any("COUNT(" in query["sql"] for query in asked)
