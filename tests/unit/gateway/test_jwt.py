"""Consumers with tokens: what they may be, and what becomes of them. State, and the one audit entry."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.test import override_settings

from gateway import stocktaking
from gateway.bookkeeping import examine
from gateway.jwks import shared_keys
from gateway.methods import API_KEY, JWT
from gateway.models import Consumer, Instance, Jwt, NewCredential, NewJwt
from gateway.models.jwt import JWKS_LIMIT
from gateway.sources import BEARER, SOURCES_A_REGION, Source
from secrets_app.errors import AlreadyDone, Conflict, Invalid, NotAllowed, StaleEdit
from secrets_app.models import AuditEntry, Key, KeyVersion, Reference, Region
from tests import cast
from tests.effort import at_most
from tests.keys_of_tokens import ec_key, key_set, rsa_key

PUBLIC = key_set(rsa_key(use="sig"), ec_key())
URL = "https://issuer.example.com/.well-known/jwks.json"


@pytest.fixture
def instance(region: Region) -> Instance:
    return cast.instance(region)


def last_entry() -> AuditEntry:
    return AuditEntry.objects.latest("seq")


def errors_of(region: Region, new: NewJwt) -> dict[str, list[str]]:
    with pytest.raises(Invalid) as refused:
        cast.bearer(region, "acme", new)
    assert not Consumer.objects.exists()
    assert not Key.objects.exists()
    return refused.value.errors


# Creating


def test_a_shared_secret_is_sealed_like_any_value_of_its_own(region: Region) -> None:
    consumer = Consumer.create(region, "acme", cast.jwt("acme-1"), by=cast.actor("olive"))
    stored = Consumer.objects.get()
    assert (stored.method, stored.sources, stored.credentials.count()) == (JWT, (BEARER,), 0)
    assert (stored.jwt.key_type, stored.jwt.jwks, stored.jwt.claim, stored.jwt.value, stored.jwt.prefix) == (
        "symmetric", "", "uid", "acme-1", "Bearer",
    )  # fmt: skip
    reference = consumer.references.get()
    assert (reference.path, reference.inbound, reference.key.is_inline) == ("jwks", True, True)
    entry = last_entry()
    assert (entry.action, entry.target, stored.changed_seq) == ("consumer.create", "acme", entry.seq)
    assert entry.facts == {
        "method": "jwt", "key_type": "symmetric", "source": "Authorization: Bearer", "claim": "uid", "pass_through": False, "enabled": True,
    }  # fmt: skip
    assert not examine(region).wrong


def test_a_generated_set_is_one_key_of_256_bits() -> None:
    one, other = (json.loads(shared_keys().expose())["keys"] for _ in range(2))
    assert len(one) == 1
    assert (one[0]["kty"], one[0]["alg"], len(one[0]["k"])) == ("oct", "HS256", 43)
    assert one[0]["k"] != other[0]["k"]
    assert one[0]["kid"] != other[0]["kid"]


def test_pasted_keys_are_kept_as_far_as_checking_takes_them(region: Region) -> None:
    consumer = cast.bearer(region, new=cast.jwt(key_type="asymmetric", jwks=PUBLIC))
    assert [key["kty"] for key in json.loads(consumer.jwt.jwks)["keys"]] == ["RSA", "EC"]
    assert "use" not in consumer.jwt.jwks
    assert not consumer.references.exists()


def test_an_address_of_keys_is_kept_as_it_was_written(region: Region) -> None:
    for url in (URL, f"{URL}/", "http://keys.internal:8443/a"):
        consumer = cast.bearer(region, new=cast.jwt(key_type="remote", url=url, cache_seconds=300))
        assert (consumer.jwt.url, consumer.jwt.cache_seconds) == (url, 300)
    assert last_entry().facts["url"] == "http://keys.internal:8443/a"


@pytest.mark.parametrize(
    ("position", "placed_at", "prefix", "source", "kept"),
    [
        ("header", "Authorization", "Bearer", BEARER, "Bearer"),
        ("header", "AUTHORIZATION", "", BEARER, ""),
        ("header", "X-Token", "Tok", Source("header", "x-token"), "Tok"),
        ("query", "jwt", "Bearer", Source("query", "jwt"), ""),
    ],
)
def test_where_a_token_stands(region: Region, position: str, placed_at: str, prefix: str, source: Source, kept: str) -> None:
    consumer = cast.bearer(region, new=cast.jwt(position=position, placed_at=placed_at, prefix=prefix))
    assert (consumer.sources, consumer.jwt.prefix, consumer.jwt.place) == ((source,), kept, source)


# What is refused


def secret(**fields: Any) -> str:
    return json.dumps({"keys": [fields]})


@pytest.mark.parametrize(
    ("jwks", "words"),
    [
        ("", "line 1, column 1"),
        ('{"keys": [\n  {"kty": "RSA",\n  }]}', "line 3, column 3"),
        ("not json", "line 1"),
        ("{}", "not a JSON Web Key Set"),
        ("[" * 30_000, "not a JSON Web Key Set"),
        ('{"keys": [' + "9" * 5000 + "]}", "not a JSON Web Key Set"),
        ('{"keys": []}', "1 to 32 keys"),
        (secret(kty="oct", k="c2VjcmV0"), "private or a shared key"),
        (key_set(rsa_key(d="c2VjcmV0")), "private or a shared key"),
        (key_set(ec_key(), ec_key(d="c2VjcmV0")), "private or a shared key"),
        (key_set({"kty": "EC", "crv": "P-256", "x": "c2VjcmV0", "y": "c2VjcmV0"}), "cannot be read"),
        ('{"keys": ["c2VjcmV0 \ud800"]}', "not a JSON Web Key Set"),
        ("c2VjcmV0" * (JWKS_LIMIT // 8) + "c", "at most 64 KiB"),
        ("c2VjcmV0" * 128 * 1024, "at most 64 KiB"),
    ],
)
def test_key_sets_that_it_does_not_take(region: Region, jwks: str, words: str) -> None:
    with at_most(1):
        errors = errors_of(region, cast.jwt(key_type="asymmetric", jwks=jwks))
    assert list(errors) == ["jwks"]
    assert words in errors["jwks"][0]
    assert "c2VjcmV0" not in errors["jwks"][0]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "https://"),
        ("ftp://issuer.example.com/jwks", "https://"),
        ("file:///etc/passwd", "https://"),
        ("https:///jwks", "https://"),
        ("https://user:word@issuer.example.com/jwks", "user name or password"),
        (f"{URL}?p=1", "from ? or # on"),
        (f"{URL}#a", "from ? or # on"),
        ("https://10.0.0.7/jwks", "by its name"),
        ("https://[::1]/jwks", "by its name"),
        ("https://127.1/jwks", "not valid"),
        ("https://issuer.example.com/a b", "no spaces"),
        ("https://issuer.example.com/" + "a" * 500, "at most 500"),
    ],
)
def test_addresses_that_it_does_not_take(region: Region, url: str, words: str) -> None:
    errors = errors_of(region, cast.jwt(key_type="remote", url=url))
    assert list(errors) == ["url"]
    assert words in errors["url"][0]
    assert "word" not in errors["url"][0].replace("password", "")


@override_settings(WEB_PORT=8000)
def test_keys_are_not_fetched_from_the_console_itself(region: Region) -> None:
    assert "own address" in errors_of(region, cast.jwt(key_type="remote", url="http://localhost:8000/jwks"))["url"][0]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"key_type": "other"}, "key_type"),
        ({"secret": None}, "key_type"),
        ({"position": "cookie"}, "position"),
        ({"placed_at": "host"}, "placed_at"),
        ({"placed_at": ""}, "placed_at"),
        ({"placed_at": "x-latchkey-consumer"}, "placed_at"),
        ({"placed_at": "a b"}, "placed_at"),
        ({"position": "query", "placed_at": "a&b"}, "placed_at"),
        ({"prefix": "Bearer "}, "prefix"),
        ({"prefix": "é"}, "prefix"),
        ({"prefix": "x" * 33}, "prefix"),
        *(({"prefix": prefix}, "prefix") for prefix in ("`id`", "$HOME", "a!b", "a'b")),
        ({"claim": ""}, "claim"),
        ({"claim": "x" * 129}, "claim"),
        ({"claim": "a\nb"}, "claim"),
        ({"value": ""}, "claim_value"),
        ({"value": " a"}, "claim_value"),
        ({"value": "a\0"}, "claim_value"),
        ({"value": "x" * 257}, "claim_value"),
    ],
)
def test_fields_that_it_does_not_take(region: Region, changes: dict[str, Any], field: str) -> None:
    assert list(errors_of(region, replace(cast.jwt(), **changes))) == [field]


def test_what_is_wrong_is_told_all_at_once(region: Region) -> None:
    with pytest.raises(Invalid) as refused:
        cast.bearer(region, "Not a name", replace(cast.jwt(key_type="asymmetric", jwks="{"), claim="", prefix="a b"))
    assert set(refused.value.errors) == {"name", "jwks", "claim", "prefix"}


def test_how_long_a_set_is_kept_is_one_of_a_few(region: Region) -> None:
    assert list(errors_of(region, cast.jwt(key_type="remote", url=URL, cache_seconds=1))) == ["cache_seconds"]


def test_two_of_a_region_are_never_known_by_the_same_claim(region: Region) -> None:
    first = cast.bearer(region, new=cast.jwt("acme-1"))
    with pytest.raises(Invalid) as refused:
        cast.bearer(region, new=cast.jwt("acme-1"))
    assert list(refused.value.errors) == ["claim_value"]
    cast.bearer(region, new=replace(cast.jwt("acme-1"), claim="sub"))
    cast.bearer(Region.create("us-east", "US East", by=cast.SETUP), new=cast.jwt("acme-1"))
    first.delete(by=cast.SETUP)
    cast.bearer(region, new=cast.jwt("acme-1"))


def test_a_region_looks_in_so_many_places_and_no_more(region: Region) -> None:
    for number in range(SOURCES_A_REGION):
        cast.bearer(region, new=cast.jwt(placed_at=f"x-token-{number}"))
    with pytest.raises(Invalid) as refused:
        cast.bearer(region, new=cast.jwt(placed_at="x-one-more"))
    assert list(refused.value.errors) == ["placed_at"]


# Changing


def test_an_edit_says_what_it_changed_and_leaves_the_secret(region: Region) -> None:
    consumer, olive = cast.bearer(region, "acme", cast.jwt("a")), cast.actor("olive")
    key = consumer.references.get().key_id
    new = NewJwt("symmetric", "sub", "b", placed_at="X-Token", prefix="", pass_through=True)
    consumer.edit(description="x", jwt=new, lock_version=1, by=olive)
    stored = Consumer.objects.get()
    assert stored.references.get().key_id == key
    assert (stored.sources, stored.jwt.claim, stored.jwt.value, stored.jwt.prefix) == ((Source("header", "x-token"),), "sub", "b", "")
    assert (stored.changed_seq, stored.lock_version) == (last_entry().seq, 2)
    assert last_entry().facts["changed"] == ["description", "credential source", "tokens"]
    with pytest.raises(StaleEdit) as stale:
        consumer.edit(description="y", jwt=new, lock_version=1, by=olive)
    assert stale.value.current["claim"] == "sub"
    consumer.edit(description="x", jwt=new, lock_version=2, by=olive)
    assert last_entry().facts["changed"] == []


def test_an_edit_of_the_other_method_changes_nothing(region: Region) -> None:
    """A form that was opened before somebody switched the method, with the version of today."""
    acme, alice = cast.bearer(region, "acme"), cast.consumer(region, "alice")
    with pytest.raises(Conflict):
        acme.edit(description="x", sources=(Source("header", "x-a"), Source("header", "x-b")), lock_version=1, by=cast.actor("olive"))
    with pytest.raises(Conflict):
        alice.edit(description="x", jwt=cast.jwt(), lock_version=1, by=cast.actor("olive"))
    assert [one.sources for one in Consumer.objects.order_by("name")] == [(BEARER,), (BEARER,)]
    assert (alice.references.count(), alice.credentials.count(), Jwt.objects.count()) == (1, 1, 1)


def test_another_type_of_key_ends_the_secret_and_a_new_one_begins(region: Region) -> None:
    consumer = cast.bearer(region, "acme", cast.jwt("a"))
    consumer.edit(description="", jwt=cast.jwt("a", "asymmetric", jwks=PUBLIC), lock_version=1, by=cast.SETUP)
    assert not Key.objects.exists()
    consumer.edit(description="", jwt=cast.jwt("a", "remote", url=URL), lock_version=2, by=cast.SETUP)
    assert (Jwt.objects.get().jwks, Jwt.objects.get().url) == ("", URL)
    with pytest.raises(Invalid):
        consumer.edit(description="", jwt=NewJwt("symmetric", "uid", "a"), lock_version=3, by=cast.SETUP)
    consumer.edit(description="", jwt=cast.jwt("a"), lock_version=3, by=cast.SETUP)
    assert (Jwt.objects.get().url, Key.objects.count(), consumer.references.get().path) == ("", 1, "jwks")


def test_a_rotation_keeps_the_previous_secret_for_the_overlap(region: Region) -> None:
    consumer, once = cast.bearer(region, "acme"), region.pk
    version = consumer.rotate_jwt(shared_keys(), 24, by=cast.actor("olive"), once=once)
    assert version.number == 2
    assert KeyVersion.accepted().count() == 2
    assert last_entry().action == "consumer.rotate_jwt"
    assert last_entry().facts == {"version": 2, "overlap_hours": 24}
    assert Consumer.objects.get().changed_seq == last_entry().seq
    with pytest.raises(AlreadyDone):
        consumer.rotate_jwt(shared_keys(), 24, by=cast.actor("olive"), once=once)
    assert KeyVersion.objects.count() == 2


@pytest.mark.parametrize(
    "make", [lambda region: cast.consumer(region), lambda region: cast.bearer(region, new=cast.jwt(key_type="asymmetric", jwks=PUBLIC))]
)
def test_without_a_secret_there_is_nothing_to_rotate(region: Region, make: Callable[[Region], Consumer]) -> None:
    with pytest.raises(Conflict):
        make(region).rotate_jwt(shared_keys(), by=cast.SETUP)
    assert last_entry().outcome == "refused"


def test_one_with_tokens_takes_no_credential(region: Region) -> None:
    with pytest.raises(Conflict, match="presents tokens"):
        cast.bearer(region).add_credential(NewCredential("custom", cast.value()), by=cast.SETUP)


# From one method to the other


def test_switching_to_tokens_releases_the_reference_in_one_deed(region: Region) -> None:
    key = cast.key(region, "partner")
    consumer = cast.consumer(region, "acme", bound_to=key, sources=(Source("header", "x-api-key"),))
    consumer.add_credential(NewCredential("custom", cast.value()), by=cast.SETUP)
    olive, before = cast.actor("olive"), AuditEntry.objects.count()
    consumer.switch_method(cast.jwt("a"), lock_version=2, by=olive)
    assert AuditEntry.objects.count() == before + 1
    entry = last_entry()
    assert (entry.action, entry.facts["released"], entry.facts["method"]) == ("consumer.switch_method", ["partner"], "jwt")
    stored = Consumer.objects.get()
    assert (stored.method, stored.sources, stored.credentials.count(), stored.changed_seq) == (JWT, (BEARER,), 0, entry.seq)
    assert Key.objects.get(name="partner").reference_count == 0
    assert list(Reference.objects.values_list("path", flat=True)) == ["jwks"]
    assert not examine(region).wrong


def test_switching_back_erases_the_secret_and_frees_the_identity(region: Region) -> None:
    key, consumer = cast.key(region, "partner"), cast.bearer(region, "acme", cast.jwt("a"))
    consumer.switch_method(NewCredential("reference", key_name="partner"), (Source("query", "api_key"),), lock_version=1, by=cast.SETUP)
    stored = Consumer.objects.get()
    assert (stored.method, stored.sources, Jwt.objects.count()) == (API_KEY, (Source("query", "api_key"),), 0)
    assert list(Key.objects.values_list("name", "reference_count")) == [("partner", 1)]
    assert last_entry().facts == {
        "source": "query parameter api_key",
        "released": [],
        "generation": "reference",
        "key": "partner",
        "trimmed": False,
    }
    cast.bearer(region, new=cast.jwt("a"))
    key.refresh_from_db()
    assert not examine(region).wrong


def test_a_switch_that_fails_changes_nothing(region: Region) -> None:
    consumer = cast.consumer(region, "acme", bound_to=cast.key(region, "partner"))
    with pytest.raises(Invalid):
        consumer.switch_method(cast.jwt(key_type="asymmetric", jwks="{"), lock_version=1, by=cast.SETUP)
    with pytest.raises(StaleEdit):
        consumer.switch_method(cast.jwt(), lock_version=7, by=cast.SETUP)
    with pytest.raises(Conflict):
        consumer.switch_method(NewCredential("custom", cast.value()), lock_version=1, by=cast.SETUP)
    bearer = cast.bearer(region)
    with pytest.raises(Conflict):
        bearer.switch_method(cast.jwt(), lock_version=1, by=cast.SETUP)
    with pytest.raises(NotAllowed):
        bearer.switch_method(NewCredential("custom", cast.value()), lock_version=1, by=cast.actor("vera"))
    assert Consumer.objects.get(name="acme").method == API_KEY
    assert Key.objects.get(name="partner").reference_count == 1
    assert bearer.references.count() == 1


def test_deleting_erases_the_secret(region: Region) -> None:
    cast.bearer(region).delete(by=cast.SETUP)
    assert not Key.objects.exists()
    assert not Jwt.objects.exists()


# Services


def test_a_service_asks_for_one_kind_and_grants_of_the_other_wait(instance: Instance) -> None:
    service, olive = cast.service(instance, "chat"), cast.actor("olive")
    keyed, bearer = cast.consumer(instance.region, "keyed"), cast.bearer(instance.region, "bearer")
    service.authorize(["keyed", "bearer"], by=olive)
    assert list(service.admitted) == [keyed]
    service.require_authentication(JWT, by=olive)
    assert list(service.admitted) == [bearer]
    assert last_entry().facts == {"instance": instance.ref, "method": "jwt"}
    assert service.consumers.count() == 2
    with pytest.raises(Conflict):
        service.require_authentication(JWT, by=olive)
    with pytest.raises(Invalid):
        service.require_authentication("basic", by=olive)
    service.open(by=olive)
    service.require_authentication(by=olive)
    assert (service.consumer_authentication, service.authentication_method) == (True, API_KEY)


def test_mcp_services_take_keys_alone(instance: Instance) -> None:
    tools = cast.mcp(instance)
    with pytest.raises(Invalid) as refused:
        tools.require_authentication(JWT, by=cast.SETUP)
    assert list(refused.value.errors) == ["method"]


def test_other_sources_are_of_those_who_count(instance: Instance) -> None:
    region, service = instance.region, cast.service(instance, "chat")
    keyed = cast.consumer(region, "keyed")
    cast.bearer(region, "bearer", cast.jwt(placed_at="x-token"))
    service.authorize(["keyed", "bearer"], by=cast.SETUP)
    assert keyed.other_sources() == []
    assert Consumer.objects.get(name="bearer").other_sources() == []


# What the gateways are told


def test_the_inventory_knows_tokens(instance: Instance) -> None:
    region = instance.region
    shared = cast.bearer(region, "shared", cast.jwt("s", placed_at="x-token", prefix=""))
    cast.bearer(region, "pasted", cast.jwt("p", "asymmetric", jwks=PUBLIC, pass_through=True))
    cast.bearer(region, "remote", cast.jwt("r", "remote", url=URL, cache_seconds=60))
    cast.service(instance, "chat").require_authentication(JWT, by=cast.SETUP)
    found = stocktaking.load(region.pk)
    by_name = {consumer.name: consumer for consumer in found.consumers}
    assert all(consumer.credentials == () for consumer in found.consumers)
    one = by_name["shared"].jwt
    assert one is not None
    assert one.use is not None
    assert (one.place, one.prefix, one.claim, one.value, one.use.path) == (Source("header", "x-token"), "", "uid", "s", "jwks")
    assert list(by_name["shared"].uses) == [one.use]
    assert by_name["pasted"].jwt is not None
    assert by_name["pasted"].jwt.pass_through
    assert by_name["pasted"].jwt.public
    assert by_name["remote"].jwt is not None
    assert (by_name["remote"].jwt.url, by_name["remote"].jwt.cache_seconds) == (URL, 60)
    assert found.instances[0].services[0].authentication_method == JWT
    assert Source("header", "x-token") in found.sources
    shared.rotate_jwt(shared_keys(), 24, by=cast.SETUP)
    later = stocktaking.load(region.pk, found)
    assert later == replace(stocktaking.load(region.pk), seq=later.seq)
    assert later.next_change is not None
    assert [len(use.versions) for consumer in later.consumers for use in consumer.uses] == [2]
