"""The credentials of a consumer, several of them: each is accepted as well as the others. State, and the one audit entry."""

from collections.abc import Callable

import pytest

from gateway.bookkeeping import examine
from gateway.models import Consumer, Credential, NewCredential
from gateway.models.credential import CREDENTIALS_A_CONSUMER
from secrets_app.errors import AlreadyDone, Conflict, FormReused, Invalid, NotAllowed, NotFound, StaleEdit
from secrets_app.models import AuditEntry, Key, KeyVersion, Reference, Region
from secrets_app.plaintext import Plaintext
from tests import cast


def last_entry() -> AuditEntry:
    return AuditEntry.objects.latest("seq")


def custom(text: str = "") -> NewCredential:
    return NewCredential("custom", cast.value(text))


def bound(key: Key) -> NewCredential:
    return NewCredential("reference", key_name=key.name or "")


def places(consumer: Consumer) -> list[tuple[int, str, str]]:
    """Number, generation and key of each."""
    rows = consumer.credentials.order_by("number")
    return [(row.number, row.generation, row.reference.key.name or "") for row in rows]


# Adding


def test_a_second_credential_stands_beside_the_first(region: Region) -> None:
    consumer, key, olive = cast.consumer(region, "acme"), cast.key(region, "partner"), cast.actor("olive")
    before = AuditEntry.objects.count()
    added = consumer.add_credential(bound(key), by=olive)
    assert places(consumer) == [(0, "custom", ""), (1, "reference", "partner")]
    assert (added.reference.path, added.reference.inbound) == ("credentials[1]", True)
    assert Key.objects.get(pk=key.pk).reference_count == 1
    assert AuditEntry.objects.count() == before + 1
    entry = last_entry()
    assert (entry.action, entry.target, entry.actor) == ("consumer.add_credential", "acme", "olive")
    assert entry.facts == {"credential": "credentials[1]", "generation": "reference", "key": "partner", "trimmed": False}
    stored = Consumer.objects.get()
    assert (stored.changed_seq, stored.lock_version) == (entry.seq, 2)


def test_a_number_is_given_once(region: Region) -> None:
    consumer = cast.consumer(region)
    consumer.add_credential(custom(), by=cast.SETUP)
    consumer.remove_credential(1, by=cast.SETUP)
    assert consumer.add_credential(custom(), by=cast.SETUP).number == 2
    assert [number for number, _generation, _key in places(consumer)] == [0, 2]


def test_a_consumer_has_ten_at_most(region: Region) -> None:
    consumer = cast.consumer(region)
    for _ in range(CREDENTIALS_A_CONSUMER - 1):
        consumer.add_credential(custom(), by=cast.SETUP)
    with pytest.raises(Conflict, match="at most 10"):
        consumer.add_credential(custom(), by=cast.SETUP)
    assert Key.objects.count() == CREDENTIALS_A_CONSUMER
    assert last_entry().outcome == "refused"
    consumer.remove_credential(4, by=cast.SETUP)
    assert consumer.add_credential(custom(), by=cast.SETUP).number == 10


def test_the_same_post_adds_one(region: Region) -> None:
    consumer, once = cast.consumer(region), region.pk
    consumer.add_credential(custom(), by=cast.SETUP, once=once)
    with pytest.raises(AlreadyDone):
        consumer.add_credential(custom(), by=cast.SETUP, once=once)
    assert consumer.credentials.count() == 2


@pytest.mark.parametrize("again", [lambda key: custom("the very same value"), bound])
def test_the_same_value_twice_in_one_consumer_is_refused(region: Region, again: Callable[[Key], NewCredential]) -> None:
    """Envoy would refuse the list of all consumers for it."""
    key = cast.key(region, "partner", "the value of the partner")
    consumer = cast.consumer(region, text="the very same value")
    consumer.add_credential(bound(key), by=cast.SETUP)
    with pytest.raises(Invalid, match="already"):
        consumer.add_credential(again(key), by=cast.SETUP)
    with pytest.raises(Invalid, match="A consumer in this region uses the same value already"):
        consumer.rotate(0, cast.value("the value of the partner"), by=cast.SETUP)
    with pytest.raises(Invalid, match="A consumer in this region uses the same value already"):
        key.rotate(cast.value("the very same value"), by=cast.SETUP)
    assert consumer.credentials.count() == 2


def test_a_refused_addition_leaves_nothing_and_no_number_is_lost(region: Region) -> None:
    consumer = cast.consumer(region)
    for wrong in (NewCredential("reference", key_name="nobody"), custom("short"), NewCredential("other", cast.value())):
        with pytest.raises(Invalid):
            consumer.add_credential(wrong, by=cast.SETUP)
    assert (Key.objects.count(), Credential.objects.count()) == (1, 1)
    assert consumer.add_credential(custom(), by=cast.SETUP).number == 1


# Changing


def test_switching_from_a_reference_to_a_value_of_its_own_releases_the_key(region: Region) -> None:
    key = cast.key(region, "partner")
    consumer = cast.consumer(region, bound_to=key)
    consumer.edit_credential(0, NewCredential("system", Plaintext.generate()), lock_version=1, by=cast.SETUP)
    assert Key.objects.get(pk=key.pk).reference_count == 0
    assert places(consumer) == [(0, "system", "")]
    facts = {"credential": "credentials[0]", "generation": "system", "key": "", "released": "partner", "trimmed": False}
    assert (last_entry().action, last_entry().facts) == ("consumer.edit_credential", facts)
    assert Consumer.objects.get().changed_seq == last_entry().seq


def test_switching_to_a_reference_erases_the_inline_key(region: Region) -> None:
    consumer = cast.consumer(region)
    inline, key = consumer.credentials.get().reference.key.pk, cast.key(region, "partner")
    consumer.edit_credential(0, bound(key), lock_version=1, by=cast.SETUP)
    assert places(consumer) == [(0, "reference", "partner")]
    assert not Key.objects.filter(pk=inline).exists()
    assert not KeyVersion.objects.filter(key_id=inline).exists()


def test_changing_one_leaves_the_others_alone(region: Region) -> None:
    consumer, key = cast.consumer(region), cast.key(region, "partner")
    second = consumer.add_credential(custom(), by=cast.SETUP).reference.key_id
    consumer.edit_credential(0, bound(key), lock_version=2, by=cast.SETUP)
    assert consumer.credential(1).reference.key_id == second


def test_a_refused_change_keeps_the_old_credential(region: Region) -> None:
    consumer = cast.consumer(region, text="the value it had before")
    with pytest.raises(Invalid):
        consumer.edit_credential(0, NewCredential("reference", key_name="nobody"), lock_version=1, by=cast.SETUP)
    assert places(consumer) == [(0, "custom", "")]
    assert Consumer.objects.get().lock_version == 1


def test_a_credential_may_be_bound_again_to_the_key_it_has(region: Region) -> None:
    key = cast.key(region, "partner")
    consumer = cast.consumer(region, bound_to=key)
    consumer.edit_credential(0, bound(key), lock_version=1, by=cast.SETUP)
    assert Key.objects.get(pk=key.pk).reference_count == 1
    assert Reference.objects.count() == 1


def test_a_stale_change_shows_what_is_stored_now(region: Region) -> None:
    consumer = cast.consumer(region)
    consumer.add_credential(custom(), by=cast.SETUP)
    with pytest.raises(StaleEdit):
        consumer.edit_credential(0, custom(), lock_version=1, by=cast.SETUP)


# Rotating


def test_rotating_a_value_of_its_own_keeps_the_previous_one_for_the_overlap(region: Region) -> None:
    consumer = cast.consumer(region)
    consumer.add_credential(custom(), by=cast.SETUP)
    consumer.rotate(1, cast.value(), 24, by=cast.actor("olive"))
    accepted = KeyVersion.accepted().filter(key=consumer.credential(1).reference.key)
    assert set(accepted.values_list("number", flat=True)) == {1, 2}
    assert KeyVersion.accepted().count() == 3
    assert (last_entry().action, last_entry().target) == ("consumer.rotate", consumer.name)
    facts = {"credential": "credentials[1]", "version": 2, "generated": False, "overlap_hours": 24, "trimmed": False}
    assert last_entry().facts == facts
    assert Consumer.objects.get().changed_seq == last_entry().seq


def test_a_rotation_repeated_for_another_credential_is_none(region: Region) -> None:
    consumer, once = cast.consumer(region), region.pk
    consumer.add_credential(custom(), by=cast.SETUP)
    consumer.rotate(0, cast.value(), by=cast.SETUP, once=once)
    with pytest.raises(AlreadyDone):
        consumer.rotate(0, cast.value(), by=cast.SETUP, once=once)
    with pytest.raises(FormReused):
        consumer.rotate(1, cast.value(), by=cast.SETUP, once=once)


def test_a_bound_credential_is_not_rotated_by_itself(region: Region) -> None:
    consumer = cast.consumer(region, bound_to=cast.key(region))
    with pytest.raises(Conflict, match="Rotate the key itself"):
        consumer.rotate(0, cast.value(), by=cast.SETUP)
    assert KeyVersion.objects.count() == 1


@pytest.mark.parametrize("text", ["short", "line\nbreak and more text", "the value in use now", "$ref{partner} and more"])
def test_a_value_it_could_not_use_is_refused_at_the_fields_of_the_form(region: Region, text: str) -> None:
    consumer = cast.consumer(region, text="the value in use now")
    with pytest.raises(Invalid) as refused:
        consumer.rotate(0, cast.value(text), by=cast.SETUP)
    assert list(refused.value.errors) == ["value"]
    with pytest.raises(Invalid) as refused:
        consumer.rotate(0, cast.value(), 5, by=cast.SETUP)
    assert list(refused.value.errors) == ["overlap"]


# Removing


def test_removing_one_releases_its_key_and_keeps_the_rest(region: Region) -> None:
    key = cast.key(region, "partner")
    consumer = cast.consumer(region, bound_to=key)
    consumer.add_credential(custom(), by=cast.SETUP)
    consumer.remove_credential(0, by=cast.actor("olive"))
    assert places(consumer) == [(1, "custom", "")]
    assert Key.objects.get(pk=key.pk).reference_count == 0
    assert last_entry().facts == {"credential": "credentials[0]", "generation": "reference", "released": "partner"}
    assert Consumer.objects.get().changed_seq == last_entry().seq


def test_the_only_one_stays(region: Region) -> None:
    consumer = cast.consumer(region)
    with pytest.raises(Conflict, match="only credential"):
        consumer.remove_credential(0, by=cast.SETUP)
    assert places(consumer) == [(0, "custom", "")]


def test_deleting_the_consumer_ends_all_of_them(region: Region) -> None:
    consumer = cast.consumer(region, bound_to=cast.key(region, "second"))
    consumer.add_credential(bound(cast.key(region, "first")), by=cast.SETUP)
    consumer.add_credential(custom(), by=cast.SETUP)
    consumer.delete(by=cast.SETUP)
    assert last_entry().facts["released"] == ["first", "second"]
    assert not Reference.objects.exists()
    assert not Credential.objects.exists()
    assert set(Key.objects.values_list("name", "reference_count")) == {("first", 0), ("second", 0)}
    assert not examine(region).wrong


@pytest.mark.parametrize("number", [7, 10**30, -1])
def test_a_number_that_is_none_is_not_found(region: Region, number: int) -> None:
    consumer = cast.consumer(region)
    for deed in (
        lambda: consumer.rotate(number, cast.value(), by=cast.SETUP),
        lambda: consumer.edit_credential(number, custom(), lock_version=1, by=cast.SETUP),
        lambda: consumer.remove_credential(number, by=cast.SETUP),
    ):
        with pytest.raises(NotFound):
            deed()


@pytest.mark.parametrize("who", ["kim", "vera", "audrey", "mallory"])
def test_only_operators_and_owners_change_credentials(region: Region, who: str) -> None:
    consumer, actor = cast.consumer(region), cast.actor(who)
    for deed in (
        lambda: consumer.add_credential(custom(), by=actor),
        lambda: consumer.edit_credential(0, custom(), lock_version=1, by=actor),
        lambda: consumer.rotate(0, cast.value(), by=actor),
        lambda: consumer.remove_credential(0, by=actor),
    ):
        with pytest.raises(NotAllowed):
            deed()
    assert Consumer.objects.get().lock_version == 1
