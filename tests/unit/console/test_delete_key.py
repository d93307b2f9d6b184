"""Deleting a key: blocked with the list of who would break, else only for who types its name."""

import uuid
from typing import Any

import pytest

from secrets_app.models import AuditEntry, Key, Region
from tests import cast
from tests.unit.console.asking import get, markup, post, text

DELETE = "/local/keys/old/delete/"


@pytest.fixture
def key(region: Region) -> Key:
    return cast.key(region, "old")


def given(**fields: Any) -> dict[str, Any]:
    return {"confirm": "old", "once": uuid.uuid4(), **fields}


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("kim", 200), ("olive", 403), ("vera", 403), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_delete(key: Key, who: str, status: int) -> None:
    get(DELETE, who, status=status)
    post(DELETE, given(), who, status=303 if status == 200 else 403)
    assert Key.objects.exists() == (status == 403)


def test_the_name_deletes_it(key: Key) -> None:
    key.rotate(cast.value(), by=cast.SETUP)
    assert "All 2 versions are erased and cannot be brought back." in text(get(DELETE))
    assert post(DELETE, given(), "kim").headers["Location"] == "/local/keys/"
    assert not Key.objects.exists()
    entry = AuditEntry.objects.latest("seq")
    assert (entry.action, entry.target, entry.actor) == ("key.delete", "old", "kim")
    get(DELETE, status=404)
    post(DELETE, given(), status=404)


@pytest.mark.parametrize("typed", ["", "OLD", "old ", "new", "<b>"])
def test_anything_else_does_not(key: Key, typed: str) -> None:
    answer = post(DELETE, given(confirm=typed), status=422)
    assert "There is a problem" in text(answer)
    assert Key.objects.exists()


@pytest.mark.parametrize("confirm", ["old", "", "wrong"])
def test_a_key_in_use_shows_who_would_break_and_no_button(region: Region, key: Key, confirm: str) -> None:
    cast.service(cast.instance(region, "prod-east"), "chat", keys=[key])
    cast.consumer(region, "acme", bound_to=key, enabled=False)
    page = get(DELETE)
    posted = post(DELETE, given(confirm=confirm), status=409)
    for answer in (page, posted):
        assert "2 holders refer to it and would break." in text(answer)
        assert "chat Large Model Configuration › API Key prod-east" in text(answer)
        assert "acme Authentication method › Bind Key" in text(answer)
        assert "<button" not in markup(answer).split("<main")[1].split("</main>")[0]
        assert "Disable instead" in text(answer)
    assert Key.objects.exists()


@pytest.mark.parametrize("confirm", ["old", "", "wrong"])
def test_the_refusal_of_a_key_in_use_is_audited(region: Region, key: Key, confirm: str) -> None:
    cast.consumer(region, bound_to=key)
    get(DELETE, "kim")
    assert AuditEntry.objects.latest("seq").action != "key.delete"  # asking is no deed
    post(DELETE, given(confirm=confirm), "kim", part="sheet", status=409)
    entry = AuditEntry.objects.latest("seq")
    assert (entry.action, entry.outcome, entry.actor, entry.facts) == ("key.delete", "refused", "kim", {"reason": "key_in_use"})
    assert (entry.target, entry.region) == ("old", "local")
