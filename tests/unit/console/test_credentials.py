"""The credentials of a consumer in the console: another one, a change, a new value, and the end of one."""

import re
import uuid
from typing import Any

import pytest

from gateway.models import Consumer, NewCredential
from secrets_app.models import AuditEntry, Key, KeyVersion, Region
from tests import cast
from tests.unit.console.asking import CANARY, assert_silent, get, markup, post, text
from tests.unit.console.hostile import HOSTILE

CONSUMER = "/local/consumers/acme/"
HERE = f"{CONSUMER}credentials/"
GENERATED = re.compile(r"lk_[0-9A-Za-z]{43}")


def given(**fields: Any) -> dict[str, Any]:
    return {"generation": "custom", "value": "", "lock_version": 1, **fields}


def generated(region: Region) -> Consumer:
    return Consumer.create(region, "acme", NewCredential("system", cast.value()), by=cast.SETUP)


@pytest.mark.parametrize("place", ["new", "0/edit", "0/rotate", "0/remove"])
@pytest.mark.parametrize("who", ["kim", "vera", "audrey", "mallory"])
def test_only_operators_and_owners_change_credentials(region: Region, place: str, who: str) -> None:
    cast.consumer(region, "acme")
    get(f"{HERE}{place}/", who, status=403)
    post(f"{HERE}{place}/", given(value=CANARY, overlap=0), who, status=403)
    assert Consumer.objects.get().lock_version == 1


@pytest.mark.parametrize("place", ["new", "0/edit", "0/rotate", "0/remove"])
def test_each_question_has_an_address_and_fits_a_panel(region: Region, place: str) -> None:
    cast.consumer(region, "acme")
    whole, part = get(f"{HERE}{place}/"), get(f"{HERE}{place}/", part="panel")
    assert "<h1" in markup(whole)
    assert "<html" not in markup(part)
    assert 'id="panel-title"' in markup(part)


@pytest.mark.parametrize("place", ["edit", "rotate", "remove"])
@pytest.mark.parametrize("number", ["7", "9" * 40, "-1", "x", "%00"])
def test_a_credential_that_is_none_is_not_found(region: Region, place: str, number: str) -> None:
    cast.consumer(region, "acme")
    assert cast.client("alice").get(f"{HERE}{number}/{place}/").status_code in (400, 404)
    assert cast.client("alice").post(f"{HERE}{number}/{place}/", given(value=CANARY, overlap=0)).status_code in (400, 404)


def test_the_consumers_page_lists_them_with_what_each_is(region: Region) -> None:
    consumer = cast.consumer(region, "acme")
    assert "The only one stays. Add another first." in text(get(CONSUMER))
    consumer.add_credential(NewCredential("reference", key_name=cast.key(region, "partner").name or ""), by=cast.SETUP)
    consumer.rotate(0, cast.value(), 24, by=cast.SETUP)
    page = text(get(CONSUMER))
    assert "Credentials 2" in page
    assert re.search(r"Credential 1 v2 .* Custom .* v1 is still accepted, ends in 1 day", page)
    assert re.search(r"Credential 2 v1 .*\$ref\{partner\} ", page)
    assert f"{HERE}0/rotate/" in markup(get(CONSUMER))
    assert f"{HERE}1/rotate/" not in markup(get(CONSUMER))
    assert "/local/keys/partner/rotate/" in markup(get(CONSUMER))
    assert "+1" in text(get("/local/consumers/"))


def test_a_place_that_is_not_served_says_why(region: Region) -> None:
    key = cast.key(region, "partner")
    consumer = cast.consumer(region, "acme")
    consumer.add_credential(NewCredential("reference", key_name="partner"), by=cast.SETUP)
    key.disable(by=cast.SETUP)
    assert re.search(r"Credential 2 v1 .*The key is disabled: nothing is accepted", text(get(CONSUMER)))


# Adding


def test_adding_a_bound_credential(region: Region) -> None:
    cast.consumer(region, "acme")
    cast.key(region, "partner")
    answer = post(f"{HERE}new/", given(generation="reference", key="partner"), "olive")
    assert answer.headers["Location"] == CONSUMER
    assert Consumer.objects.get().credential(1).reference.key.name == "partner"


def test_a_generated_one_is_shown_once(region: Region) -> None:
    cast.consumer(region, "acme")
    data = {"generation": "system", "once": uuid.uuid4()}
    answer = post(f"{HERE}new/", data, status=200)
    [value] = GENERATED.findall(answer.content.decode())
    assert answer.headers["Cache-Control"] == "no-store"
    assert "lk_" not in post(f"{HERE}new/", data, status=409).content.decode()
    assert_silent(get(CONSUMER), value)
    assert Consumer.objects.get().credentials.count() == 2


@pytest.mark.parametrize(
    ("data", "place", "said"),
    [
        ({"value": ""}, "value", "Enter the credential"),
        ({"value": "short"}, "value", "at least 16"),
        ({"value": "$ref{partner} and more"}, "value", "Choose Reference Key instead"),
        ({"value": "the value that is there"}, "value", "uses the same value already"),
        ({"generation": "reference", "key": ""}, "key", "Choose a key"),
        ({"generation": "reference", "key": "nobody"}, "key", "No key is named"),
        ({"generation": "other"}, "generation_0", "Choose one of those listed"),
    ],
)
def test_what_is_wrong_stands_at_its_field(region: Region, data: dict[str, Any], place: str, said: str) -> None:
    cast.consumer(region, "acme", text="the value that is there")
    answer = post(f"{HERE}new/", given(**data), status=422)
    assert re.search(rf'<a href="#id_{place}">[^<]*{said}', markup(answer))
    assert Consumer.objects.get().credentials.count() == 1


def test_the_eleventh_is_refused_with_what_to_do(region: Region) -> None:
    consumer = cast.consumer(region, "acme")
    for _ in range(9):
        consumer.add_credential(NewCredential("custom", cast.value()), by=cast.SETUP)
    assert "at most 10 credentials. Remove one" in text(post(f"{HERE}new/", given(value=CANARY), status=409))


# Changing


def test_a_change_starts_from_what_is_stored(region: Region) -> None:
    cast.consumer(region, "acme", bound_to=cast.key(region, "partner"))
    page = markup(get(f"{HERE}0/edit/"))
    assert 'value="partner"' in page
    assert 'value="reference" id="id_generation_2" checked' in page


def test_a_new_value_takes_the_old_ones_place(region: Region) -> None:
    before = cast.consumer(region, "acme").credentials.get().reference.key_id
    post(f"{HERE}0/edit/", given(value=CANARY))
    assert Consumer.objects.get().credentials.get().reference.key_id != before
    assert not Key.objects.filter(pk=before).exists()


@pytest.mark.parametrize("generation", ["custom", "system", "reference"])
def test_saving_what_is_stored_changes_nothing(region: Region, generation: str) -> None:
    if generation == "system":
        generated(region)
    else:
        cast.consumer(region, "acme", bound_to=cast.key(region, "partner") if generation == "reference" else None)
    entries = AuditEntry.objects.count()
    post(f"{HERE}0/edit/", given(generation=generation, key="partner"))
    assert Consumer.objects.get().lock_version == 1
    assert AuditEntry.objects.filter(action="consumer.edit_credential").count() == 0
    assert AuditEntry.objects.count() >= entries


def test_switching_the_generation_method_releases_the_key(region: Region) -> None:
    key = cast.key(region, "partner")
    cast.consumer(region, "acme", bound_to=key)
    answer = post(f"{HERE}0/edit/", given(generation="system"), status=200)
    [value] = GENERATED.findall(answer.content.decode())
    assert answer.headers["Cache-Control"] == "no-store"
    assert_silent(get(CONSUMER), value)
    assert Key.objects.get(pk=key.pk).reference_count == 0
    post(f"{HERE}0/edit/", given(generation="reference", key="partner", lock_version=2))
    assert Consumer.objects.get().credentials.get().reference.key == key


def test_switching_to_custom_needs_a_value(region: Region) -> None:
    cast.consumer(region, "acme", bound_to=cast.key(region, "partner"))
    assert "Enter the credential" in text(post(f"{HERE}0/edit/", given(), status=422))


def test_a_stale_change_is_refused_and_the_next_save_counts(region: Region) -> None:
    consumer = cast.consumer(region, "acme")
    consumer.add_credential(NewCredential("custom", cast.value()), by=cast.SETUP)
    answer = post(f"{HERE}0/edit/", given(value=CANARY), status=409)
    assert "Someone else changed this while you were editing" in text(answer)
    assert 'name="lock_version" value="2"' in markup(answer)
    post(f"{HERE}0/edit/", given(value=CANARY, lock_version=2))
    assert Consumer.objects.get().lock_version == 3


# Rotating


def test_rotating_a_custom_value(region: Region) -> None:
    cast.consumer(region, "acme")
    assert "becomes v2" in text(get(f"{HERE}0/rotate/"))
    post(f"{HERE}0/rotate/", {"value": CANARY, "overlap": 24, "once": uuid.uuid4()}, "olive")
    assert set(KeyVersion.accepted().values_list("number", flat=True)) == {1, 2}
    assert AuditEntry.objects.latest("seq").action == "consumer.rotate"


def test_rotating_a_generated_value_shows_the_new_one_once(region: Region) -> None:
    generated(region)
    assert 'name="value"' not in markup(get(f"{HERE}0/rotate/"))
    data = {"overlap": 0, "once": uuid.uuid4()}
    answer = post(f"{HERE}0/rotate/", data, status=200)
    assert len(GENERATED.findall(answer.content.decode())) == 1
    assert "lk_" not in post(f"{HERE}0/rotate/", data, status=409).content.decode()
    assert KeyVersion.objects.filter(stage="current").get().number == 2


def test_a_bound_credential_is_rotated_through_its_key(region: Region) -> None:
    cast.consumer(region, "acme", bound_to=cast.key(region, "partner"))
    assert "Rotate the key itself" in text(get(f"{HERE}0/rotate/", status=409))
    post(f"{HERE}0/rotate/", {"value": CANARY, "overlap": 0}, status=409)
    entry = AuditEntry.objects.latest("seq")
    assert (entry.action, entry.outcome, entry.target) == ("consumer.rotate", "refused", "acme")


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
    assert said in text(post(f"{HERE}0/rotate/", data, status=422))
    assert KeyVersion.objects.count() == 1


# Removing


def test_removing_asks_first_and_says_what_becomes_of_the_key(region: Region) -> None:
    consumer = cast.consumer(region, "acme", bound_to=cast.key(region, "partner"))
    consumer.add_credential(NewCredential("custom", cast.value()), by=cast.SETUP)
    assert "The key partner stays, with one reference less." in text(get(f"{HERE}0/remove/"))
    assert "Its value is erased." in text(get(f"{HERE}1/remove/"))
    assert consumer.credentials.count() == 2
    assert post(f"{HERE}0/remove/", {}, "olive").headers["Location"] == CONSUMER
    assert [one.number for one in consumer.credentials.all()] == [1]
    post(f"{HERE}0/remove/", {}, status=404)


def test_the_only_one_stays(region: Region) -> None:
    cast.consumer(region, "acme")
    assert "Add another one first" in text(post(f"{HERE}0/remove/", {"once": uuid.uuid4()}, status=409))
    assert Consumer.objects.get().credentials.count() == 1


@pytest.mark.parametrize("field", ["generation", "value", "key", "lock_version", "once"])
@pytest.mark.parametrize("place", ["new", "0/edit"])
def test_nothing_typed_breaks_the_page(region: Region, place: str, field: str) -> None:
    cast.consumer(region, "acme")
    client = cast.client("olive")
    chosen = {"generation": "reference"} if field == "key" else {}
    for typed in HOSTILE:
        now = Consumer.objects.get().lock_version
        answer = client.post(f"{HERE}{place}/", given(lock_version=now, **chosen) | {field: typed})
        assert answer.status_code in (200, 303, 409, 422), (field, typed[:40], answer.status_code)
