"""What happens to a consumer after its birth: edit, rotate, disable, enable, delete."""

import re
import uuid
from typing import Any

import pytest

from gateway.models import Consumer
from gateway.sources import Source
from secrets_app.models import AuditEntry, Key, KeyVersion, Region
from tests import cast
from tests.unit.console.asking import CANARY, assert_silent, get, markup, post, text
from tests.unit.console.hostile import HOSTILE

HERE = "/local/consumers/acme/"


def edited(**fields: Any) -> dict[str, Any]:
    return {"description": "", "generation": "custom", "value": "", "source_kind": "bearer", "lock_version": 1, **fields}


@pytest.mark.parametrize("action", ["edit", "rotate", "disable", "enable", "delete"])
@pytest.mark.parametrize("who", ["kim", "vera", "audrey", "mallory"])
def test_only_operators_and_owners_change_consumers(region: Region, action: str, who: str) -> None:
    cast.consumer(region, "acme", enabled=action != "enable")
    get(f"{HERE}{action}/", who, status=403)
    post(f"{HERE}{action}/", {"confirm": "acme", **edited()}, who, status=403)
    assert Consumer.objects.get().lock_version == 1


@pytest.mark.parametrize("action", ["edit", "rotate", "disable", "delete"])
def test_each_question_has_an_address_and_fits_a_panel(region: Region, action: str) -> None:
    cast.consumer(region, "acme")
    whole, part = get(f"{HERE}{action}/"), get(f"{HERE}{action}/", part="panel")
    assert "<h1" in markup(whole)
    assert "<html" not in markup(part)
    assert 'id="panel-title"' in markup(part)


def test_an_edit_starts_from_what_is_stored(region: Region) -> None:
    cast.consumer(region, "acme", bound_to=cast.key(region, "partner"), source=Source("query", "token"), description="Acme <Inc.>")
    page = markup(get(f"{HERE}edit/"))
    for there in ("Acme &lt;Inc.&gt;", 'value="partner"', 'value="token"', 'value="query" id="id_source_kind_2" checked'):
        assert there in page


def test_an_edit_without_a_new_value_keeps_the_credential(region: Region) -> None:
    consumer = cast.consumer(region, "acme")
    before = consumer.reference.key_id
    post(f"{HERE}edit/", edited(description="Now with words", source_kind="header", header="X-Key"))
    stored = Consumer.objects.get()
    assert (stored.description, stored.source, stored.reference.key_id) == ("Now with words", Source("header", "x-key"), before)
    assert AuditEntry.objects.latest("seq").facts["changed"] == ["description", "credential source"]


def test_a_new_value_takes_the_old_ones_place(region: Region) -> None:
    before = cast.consumer(region, "acme").reference.key_id
    post(f"{HERE}edit/", edited(value=CANARY))
    assert Consumer.objects.get().reference.key_id != before
    assert not Key.objects.filter(pk=before).exists()


def test_switching_the_generation_method_releases_the_key(region: Region) -> None:
    key = cast.key(region, "partner")
    cast.consumer(region, "acme", bound_to=key)
    answer = post(f"{HERE}edit/", edited(generation="system"), status=200)
    [value] = re.findall(r"lk_[0-9A-Za-z]{43}", answer.content.decode())
    assert answer.headers["Cache-Control"] == "no-store"
    assert_silent(get(HERE), value)
    assert Key.objects.get(pk=key.pk).reference_count == 0
    post(f"{HERE}edit/", edited(generation="reference", key="partner", lock_version=2))
    assert Consumer.objects.get().reference.key == key


def test_a_system_generated_value_stays_when_something_else_is_edited(region: Region) -> None:
    cast.client("alice").post(
        "/local/consumers/new/", {"name": "acme", "generation": "system", "source_kind": "bearer", "state": "enabled"}
    )
    before = Consumer.objects.get().reference.key_id
    post(f"{HERE}edit/", edited(generation="system", description="x"))
    assert Consumer.objects.get().reference.key_id == before


def test_switching_to_custom_needs_a_value(region: Region) -> None:
    cast.consumer(region, "acme", bound_to=cast.key(region, "partner"))
    assert "Enter the credential" in text(post(f"{HERE}edit/", edited(), status=422))


def test_a_stale_edit_shows_what_is_stored_and_the_next_save_counts(region: Region) -> None:
    consumer = cast.consumer(region, "acme")
    consumer.edit(description="theirs", source=Source("header", "x-theirs"), lock_version=1, by=cast.SETUP)
    answer = post(f"{HERE}edit/", edited(description="mine"), status=409)
    said = text(answer)
    assert "Someone else changed this while you were editing" in said
    assert "Stored now Description theirs Generation method Custom Credential source Header x-theirs" in said
    assert "mine" in said
    assert 'name="lock_version" value="2"' in markup(answer)
    assert Consumer.objects.get().description == "theirs"
    post(f"{HERE}edit/", edited(description="mine", lock_version=2))
    assert Consumer.objects.get().description == "mine"


@pytest.mark.parametrize("lock_version", ["", "x", "-1", "9" * 40, "1.5"])
def test_a_strange_lock_version_saves_nothing(region: Region, lock_version: str) -> None:
    cast.consumer(region, "acme")
    answer = cast.client("alice").post(f"{HERE}edit/", edited(description="mine", lock_version=lock_version))
    assert answer.status_code in (409, 422)
    assert Consumer.objects.get().description == ""


# Rotate


def test_rotating_a_custom_value(region: Region) -> None:
    cast.consumer(region, "acme")
    assert "becomes v2" in text(get(f"{HERE}rotate/"))
    post(f"{HERE}rotate/", {"value": CANARY, "overlap": 24, "once": uuid.uuid4()}, "olive")
    assert set(KeyVersion.accepted().values_list("number", flat=True)) == {1, 2}
    assert AuditEntry.objects.latest("seq").action == "consumer.rotate"


def test_rotating_a_generated_value_shows_the_new_one_once(region: Region) -> None:
    client = cast.client("alice")
    client.post("/local/consumers/new/", {"name": "acme", "generation": "system", "source_kind": "bearer", "state": "enabled"})
    assert 'name="value"' not in markup(get(f"{HERE}rotate/"))
    data = {"overlap": 0, "once": uuid.uuid4()}
    answer = post(f"{HERE}rotate/", data, status=200)
    assert len(re.findall(r"lk_[0-9A-Za-z]{43}", answer.content.decode())) == 1
    assert "lk_" not in post(f"{HERE}rotate/", data, status=409).content.decode()
    assert KeyVersion.objects.filter(stage="current").get().number == 2


def test_a_bound_consumer_is_rotated_through_its_key(region: Region) -> None:
    cast.consumer(region, "acme", bound_to=cast.key(region, "partner"))
    assert "Rotate the key itself" in text(get(f"{HERE}rotate/", status=409))
    post(f"{HERE}rotate/", {"value": CANARY, "overlap": 0}, status=409)
    assert "/acme/rotate/" not in markup(get(HERE))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"value": "", "overlap": 0}, "Enter the credential"),
        ({"value": "short", "overlap": 0}, "at least 16"),
        ({"value": CANARY, "overlap": 5}, "Choose one of those listed"),
        ({"value": CANARY}, "Choose one of the periods listed"),
        ({"value": "$ref{partner}", "overlap": 0}, "Choose Reference Key instead"),
        ({"value": "the value it has now", "overlap": 0}, "in use already"),
    ],
)
def test_a_wrong_rotation_is_told_at_its_field(region: Region, data: dict[str, Any], said: str) -> None:
    cast.consumer(region, "acme", text="the value it has now")
    assert said in text(post(f"{HERE}rotate/", data, status=422))
    assert KeyVersion.objects.count() == 1


# Disable, enable, delete


def test_disabling_asks_first_and_says_who_is_harmed(region: Region) -> None:
    cast.consumer(region, "acme")
    cast.service(cast.instance(region)).authorize(["acme"], by=cast.SETUP)
    assert "answered 401 by the 1 service" in text(get(f"{HERE}disable/"))
    assert Consumer.objects.get().enabled
    assert post(f"{HERE}disable/", {}, "olive").headers["Location"] == HERE
    assert not Consumer.objects.get().enabled
    assert "disabled already" in text(post(f"{HERE}disable/", {"once": uuid.uuid4()}, status=409))
    post(f"{HERE}enable/", {}, "olive")
    assert Consumer.objects.get().enabled
    assert "enabled already" in text(post(f"{HERE}enable/", {"once": uuid.uuid4()}, status=409))


@pytest.mark.parametrize("typed", ["", "ACME", "acme ", "acm", "\x00", "x" * 10_000])
def test_deleting_needs_the_name(region: Region, typed: str) -> None:
    cast.consumer(region, "acme")
    post(f"{HERE}delete/", {"confirm": typed}, status=422)
    assert Consumer.objects.exists()


def test_deleting_by_name(region: Region) -> None:
    key = cast.key(region, "partner")
    cast.consumer(region, "acme", bound_to=key)
    assert "The key partner stays, with one reference less." in text(get(f"{HERE}delete/"))
    assert post(f"{HERE}delete/", {"confirm": "acme"}, "olive").headers["Location"] == "/local/consumers/"
    assert not Consumer.objects.exists()
    assert Key.objects.get(pk=key.pk).reference_count == 0
    get(HERE, status=404)
    post(f"{HERE}delete/", {"confirm": "acme"}, status=404)


@pytest.mark.parametrize("field", ["description", "value", "key", "header", "parameter", "generation", "source_kind", "lock_version"])
def test_nothing_typed_into_the_edit_breaks_the_page(region: Region, field: str) -> None:
    cast.consumer(region, "acme")
    client = cast.client("olive")
    chosen = {"key": {"generation": "reference"}, "header": {"source_kind": "header"}, "parameter": {"source_kind": "query"}}.get(field, {})
    for typed in HOSTILE:
        now = Consumer.objects.get().lock_version
        answer = client.post(f"{HERE}edit/", edited(lock_version=now, **chosen) | {field: typed})
        assert answer.status_code in (200, 303, 409, 422), (field, typed[:40], answer.status_code)


@pytest.mark.parametrize("name", ["%00", "a%00b", "%F0%9F%94%91", "..", "a" * 300, "ACME", "%2e%2e", "a%0ab"])
def test_no_name_in_the_address_breaks_the_page(region: Region, name: str) -> None:
    assert cast.client("alice").get(f"/local/consumers/{name}/").status_code in (400, 404)
