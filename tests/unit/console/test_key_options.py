"""The rows of the Bind Key and API Key pickers."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from secrets_app.models import Region
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


def test_two_queries_of_its_own_at_most(region: Region) -> None:
    client = cast.client("olive")
    client.get(OPTIONS)
    with CaptureQueriesContext(connection) as asked:
        client.get(OPTIONS + "?q=o&for=inbound")
    assert len([query for query in asked if "secrets_app_key" in query["sql"]]) == 2
    assert not any("COUNT(" in query["sql"] for query in asked)
