"""Rotating a key: what it says before, what it does, and that neither value comes back."""

import re
import uuid
from typing import Any

import pytest

from gateway.models import Node
from secrets_app.models import AuditEntry, Key, KeyVersion, Region
from tests import cast
from tests.unit.console.asking import CANARY, assert_silent, get, markup, post, text

ROTATE = "/local/keys/openai_prod/rotate/"


@pytest.fixture
def key(region: Region) -> Key:
    return cast.key(region, "openai_prod", text="the value before, " + CANARY)


def given(**fields: Any) -> dict[str, Any]:
    return {"generation": "custom", "value": CANARY, "once": uuid.uuid4(), **fields}


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("kim", 200), ("olive", 403), ("vera", 403), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_rotate(key: Key, who: str, status: int) -> None:
    get(ROTATE, who, status=status)
    post(ROTATE, given(), who, status=303 if status == 200 else 403)
    assert Key.objects.get().version == (2 if status == 200 else 1)


def test_the_overlap_is_asked_for_only_where_somebody_presents_the_key(region: Region, key: Key) -> None:
    assert "Keep the previous value valid for" not in text(get(ROTATE))
    assert "Nothing refers to this key: only the stored value changes." in text(get(ROTATE))
    cast.service(cast.instance(region), "chat", keys=[key])
    assert "Keep the previous value valid for" not in text(get(ROTATE))
    cast.consumer(region, "acme", bound_to=key)
    page = markup(get(ROTATE))
    for period in ("None", "1 hour", "24 hours", "7 days"):
        assert f">{period}</label>" in page
    assert re.search(r'value="24" id="[^"]+" checked', page)


def test_it_says_what_changes_and_for_whom(region: Region, key: Key) -> None:
    east, west = cast.instance(region, "east"), cast.instance(region, "west")
    for number in range(5):
        cast.service(east, f"chat-{number}", keys=[key])
    for instance in (east, west):
        Node.join(instance, "node", "127.0.0.1", 9000, by=cast.SETUP)
    page = text(get(ROTATE))
    assert "5 holders switch to v2 1 node on 1 instance" in page
    assert "chat-0 , chat-1 , chat-2 and 2 more send v2 to their back ends. Callers need do nothing" in page
    assert "must switch" not in page
    cast.consumer(region, "acme", bound_to=key)
    page = text(get(ROTATE))
    assert "6 holders switch to v2 2 nodes on 2 instances" in page
    assert "acme presents this key. These callers must switch to v2 before v1 ends." in page
    assert "Rotate to v2" in page


def test_a_rotation_during_an_overlap_says_what_it_ends(region: Region, key: Key) -> None:
    cast.consumer(region, bound_to=key)
    key.rotate(cast.value(), 24, by=cast.SETUP)
    assert "v1 is still accepted. This rotation ends it at once." in text(get(ROTATE))


def test_a_rotation_leads_to_the_keys_page(region: Region, key: Key) -> None:
    cast.consumer(region, bound_to=key)
    assert post(ROTATE, given(overlap="1"), "kim").headers["Location"] == "/local/keys/openai_prod/"
    assert list(KeyVersion.objects.order_by("number").values_list("stage", flat=True)) == ["previous", "current"]
    entry = AuditEntry.objects.latest("seq")
    assert (entry.action, entry.actor, entry.facts["overlap_hours"], entry.facts["version"]) == ("key.rotate", "kim", 1, 2)
    post(ROTATE, given(value="another value, long enough", overlap="0"), part="sheet", status=204)
    assert_silent(get("/local/keys/openai_prod/"), CANARY)


def test_a_generated_value_is_shown_once(key: Key) -> None:
    twice = given(generation="system", value="")
    answer = post(ROTATE, twice, status=200)
    value = re.findall(r"lk_[0-9A-Za-z]{43}", answer.content.decode())
    assert len(value) == 1
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Key openai_prod was rotated to v2." in text(answer)
    again = post(ROTATE, twice, status=409)
    assert_silent(again, value[0])
    assert Key.objects.get().version == 2


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"value": ""}, "Enter the key content."),
        ({"value": CANARY + "\n\nline"}, "This value cannot travel in an HTTP header"),
        ({"value": "<" + CANARY[:9]}, "at least 16 characters"),
        ({"value": "the value before, " + CANARY}, "This is the value in use already."),
        ({"value": CANARY, "overlap": "2"}, "Choose one of those listed."),
        ({"value": CANARY, "overlap": ""}, "Choose one of the periods listed."),
        ({"value": CANARY, "overlap": CANARY}, "Choose one of those listed."),
        ({"value": "the value of another caller"}, "A consumer in this region uses the same value already."),
    ],
)
def test_what_is_refused_is_said_at_its_field(region: Region, key: Key, fields: dict[str, Any], says: str) -> None:
    cast.consumer(region, "acme", bound_to=key)
    cast.consumer(region, "a-secret-name", text="the value of another caller")
    sent = given(**({"overlap": "24"} | fields))
    answer = post(ROTATE, sent, status=422)
    assert says in text(answer)
    assert "a-secret-name" not in text(answer)
    if sent["value"]:
        assert_silent(answer, sent["value"])
    if sent["overlap"] != CANARY:
        assert_silent(answer, CANARY)
    assert 'aria-invalid="true"' in markup(answer) or "id_overlap-error" in markup(answer)
    assert Key.objects.get(name="openai_prod").version == 1


def test_an_overlap_nobody_was_asked_for_is_not_read(key: Key) -> None:
    post(ROTATE, given(overlap="168"))
    assert list(KeyVersion.objects.order_by("number").values_list("stage", flat=True)) == ["retired", "current"]


def test_what_is_not_there_and_what_may_not_be_seen_look_alike(region: Region) -> None:
    cast.key(Region.create("eu", "Europe", by=cast.SETUP), "openai_prod")
    assert text(get(ROTATE, status=404)) == text(get("/local/keys/nothing/rotate/", status=404))
    post(ROTATE, given(), status=404)
    assert Key.objects.get().version == 1


def test_a_rotation_that_another_one_overtook_is_not_done(key: Key) -> None:
    """Two people, one leak: the second is told that the value they meant to replace is gone already."""
    form = get(ROTATE)
    assert 'name="lock_version" value="1"' in markup(form)
    key.rotate(cast.value(), by=cast.actor("kim"))
    answer = post(ROTATE, given(lock_version="1"), status=409)
    assert "v2 is current by now kim rotated this key" in text(answer)
    assert 'name="lock_version" value="2"' in markup(answer)
    assert "Rotate to v3" in text(answer)
    assert_silent(answer, CANARY)
    assert Key.objects.get().version == 2
    post(ROTATE, given(lock_version="2"), status=303)
    assert Key.objects.get().version == 3


def test_where_services_send_the_key_a_generated_value_is_warned_of(region: Region, key: Key) -> None:
    told = "A supplier refuses a value that it did not issue."
    assert told not in text(get(ROTATE))
    cast.service(cast.instance(region), "chat", keys=[key])
    assert told in text(get(ROTATE))


def test_a_reference_is_no_value(key: Key) -> None:
    answer = post(ROTATE, given(value="$ref{team_a}"), status=422)
    assert "This looks like a reference to a key." in text(answer)
    assert Key.objects.get().version == 1
