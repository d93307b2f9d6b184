"""Keys and their deeds: create, rotate, disable, delete, bind. Each test asserts the state and the one audit entry."""

from datetime import timedelta

import pytest
from django.utils import timezone

from secrets_app.errors import AlreadyDone, Conflict, Invalid, KeyInUse, NotAllowed, NotFound, StaleEdit
from secrets_app.models import AuditEntry, Key, KeyVersion, Reference, Region
from tests import cast


def last_entry() -> AuditEntry:
    return AuditEntry.objects.latest("seq")


def test_creating_a_key_seals_its_value_and_writes_one_entry(region: Region) -> None:
    before = AuditEntry.objects.count()
    key = Key.create(region, "openai_prod", cast.value("sk-a-value-that-travels"), by=cast.actor("kim"), description="Production")
    assert AuditEntry.objects.count() == before + 2  # kim, and the key
    entry = last_entry()
    assert (entry.action, entry.target, entry.actor, entry.region, entry.facts["version"]) == (
        "key.create",
        "openai_prod",
        "kim",
        "local",
        1,
    )
    version = key.versions.get()
    assert (version.number, version.stage, version.header_safe, version.long_enough) == (1, "current", True, True)
    assert b"sk-a-value" not in bytes(version.body) + bytes(version.wrapped)
    assert key.changed_seq == entry.seq


@pytest.mark.parametrize("name", ["", "has space", "dash-ed", "ünï", "x" * 65, "new", "Options", "a\n", "$ref{x}"])
def test_a_wrong_name_is_refused_by_field(region: Region, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        Key.create(region, name, cast.value(), by=cast.actor("kim"))
    assert list(refused.value.errors) == ["name"]
    assert not Key.objects.exists()


def test_names_are_unique_without_case(region: Region) -> None:
    cast.key(region, "OpenAI")
    with pytest.raises(Invalid):
        cast.key(region, "openai")
    assert Key.visible_to(cast.actor("vera"), region).find("OPENAI").name == "OpenAI"


def test_the_same_operation_twice_is_done_once(region: Region) -> None:
    once = region.pk
    Key.create(region, "one", cast.value(), by=cast.SETUP, once=once)
    with pytest.raises(AlreadyDone) as repeat:
        Key.create(region, "one", cast.value(), by=cast.SETUP, once=once)
    assert repeat.value.name == "one"
    assert Key.objects.count() == 1


@pytest.mark.parametrize("who", ["olive", "vera", "audrey", "mallory"])
def test_only_key_managers_and_owners_create_keys(region: Region, who: str) -> None:
    with pytest.raises(NotAllowed):
        Key.create(region, "mine", cast.value(), by=cast.actor(who))
    entry = last_entry()
    assert (entry.action, entry.outcome, entry.actor) == ("key.create", "refused", who)
    assert not Key.objects.exists()


def test_repeated_refusals_are_counted_not_repeated(region: Region) -> None:
    vera = cast.actor("vera")
    for _ in range(5):
        with pytest.raises(NotAllowed):
            Key.create(region, "mine", cast.value(), by=vera)
    assert AuditEntry.objects.filter(outcome="refused").count() == 1


def test_rotating_retires_the_old_value_at_once_where_nobody_presents_it(region: Region) -> None:
    key = cast.key(region)
    cast.service(cast.instance(region), keys=[key])
    key.rotate(cast.value(), by=cast.actor("kim"))
    assert list(key.versions.order_by("number").values_list("number", "stage")) == [(1, "retired"), (2, "current")]
    assert (last_entry().facts["version"], last_entry().facts["previous"], last_entry().facts["holders"]) == (2, 1, 1)
    with pytest.raises(Invalid) as refused:
        key.rotate(cast.value(), 24, by=cast.SETUP)
    assert list(refused.value.errors) == ["overlap"]


def test_rotating_a_consumers_key_keeps_the_previous_value_for_the_overlap(region: Region) -> None:
    key = cast.key(region)
    cast.consumer(region, bound_to=key)
    key.rotate(cast.value(), 24, by=cast.SETUP)
    previous = key.versions.get(stage="previous")
    assert previous.accepted_until is not None
    assert timedelta(hours=23) < previous.accepted_until - timezone.now() <= timedelta(hours=24)
    assert set(KeyVersion.accepted().filter(key=key).values_list("number", flat=True)) == {1, 2}
    key.rotate(cast.value(), 1, by=cast.SETUP)
    assert set(KeyVersion.accepted().filter(key=key).values_list("number", flat=True)) == {2, 3}


def test_rotating_to_the_value_in_use_is_refused(region: Region) -> None:
    key = cast.key(region, text="the same value as before")
    with pytest.raises(Invalid, match="in use already"):
        key.rotate(cast.value("the same value as before"), by=cast.SETUP)
    assert key.versions.count() == 1


def test_a_referenced_key_cannot_be_deleted_and_the_refusal_is_audited(region: Region) -> None:
    key = cast.key(region, "shared")
    cast.consumer(region, bound_to=key, enabled=False)
    cast.service(cast.instance(region), keys=[key])
    with pytest.raises(KeyInUse) as refused:
        key.delete(by=cast.actor("kim"))
    assert {holder.holder_kind for holder in refused.value.holders} == {"consumer", "ai_service"}
    assert (last_entry().outcome, last_entry().facts) == ("refused", {"reason": "key_in_use"})
    assert Key.objects.filter(pk=key.pk).exists()


def test_an_unreferenced_key_is_deleted_with_its_versions(region: Region) -> None:
    key = cast.key(region, "old")
    key.rotate(cast.value(), by=cast.SETUP)
    key.delete(by=cast.actor("kim"))
    assert not KeyVersion.objects.exists()
    assert (last_entry().target, last_entry().facts) == ("old", {"versions": 2})


def test_a_key_deleted_meanwhile_is_not_found(region: Region) -> None:
    key = cast.key(region)
    twin = Key.objects.get(pk=key.pk)
    key.delete(by=cast.SETUP)
    with pytest.raises(NotFound):
        twin.rotate(cast.value(), by=cast.SETUP)


def test_disabling_twice_is_a_conflict(region: Region) -> None:
    key = cast.key(region)
    key.disable(by=cast.actor("kim"))
    assert not Key.objects.get(pk=key.pk).enabled
    with pytest.raises(Conflict, match="disabled already"):
        key.disable(by=cast.actor("kim"))


def test_a_stale_edit_shows_what_is_stored_now(region: Region) -> None:
    key = cast.key(region, description="first")
    mine = Key.objects.get(pk=key.pk)
    key.edit("second", lock_version=1, by=cast.SETUP)
    with pytest.raises(StaleEdit) as refused:
        mine.edit("third", lock_version=1, by=cast.SETUP)
    assert refused.value.current == {"description": "second"}
    assert Key.objects.get(pk=key.pk).description == "second"


@pytest.mark.parametrize(
    "text", ["line\nbreak-and-more-text", "naïve value, long enough", " begins with a space", "tab\tin the middle of it"]
)
def test_a_value_that_no_header_can_carry_is_stored_but_not_bound(region: Region, text: str) -> None:
    key = cast.key(region, text=text)
    with pytest.raises(Invalid, match="HTTP header") as refused:
        cast.consumer(region, bound_to=key)
    assert list(refused.value.errors) == ["key"]
    with pytest.raises(Invalid, match="HTTP header"):
        cast.service(cast.instance(region), keys=[key])
    assert Key.objects.get(pk=key.pk).reference_count == 0


def test_a_bound_key_is_not_rotated_to_a_value_its_holders_cannot_use(region: Region) -> None:
    key = cast.key(region)
    cast.consumer(region, bound_to=key)
    for text in ("line\nbreak-and-more-text", "short"):
        with pytest.raises(Invalid):
            key.rotate(cast.value(text), by=cast.SETUP)
    assert key.versions.count() == 1


def test_two_consumers_never_share_a_value(region: Region) -> None:
    first, second = cast.key(region, text="one value for two callers"), cast.key(region, text="one value for two callers")
    cast.consumer(region, "alpha-secret-name", bound_to=first)
    for refer in (first, second):
        with pytest.raises(Invalid, match="A consumer in this region") as refused:
            cast.consumer(region, "beta", bound_to=refer)
        assert "alpha-secret-name" not in str(refused.value)
    with pytest.raises(Invalid, match="A consumer in this region"):
        cast.consumer(region, "gamma", text="one value for two callers")


def test_rotation_into_another_consumers_value_is_refused(region: Region) -> None:
    first, second = cast.key(region, text="the value of the first"), cast.key(region)
    cast.consumer(region, bound_to=first)
    cast.consumer(region, bound_to=second)
    with pytest.raises(Invalid, match="A consumer in this region"):
        second.rotate(cast.value("the value of the first"), by=cast.SETUP)


def test_a_previous_value_still_counts_while_its_overlap_lasts(region: Region) -> None:
    first = cast.key(region, text="an old value, still taken")
    cast.consumer(region, bound_to=first)
    first.rotate(cast.value(), 1, by=cast.SETUP)
    with pytest.raises(Invalid, match="A consumer in this region"):
        cast.consumer(region, text="an old value, still taken")
    KeyVersion.objects.filter(stage="previous").update(accepted_until=timezone.now())
    assert cast.consumer(region, text="an old value, still taken").pk


def test_the_count_is_the_number_of_distinct_holders(region: Region) -> None:
    key = cast.key(region)
    gateway = cast.instance(region)
    service = cast.service(gateway, keys=[key])
    cast.service(gateway, keys=[key])
    assert Key.objects.get(pk=key.pk).reference_count == 2
    service.delete(by=cast.SETUP)
    assert Key.objects.get(pk=key.pk).reference_count == 1
    assert Reference.objects.filter(key=key).count() == 1


def test_a_disabled_key_cannot_be_bound(region: Region) -> None:
    key = cast.key(region)
    key.disable(by=cast.SETUP)
    with pytest.raises(Invalid, match="disabled"):
        cast.consumer(region, bound_to=key)


def test_an_inline_key_lives_and_dies_with_its_holder(region: Region) -> None:
    consumer = cast.consumer(region)
    inline = consumer.credentials.get().reference.key
    assert inline.is_inline
    assert not Key.visible_to(cast.SETUP, region).filter(pk=inline.pk).exists()
    consumer.delete(by=cast.actor("olive"))
    assert not Key.objects.filter(pk=inline.pk).exists()
    assert not KeyVersion.objects.exists()
