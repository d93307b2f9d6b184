"""Consumers and their deeds. Each test asserts the state and the one audit entry."""

import pytest

from gateway.models import Authorization, Consumer, NewCredential
from gateway.sources import BEARER, SOURCES_A_REGION, Source
from secrets_app.errors import AlreadyDone, Conflict, Invalid, NotAllowed, NotFound, StaleEdit
from secrets_app.models import AuditEntry, Key, Reference, Region
from secrets_app.plaintext import Plaintext
from tests import cast


def last_entry() -> AuditEntry:
    return AuditEntry.objects.latest("seq")


def test_a_consumer_bound_to_a_key_is_one_reference_and_one_entry(region: Region) -> None:
    key = cast.key(region, "partner")
    before = AuditEntry.objects.count()
    consumer = Consumer.create(region, "acme", NewCredential("reference", key_name="partner"), by=cast.SETUP, description="Acme Inc.")
    assert AuditEntry.objects.count() == before + 1
    assert (
        consumer.credentials.get().reference.key,
        consumer.credentials.get().reference.path,
        consumer.credentials.get().reference.inbound,
    ) == (key, "credentials[0]", True)
    assert Key.objects.get(pk=key.pk).reference_count == 1
    entry = last_entry()
    assert (entry.action, entry.target, entry.region) == ("consumer.create", "acme", "local")
    assert entry.facts == {
        "generation": "reference",
        "source": "Authorization: Bearer",
        "key": "partner",
        "enabled": True,
        "trimmed": False,
    }
    assert consumer.changed_seq == entry.seq


@pytest.mark.parametrize("generation", ["system", "custom"])
def test_a_value_of_its_own_is_an_inline_key(region: Region, generation: str) -> None:
    consumer = Consumer.create(region, "acme", NewCredential(generation, Plaintext.generate()), by=cast.actor("olive"))
    assert consumer.credentials.get().reference.key.is_inline
    assert (last_entry().actor, last_entry().facts["generation"], last_entry().facts["key"]) == ("olive", generation, "")


@pytest.mark.parametrize(
    "name", ["", "Acme", "-acme", "acme-", "a b", "ünï", "a" * 64, "new", "options", "acme\n", "a.b", "$ref{x}", "a\x00"]
)
def test_a_wrong_name_is_refused_by_field(region: Region, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        Consumer.create(region, name, NewCredential("custom", cast.value()), by=cast.SETUP)
    assert list(refused.value.errors) == ["name"]
    assert not Consumer.objects.exists()
    assert not Key.objects.exists()


@pytest.mark.parametrize("name", ["a", "7", "a_b-c", "a" * 63])
def test_documented_names_are_taken(region: Region, name: str) -> None:
    assert cast.consumer(region, name).name == name


def test_all_that_is_wrong_is_told_at_once(region: Region) -> None:
    with pytest.raises(Invalid) as refused:
        Consumer.create(
            region, "", NewCredential("custom", cast.value()), [Source("header", "cookie")], by=cast.SETUP, description="x" * 501
        )
    assert set(refused.value.errors) == {"name", "description", "source_0"}


@pytest.mark.parametrize("key_name", ["", "nobody", "x" * 5000, "ключ", "\u202e"])
def test_an_unknown_key_is_refused_by_field(region: Region, key_name: str) -> None:
    with pytest.raises(Invalid) as refused:
        Consumer.create(region, "acme", NewCredential("reference", key_name=key_name), by=cast.SETUP)
    assert list(refused.value.errors) == ["key"]
    assert len(refused.value.errors["key"][0]) < 200
    assert not Consumer.objects.exists()


def test_a_key_of_another_region_reads_like_one_that_never_was(region: Region) -> None:
    cast.key(Region.create("other", "Other", by=cast.SETUP), "foreign")
    texts = []
    for name in ("foreign", "nowhere"):
        with pytest.raises(Invalid) as refused:
            Consumer.create(region, "acme", NewCredential("reference", key_name=name), by=cast.SETUP)
        texts.append(refused.value.errors["key"][0].replace(name, "…"))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("generation", ["", "jwt", "reference "])
def test_another_generation_method_is_refused(region: Region, generation: str) -> None:
    with pytest.raises(Invalid) as refused:
        Consumer.create(region, "acme", NewCredential(generation, cast.value()), by=cast.SETUP)
    assert list(refused.value.errors) == ["generation"]


@pytest.mark.parametrize("text", ["$ref{openai_prod}", "Bearer $ref{openai_prod}", "$REF{openai_prod}", "$$ref{openai_prod} ..."])
def test_a_reference_typed_as_a_value_is_refused(region: Region, text: str) -> None:
    with pytest.raises(Invalid, match="Reference Key instead") as refused:
        cast.consumer(region, text=text)
    assert list(refused.value.errors) == ["value"]


@pytest.mark.parametrize("text", ["too short", "fifteen letters"])
def test_a_value_that_could_be_guessed_is_refused(region: Region, text: str) -> None:
    with pytest.raises(Invalid, match="at least 16") as refused:
        cast.consumer(region, text=text)
    assert list(refused.value.errors) == ["value"]


@pytest.mark.parametrize("who", ["kim", "vera", "audrey", "mallory"])
def test_only_operators_and_owners_create_consumers(region: Region, who: str) -> None:
    with pytest.raises(NotAllowed):
        Consumer.create(region, "acme", NewCredential("custom", cast.value()), by=cast.actor(who))
    assert (last_entry().action, last_entry().outcome, last_entry().actor) == ("consumer.create", "refused", who)
    assert not Key.objects.exists()


def test_the_same_operation_twice_makes_one_consumer(region: Region) -> None:
    Consumer.create(region, "acme", NewCredential("custom", cast.value()), by=cast.SETUP, once=region.pk)
    with pytest.raises(AlreadyDone) as repeat:
        Consumer.create(region, "acme", NewCredential("custom", cast.value()), by=cast.SETUP, once=region.pk)
    assert repeat.value.name == "acme"
    assert Key.objects.count() == 1


def test_consumers_are_visible_to_those_who_may_and_only_in_their_region(region: Region) -> None:
    consumer = cast.consumer(region, "acme")
    for who in ("alice", "kim", "olive", "vera"):
        assert Consumer.visible_to(cast.actor(who), region).find("acme") == consumer
    other = Region.create("other", "Other", by=cast.SETUP)
    for who, where in (("mallory", region), ("audrey", region), ("alice", other)):
        with pytest.raises(NotFound):
            Consumer.visible_to(cast.actor(who), where).find("acme")


# Editing


def edit(consumer: Consumer, **changes: object) -> None:
    now = Consumer.objects.get(pk=consumer.pk)
    consumer.edit(**{"description": now.description, "sources": now.sources, "lock_version": now.lock_version, "by": cast.SETUP} | changes)  # type: ignore[arg-type]


def test_an_edit_says_what_changed(region: Region) -> None:
    consumer = cast.consumer(region)
    edit(consumer, description="Now with words", sources=(Source("header", "x-api-key"),))
    stored = Consumer.objects.get(pk=consumer.pk)
    assert (stored.description, stored.sources, stored.lock_version) == ("Now with words", (Source("header", "x-api-key"),), 2)
    assert last_entry().facts == {
        "changed": ["description", "credential source"],
        "source": "header x-api-key",
        "diff": {"description": ["", "Now with words"], "source": ["Authorization: Bearer", "header x-api-key"]},
    }
    assert stored.changed_seq == last_entry().seq


def test_a_stale_edit_shows_what_is_stored_now(region: Region) -> None:
    consumer = cast.consumer(region)
    mine = Consumer.objects.get(pk=consumer.pk)
    edit(consumer, description="theirs")
    with pytest.raises(StaleEdit) as refused:
        mine.edit(description="mine", sources=(BEARER,), lock_version=1, by=cast.SETUP)
    assert refused.value.current == {"description": "theirs", "source": "Authorization: Bearer"}
    assert Consumer.objects.get(pk=consumer.pk).description == "theirs"


def test_a_region_looks_in_a_limited_number_of_places(region: Region) -> None:
    cast.consumer(region, "first")
    for number in range(SOURCES_A_REGION - 1):
        cast.consumer(region, sources=(Source("header", f"x-key-{number}"),))
    with pytest.raises(Invalid, match="different sources") as refused:
        cast.consumer(region, sources=(Source("query", "one_more"),))
    assert list(refused.value.errors) == ["source_0"]
    assert cast.consumer(region, sources=(Source("header", "x-key-3"),)).pk
    edit(Consumer.objects.get(name="first"), sources=(BEARER,), description="its own source is none more")


# Switching off and deleting


def test_disabling_and_enabling_are_two_deeds_and_each_is_done_once(region: Region) -> None:
    consumer = cast.consumer(region)
    consumer.disable(by=cast.actor("olive"))
    assert (last_entry().action, Consumer.objects.get(pk=consumer.pk).enabled) == ("consumer.disable", False)
    with pytest.raises(Conflict, match="disabled already"):
        consumer.disable(by=cast.SETUP)
    consumer.enable(by=cast.actor("olive"))
    assert (last_entry().action, Consumer.objects.get(pk=consumer.pk).enabled) == ("consumer.enable", True)
    with pytest.raises(Conflict, match="enabled already"):
        consumer.enable(by=cast.SETUP)


def test_deleting_a_consumer_ends_its_reference_and_its_authorizations(region: Region) -> None:
    key = cast.key(region, "partner")
    consumer = cast.consumer(region, bound_to=key)
    service = cast.service(cast.instance(region), "chat")
    service.authorize([consumer.name], by=cast.SETUP)
    consumer.delete(by=cast.actor("olive"))
    assert not Consumer.objects.exists()
    assert not Authorization.objects.exists()
    assert not Reference.objects.filter(holder_kind="consumer").exists()
    assert Key.objects.get(pk=key.pk).reference_count == 0
    assert last_entry().facts == {"released": ["partner"], "services": ["chat"]}


def test_a_consumer_deleted_meanwhile_is_not_found(region: Region) -> None:
    consumer = cast.consumer(region)
    twin = Consumer.objects.get(pk=consumer.pk)
    consumer.delete(by=cast.SETUP)
    for deed in (
        lambda: twin.disable(by=cast.SETUP),
        lambda: twin.rotate(0, cast.value(), by=cast.SETUP),
        lambda: twin.edit(description="", sources=(BEARER,), lock_version=1, by=cast.SETUP),
        lambda: twin.delete(by=cast.SETUP),
    ):
        with pytest.raises(NotFound):
            deed()


@pytest.mark.parametrize("who", ["kim", "vera", "audrey", "mallory"])
def test_only_operators_and_owners_change_consumers(region: Region, who: str) -> None:
    consumer, actor = cast.consumer(region), cast.actor(who)
    for deed in (
        lambda: consumer.edit(description="mine", sources=(BEARER,), lock_version=1, by=actor),
        lambda: consumer.rotate(0, cast.value(), by=actor),
        lambda: consumer.disable(by=actor),
        lambda: consumer.enable(by=actor),
        lambda: consumer.delete(by=actor),
    ):
        with pytest.raises(NotAllowed):
            deed()
    assert Consumer.objects.get(pk=consumer.pk).lock_version == 1
