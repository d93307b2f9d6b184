"""A form's token stands for one deed: what it is, who does it, where and to what. Sent again it is that deed; anything else is refused."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from gateway.models import AiService, Consumer, Instance, NewCredential, NewKeys
from secrets_app.actor import Actor
from secrets_app.errors import AlreadyDone, FormReused
from secrets_app.models import AuditEntry, Key, Region, deed
from tests import cast

ONCE = uuid.uuid4()
Deed = Callable[[], Any]


@pytest.fixture
def region(db: None) -> Region:
    return cast.deployment()


@pytest.fixture
def deeds(region: Region) -> dict[str, Deed]:
    """Each under the same token, and no two of them the same deed."""
    abroad = Region.create("abroad", "Abroad", by=cast.SETUP)
    here, there = cast.instance(region, "Here"), cast.instance(region, "There")
    one, two = cast.key(region, "one"), cast.key(region, "two")
    acme = cast.consumer(region, "acme")
    olive = cast.actor("alice")
    by, once = cast.SETUP, ONCE

    def service(instance: Instance, name: str, by: Actor = by) -> Deed:
        keys = NewKeys("custom", [cast.value()])
        return lambda: AiService.create(instance, name, "custom", "OpenAI/v1", "https://llm.example.com/v1", keys, by=by, once=once)

    def consumer(region: Region, name: str) -> Deed:
        return lambda: Consumer.create(region, name, NewCredential("custom", cast.value()), by=by, once=once)

    return {
        "a key": lambda: Key.create(region, "fresh", cast.value(), by=by, once=once),
        "a key by another person": lambda: Key.create(region, "fresh", cast.value(), by=olive, once=once),
        "a key of another name": lambda: Key.create(region, "other", cast.value(), by=by, once=once),
        "a key in another region": lambda: Key.create(abroad, "fresh", cast.value(), by=by, once=once),
        "a rotation": lambda: one.rotate(cast.value(), by=by, once=once),
        "a rotation of another key": lambda: two.rotate(cast.value(), by=by, once=once),
        "a rotation of a consumer": lambda: acme.rotate(0, cast.value(), by=by, once=once),
        "a consumer": consumer(region, "fresh"),
        "a consumer of another name": consumer(region, "other"),
        "a consumer in another region": consumer(abroad, "fresh"),
        "an instance": lambda: Instance.create(region, "fresh", by=by, once=once),
        "an instance in another region": lambda: Instance.create(abroad, "fresh", by=by, once=once),
        "a service": service(here, "fresh"),
        "a service of another instance": service(there, "fresh"),
        "a service of another name": service(here, "other"),
        "a region": lambda: Region.create("fresh", "Fresh", by=by, once=once),
        "a region of another name": lambda: Region.create("other", "Fresh", by=by, once=once),
    }


NAMES = [
    "a key", "a key by another person", "a key of another name", "a key in another region", "a rotation", "a rotation of another key",
    "a rotation of a consumer", "a consumer", "a consumer of another name", "a consumer in another region", "an instance",
    "an instance in another region", "a service", "a service of another instance", "a service of another name", "a region",
    "a region of another name",
]  # fmt: skip


@pytest.mark.usefixtures("one_minute")
@pytest.mark.parametrize("first", NAMES)
def test_a_token_is_good_for_its_own_deed_alone(deeds: dict[str, Deed], first: str) -> None:
    assert list(deeds) == NAMES
    deeds[first]()
    done = AuditEntry.objects.get(operation=ONCE)
    for name, again in deeds.items():
        with pytest.raises(AlreadyDone if name == first else FormReused) as refused:
            again()
        assert type(refused.value) is (AlreadyDone if name == first else FormReused), f"{name} after {first}"
    assert AuditEntry.objects.get(operation=ONCE) == done
    assert AuditEntry.objects.filter(outcome="ok", seq__gt=done.seq).count() == 0


def test_a_token_used_for_something_else_is_a_refusal_that_names_nothing_typed(region: Region) -> None:
    Key.create(region, "one", cast.value(), by=cast.SETUP, once=ONCE)
    with pytest.raises(FormReused, match="something else"):
        Key.create(region, "a-password-in-the-wrong-field", cast.value(), by=cast.SETUP, once=ONCE)
    entry = AuditEntry.objects.latest("seq")
    assert (entry.action, entry.outcome, entry.facts) == ("key.create", "refused", {"reason": "form_reused"})
    assert (entry.region, entry.target_kind, entry.target, entry.target_id) == ("local", "key", "", "")


def test_a_key_made_anew_under_its_old_name_is_another(region: Region) -> None:
    key = cast.key(region, "one")
    key.rotate(cast.value(), by=cast.SETUP, once=ONCE)
    key.delete(by=cast.SETUP)
    with pytest.raises(FormReused):
        cast.key(region, "one").rotate(cast.value(), by=cast.SETUP, once=ONCE)


def test_a_refused_deed_leaves_its_token_good(region: Region) -> None:
    def broken() -> None:
        with deed(cast.SETUP, "key.bind", region, once=ONCE):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    Key.create(region, "one", cast.value(), by=cast.SETUP, once=ONCE)
