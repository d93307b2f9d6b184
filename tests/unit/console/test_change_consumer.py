"""What happens to a consumer after its birth: edit, disable, enable, delete."""

import re
import uuid
from typing import Any

import pytest

from gateway.models import Consumer
from gateway.sources import BEARER, Source
from secrets_app.models import AuditEntry, Key, Region
from tests import cast
from tests.unit.console.asking import CANARY, get, markup, post, text
from tests.unit.console.hostile import HOSTILE

HERE = "/local/consumers/acme/"


def edited(**fields: Any) -> dict[str, Any]:
    return {"description": "", "source_kind": "bearer", "lock_version": 1, **fields}


@pytest.mark.parametrize("action", ["edit", "disable", "enable", "delete"])
@pytest.mark.parametrize("who", ["kim", "vera", "audrey", "mallory"])
def test_only_operators_and_owners_change_consumers(region: Region, action: str, who: str) -> None:
    cast.consumer(region, "acme", enabled=action != "enable")
    get(f"{HERE}{action}/", who, status=403)
    post(f"{HERE}{action}/", {"confirm": "acme", **edited()}, who, status=403)
    assert Consumer.objects.get().lock_version == 1


@pytest.mark.parametrize("action", ["edit", "disable", "delete"])
def test_each_question_has_an_address_and_fits_a_panel(region: Region, action: str) -> None:
    cast.consumer(region, "acme")
    whole, part = get(f"{HERE}{action}/"), get(f"{HERE}{action}/", part="panel")
    assert "<h1" in markup(whole)
    assert "<html" not in markup(part)
    assert 'id="panel-title"' in markup(part)


def test_an_edit_starts_from_what_is_stored(region: Region) -> None:
    cast.consumer(region, "acme", sources=[Source("query", "token")], description="Acme <Inc.>")
    page = markup(get(f"{HERE}edit/"))
    for there in ("Acme &lt;Inc.&gt;", 'value="token"', 'value="query" id="id_source_kind_2" checked'):
        assert there in page


def test_an_edit_starts_from_each_of_several_sources(region: Region) -> None:
    cast.consumer(region, "acme", sources=[Source("header", "x-one"), Source("header", "x-two"), BEARER])
    page = markup(get(f"{HERE}edit/"))
    for there in ('value="header" id="id_source_kind_1" checked', 'name="header" value="x-one"', 'name="header_2" value="x-two"'):
        assert there in page
    assert re.search(r'name="with_bearer"[^>]* checked', page)


def test_an_edit_leaves_the_credentials_alone(region: Region) -> None:
    consumer = cast.consumer(region, "acme")
    before = consumer.credentials.get().reference.key_id
    post(f"{HERE}edit/", edited(description="Now with words", source_kind="header", header="X-Key", value=CANARY, generation="custom"))
    stored = Consumer.objects.get()
    assert (stored.description, stored.sources) == ("Now with words", (Source("header", "x-key"),))
    assert stored.credentials.get().reference.key_id == before
    assert AuditEntry.objects.latest("seq").facts["changed"] == ["description", "credential source"]


def test_up_to_three_sources(region: Region) -> None:
    cast.consumer(region, "acme")
    several = edited(source_kind="header", header="x-one", header_2="X-Two", header_3="", with_bearer="on")
    post(f"{HERE}edit/", several)
    assert Consumer.objects.get().sources == (Source("header", "x-one"), Source("header", "x-two"), BEARER)
    assert "Header x-one, header x-two or Authorization: Bearer" in text(get(HERE))


@pytest.mark.parametrize(
    ("sources", "place", "said"),
    [
        ({"header": "x-one", "header_2": "x-one"}, "header_2", "named twice"),
        ({"header": "x-one", "header_3": "host"}, "header_3", "[Aa]nother"),
        ({"header": "x-one", "header_2": "x-two", "header_3": "x-three", "with_bearer": "on"}, "source_kind_0", "one to 3 sources"),
        ({"header": "", "header_2": "x-two"}, "header", "Enter the header"),
    ],
)
def test_what_is_wrong_with_a_source_stands_at_its_field(region: Region, sources: dict[str, str], place: str, said: str) -> None:
    cast.consumer(region, "acme")
    answer = post(f"{HERE}edit/", edited(source_kind="header", **sources), status=422)
    assert re.search(rf'<a href="#id_{place}">[^<]*{said}', markup(answer))
    assert Consumer.objects.get().sources == (BEARER,)


def test_a_stale_edit_shows_what_is_stored_and_the_next_save_counts(region: Region) -> None:
    consumer = cast.consumer(region, "acme")
    consumer.edit(description="theirs", sources=[Source("header", "x-theirs")], lock_version=1, by=cast.SETUP)
    answer = post(f"{HERE}edit/", edited(description="mine"), status=409)
    said = text(answer)
    assert "Someone else changed this while you were editing" in said
    assert "Stored now Description theirs Credential source Header x-theirs" in said
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


# Disable, enable, delete


def test_disabling_asks_first_and_says_who_is_harmed(region: Region) -> None:
    cast.consumer(region, "acme")
    cast.service(cast.instance(region)).authorize(["acme"], by=cast.SETUP)
    assert "refused by the 1 service" in text(get(f"{HERE}disable/"))
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


@pytest.mark.parametrize("field", ["description", "header", "header_2", "with_bearer", "parameter", "source_kind", "lock_version"])
def test_nothing_typed_into_the_edit_breaks_the_page(region: Region, field: str) -> None:
    cast.consumer(region, "acme")
    client = cast.client("olive")
    chosen = {"source_kind": "query"} if field == "parameter" else {"source_kind": "header", "header": "x-key"}
    for typed in HOSTILE:
        now = Consumer.objects.get().lock_version
        answer = client.post(f"{HERE}edit/", edited(lock_version=now) | chosen | {field: typed})
        assert answer.status_code in (200, 303, 409, 422), (field, typed[:40], answer.status_code)


@pytest.mark.parametrize("name", ["%00", "a%00b", "%F0%9F%94%91", "..", "a" * 300, "ACME", "%2e%2e", "a%0ab"])
def test_no_name_in_the_address_breaks_the_page(region: Region, name: str) -> None:
    assert cast.client("alice").get(f"/local/consumers/{name}/").status_code in (400, 404)
