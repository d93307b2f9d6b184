"""Making an earlier version of a key the current one again, from its page."""

import pytest

from secrets_app.models import Key, Region
from tests import cast
from tests.unit.console.asking import get, markup, post, text

HERE, BACK = "/local/keys/one/", "/local/keys/one/roll-back/1/"


@pytest.fixture
def key(region: Region) -> Key:
    key = cast.key(region, "one")
    key.rotate(cast.value(), by=cast.actor("kim"))
    return key


def version() -> int:
    return Key.objects.get(name="one").version


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("kim", 200), ("olive", 403), ("vera", 403), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_roll_back(key: Key, who: str, status: int) -> None:
    get(BACK, who, status=status)
    if who in ("kim", "olive"):
        assert (f'href="{BACK}"' in markup(get(HERE, who))) == (status == 200)


def test_the_page_says_what_happens_on_the_gateways(region: Region, key: Key) -> None:
    cast.service(cast.instance(region, "east"), "chat", keys=[key])
    page = text(get(BACK, "kim"))
    assert "The gateways take v1 in place of v2 within moments." in page
    assert "No gateway restarts and no call is lost; v2 stays stored and can be made current again." in page
    assert "1 holder switches to v1" in page
    assert "chat sends v1 to its back end." in page
    assert "Keep the previous value valid for" not in page


def test_callers_may_keep_the_value_for_a_while(region: Region, key: Key) -> None:
    cast.consumer(region, "acme", bound_to=key)
    page = text(get(BACK, "kim"))
    assert "Keep the previous value valid for" in page
    assert "These callers must switch to v1 before v2 ends." in page
    post(BACK, {"overlap": "24", "lock_version": "2"}, "kim")
    assert version() == 1
    assert "v2 Previous" in text(get(HERE))


def test_the_version_is_current_again(key: Key) -> None:
    answer = post(BACK, {"lock_version": "2"}, "kim")
    assert answer.headers["Location"] == HERE
    assert version() == 1
    page = text(get(HERE, "kim"))
    assert "v2 Rolled back" in page
    assert "v1 Current" in page
    assert "Make v2 current again" in page
    assert "kim rolled back key one v1" in page
    assert "Rotate to v3" in text(get("/local/keys/one/rotate/", "kim"))


def test_whoever_was_overtaken_looks_again(key: Key) -> None:
    key.rotate(cast.value(), by=cast.actor("alice"))
    page = post(BACK, {"lock_version": "2"}, "kim", status=409)
    assert "v3 is current by now" in text(page)
    assert 'name="lock_version" value="3"' in markup(page)
    assert version() == 3


def test_what_cannot_be_is_said(key: Key) -> None:
    get("/local/keys/one/roll-back/7/", "kim", status=404)
    assert "current one already" in text(get("/local/keys/one/roll-back/2/", "kim"))
    post("/local/keys/one/roll-back/2/", {"lock_version": "2"}, "kim", status=409)
    assert version() == 2


def test_the_current_version_is_shown_among_many_newer_ones(key: Key) -> None:
    for _ in range(8):
        key.rotate(cast.value(), by=cast.SETUP)
    key.roll_back(1, by=cast.SETUP)
    page = text(get(HERE))
    assert "v1 Current" in page
    assert "Show all 10 versions" in page
