"""Disabling and enabling a key: who is affected is said before."""

import uuid

import pytest

from secrets_app.models import AuditEntry, Key, Region
from tests import cast
from tests.unit.console.asking import get, post, text

DISABLE, ENABLE = "/local/keys/one/disable/", "/local/keys/one/enable/"


@pytest.fixture
def key(region: Region) -> Key:
    return cast.key(region, "one")


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("kim", 200), ("olive", 403), ("vera", 403), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_disable_and_enable(key: Key, who: str, status: int) -> None:
    done = 303 if status == 200 else 403
    get(DISABLE, who, status=status)
    post(DISABLE, {"once": uuid.uuid4()}, who, status=done)
    assert Key.objects.get().enabled == (status == 403)
    get(ENABLE, who, status=status)
    post(ENABLE, {"once": uuid.uuid4()}, who, status=done)
    assert Key.objects.get().enabled


def test_it_says_who_is_affected(region: Region, key: Key) -> None:
    assert "Nothing refers to this key: nobody is affected." in text(get(DISABLE))
    cast.consumer(region, "acme", bound_to=key)
    cast.service(cast.instance(region), "chat", keys=[key])
    page = text(get(DISABLE))
    assert "acme presents this key. These callers are answered 401 until the key is enabled again." in page
    assert "chat stops sending this key. Calls are answered 401 where no other API key is left." in page
    key.disable(by=cast.SETUP)
    page = text(get(ENABLE))
    assert "These callers are let in again." in page
    assert "chat sends this key again." in page


def test_both_are_audited_and_a_repeat_is_a_conflict(key: Key) -> None:
    post(DISABLE, {"once": uuid.uuid4()}, "kim")
    assert (AuditEntry.objects.latest("seq").action, AuditEntry.objects.latest("seq").actor) == ("key.disable", "kim")
    assert "This key is disabled already." in text(post(DISABLE, {"once": uuid.uuid4()}, "kim", status=409))
    post(ENABLE, {"once": uuid.uuid4()}, "kim", part="sheet", status=204)
    assert AuditEntry.objects.latest("seq").action == "key.enable"
    assert "This key is enabled already." in text(post(ENABLE, {"once": uuid.uuid4()}, "kim", part="sheet", status=409))
