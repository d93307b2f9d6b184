"""The Referenced drawer: who refers to a key, grouped, searched, and a page of its own."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from secrets_app.models import Key, Region
from tests import cast
from tests.unit.console.asking import get, markup, text

REFERENCES = "/local/keys/one/references/"


@pytest.fixture
def key(region: Region) -> Key:
    return cast.key(region, "one")


def serve(region: Region, key: Key, count: int) -> None:
    gateway = cast.instance(region, "prod-east")
    for number in range(count):
        cast.service(gateway, f"chat-{number:02d}", keys=[key])


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("kim", 200), ("olive", 200), ("vera", 200), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_see_references(key: Key, who: str, status: int) -> None:
    get(REFERENCES, who, status=status)


def test_holders_are_grouped_with_place_and_instance(region: Region, key: Key) -> None:
    serve(region, key, 2)
    cast.consumer(region, "acme", bound_to=key)
    page = text(get(REFERENCES, "vera"))
    assert "Referenced by 3 holders" in page
    assert page.index("Consumers 1") < page.index("acme") < page.index("AI services 2") < page.index("chat-00")
    assert "chat-00 Large Model Configuration › API Key prod-east" in page
    part = get(REFERENCES, part="panel")
    assert "<html" not in markup(part)
    assert "Referenced by 3 holders" in text(part)


def test_a_key_nobody_refers_to_says_so(key: Key) -> None:
    assert "Nothing refers to this key yet." in text(get(REFERENCES))


def test_more_than_ten_can_be_searched(region: Region, key: Key) -> None:
    serve(region, key, 10)
    assert "Search by name" not in markup(get(REFERENCES))
    cast.consumer(region, "acme", bound_to=key)
    assert "Search by name" in markup(get(REFERENCES))
    found = text(get(REFERENCES + "?q=CHAT-07"))
    assert "chat-07" in found
    assert "chat-06" not in found
    assert "acme" not in found
    assert "No holder is named like “<b>”." in text(get(REFERENCES + "?q=<b>")).replace("&lt;", "<").replace("&gt;", ">")


def test_twenty_more_at_a_time(region: Region, key: Key) -> None:
    serve(region, key, 45)
    page = get(REFERENCES)
    assert "chat-19" in text(page)
    assert "chat-20" not in text(page)
    assert 'href="?ai_service=40"' in markup(page)
    page = get(REFERENCES + "?ai_service=40&q=chat")
    assert "chat-39" in text(page)
    assert 'href="?ai_service=60&amp;q=chat"' in markup(page)
    assert "Show 20 more" not in text(get(REFERENCES + "?ai_service=60"))


@pytest.mark.parametrize("more", ["x", "-1", "0", "99999999999", "1e9", "٣"])
def test_an_address_that_makes_no_sense_shows_the_first_twenty_or_all(region: Region, key: Key, more: str) -> None:
    serve(region, key, 3)
    assert "chat-02" in text(get(f"{REFERENCES}?ai_service={more}"))


def test_the_drawer_costs_the_same_however_many_there_are(region: Region, key: Key) -> None:
    client = cast.client("alice")

    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert client.get(REFERENCES).status_code == 200
        return len(asked)

    serve(region, key, 1)
    cost()
    once = cost()
    for _ in range(15):
        cast.service(cast.instance(region), keys=[key])
    assert cost() == once
