"""Editing what people read about a key."""

import uuid
from typing import Any

import pytest

from secrets_app.models import AuditEntry, Key, Region
from tests import cast
from tests.unit.console.asking import get, markup, post, text

EDIT = "/local/keys/one/edit/"


@pytest.fixture
def key(region: Region) -> Key:
    return cast.key(region, "one", description="first")


def given(**fields: Any) -> dict[str, Any]:
    return {"description": "second", "lock_version": 1, "once": uuid.uuid4(), **fields}


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("kim", 200), ("olive", 403), ("vera", 403), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_edit(key: Key, who: str, status: int) -> None:
    get(EDIT, who, status=status)
    post(EDIT, given(), who, status=303 if status == 200 else 403)
    assert Key.objects.get().description == ("second" if status == 200 else "first")


def test_the_form_starts_from_what_is_stored(key: Key) -> None:
    page = markup(get(EDIT))
    assert "first</textarea>" in page
    assert 'name="lock_version" value="1"' in page
    assert post(EDIT, given(), part="sheet", status=204).headers["HX-Location"]
    assert AuditEntry.objects.latest("seq").action == "key.edit"


def test_a_stale_edit_shows_what_is_stored_now_and_can_then_be_saved(key: Key) -> None:
    key.edit("someone else's", lock_version=1, by=cast.SETUP)
    answer = post(EDIT, given(description="mine"), status=409)
    assert "Stored now someone else's" in text(answer)
    assert "mine</textarea>" in markup(answer)
    assert 'name="lock_version" value="2"' in markup(answer)
    post(EDIT, given(description="mine", lock_version=2))
    assert Key.objects.get().description == "mine"


@pytest.mark.parametrize("lock_version", ["", "0", "x", "9" * 30])
def test_a_lock_version_that_is_none_is_a_stale_edit_or_a_wrong_form(key: Key, lock_version: str) -> None:
    answer = cast.client("kim").post(EDIT, given(lock_version=lock_version))
    assert answer.status_code in (409, 422)
    assert Key.objects.get().description == "first"


def test_a_description_that_is_too_long_is_kept_and_refused(key: Key) -> None:
    answer = post(EDIT, given(description="x" * 501), status=422)
    assert "at most 500 characters" in text(answer)
    assert "x" * 501 in markup(answer)
