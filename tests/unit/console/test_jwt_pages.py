"""Consumers with tokens in the console: made, changed, given a new secret, and switched from one method to the other."""

import json
import re
from html import unescape
from typing import Any

import pytest
from django.http import HttpResponse

from gateway.methods import API_KEY, JWT
from gateway.models import Consumer, Instance, Jwt, NewCredential, Service
from gateway.sources import BEARER, Source
from secrets_app.models import AuditEntry, Key, KeyVersion, Region
from tests import cast
from tests.effort import at_most
from tests.keys_of_tokens import ec_key, key_set, rsa_key
from tests.unit.console.asking import CANARY, assert_silent, get, markup, post, text
from tests.unit.console.hostile import HOSTILE

NEW = "/local/consumers/new/"
CONSUMER = "/local/consumers/acme/"
SWITCH, ROTATE, EDIT = f"{CONSUMER}switch-method/", f"{CONSUMER}jwt/rotate/", f"{CONSUMER}edit/"
PUBLIC = key_set(rsa_key(), ec_key())
URL = "https://issuer.example.com/.well-known/jwks.json"
SECRET = re.compile(r'\{"keys":\[\{"kty":"oct","kid":"[\w-]+","alg":"HS256","k":"[\w-]{43}"\}\]\}')


def tokens(**fields: Any) -> dict[str, Any]:
    given = {"key_type": "symmetric", "position": "header", "placed_at": "Authorization", "token_prefix": "Bearer"}
    return given | {"claim": "uid", "claim_value": "acme-1", "cache_seconds": "600", "lock_version": 1} | fields


def given(**fields: Any) -> dict[str, Any]:
    return {"name": "acme", "authentication": "jwt", "state": "enabled", "description": "Acme Inc."} | tokens(**fields)


def shown(answer: HttpResponse) -> str:
    found = SECRET.search(unescape(answer.content.decode()))
    assert found
    return found[0]


@pytest.fixture
def instance(region: Region) -> Instance:
    return cast.instance(region, "east")


# Creating


def test_the_form_starts_as_documented(region: Region) -> None:
    page = markup(get(NEW))
    for field in ('name="placed_at" value="Authorization"', 'name="token_prefix" value="Bearer"', 'name="claim" value="uid"'):
        assert field in page
    values = {re.search(r'name="claim_value" value="([0-9a-f]{32})"', markup(get(NEW)))[1] for _ in range(2)}  # type: ignore[index]
    assert len(values) == 2  # random, and to be edited
    assert not re.search(r'name="pass_through"[^>]*checked', page)
    assert "/config_dump" in page


def test_a_generated_secret_is_shown_once(region: Region) -> None:
    answer = post(NEW, given(), "olive", status=200)
    assert answer.headers["Cache-Control"] == "no-store"
    secret = shown(answer)
    assert "uid" in text(answer)
    assert "acme-1" in text(answer)
    consumer = Consumer.objects.get()
    assert (consumer.method, consumer.jwt.value, consumer.description) == (JWT, "acme-1", "Acme Inc.")
    key = json.loads(secret)["keys"][0]["k"]
    for path in (CONSUMER, EDIT, "/local/consumers/"):
        assert_silent(get(path), key)
    assert key not in str(list(AuditEntry.objects.values()))


def test_the_same_post_makes_one_and_does_not_show_its_secret_again(region: Region) -> None:
    once = {"once": "5f0c1e4e-0000-4000-8000-00000000a5ed"}
    first = shown(post(NEW, given(**once), status=200))
    again = post(NEW, given(**once), status=409)
    assert "not shown again" in text(again)
    assert_silent(again, json.loads(first)["keys"][0]["k"])
    assert Key.objects.count() == 1


def test_pasted_keys_and_an_address_are_shown_as_they_are(region: Region) -> None:
    post(NEW, given(key_type="asymmetric", jwks=PUBLIC))
    page = text(get(CONSUMER))
    assert "2 public keys RSA, EC" in page
    assert "JWT" in page
    post(
        NEW,
        given(name="other", key_type="remote", url=URL, cache_seconds="3600", claim_value="other", placed_at="X-Token", token_prefix=""),
    )
    page = text(get("/local/consumers/other/"))
    assert URL in page
    assert "60 minutes" in page
    assert "x-token: <token>" in page


@pytest.mark.parametrize(
    ("jwks", "words"),
    [
        ("", "Paste the public keys"),
        ('{"keys":\n [}', "line 2, column 3"),
        (key_set(rsa_key(d=CANARY)), "private or a shared key"),
        (json.dumps({"keys": [{"kty": "oct", "k": CANARY}]}), "private or a shared key"),
        (CANARY, "line 1"),
        (CANARY * 3000, "at most 64 KiB"),
    ],
)
def test_what_is_wrong_with_a_key_set_stands_at_it_and_nothing_of_it_comes_back(region: Region, jwks: str, words: str) -> None:
    answer = post(NEW, given(key_type="asymmetric", jwks=jwks), status=422)
    assert words in text(answer)
    assert 'aria-describedby="id_jwks-error' in markup(answer) or "id_jwks-error" in markup(answer)
    assert_silent(answer, CANARY)
    assert not Consumer.objects.exists()


def test_a_mebibyte_is_refused_at_the_door(region: Region) -> None:
    with at_most(1):
        post(NEW, given(key_type="asymmetric", jwks="x" * 1024 * 1024), status=413)


def test_public_keys_come_back_after_an_error_elsewhere(region: Region) -> None:
    page = unescape(markup(post(NEW, given(key_type="asymmetric", jwks=PUBLIC, claim=""), status=422)))
    assert '"kty": "RSA"' in page
    assert "Enter the name of the claim" in page


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "Bad Name"}, "lower-case letters"),
        ({"key_type": ""}, "Choose one of the key types"),
        ({"key_type": "telepathy"}, "Choose one of those listed"),
        ({"authentication": "hmac"}, "Choose one of those listed"),
        ({"key_type": "remote"}, "Enter the address of the key set"),
        ({"key_type": "remote", "url": "https://10.0.0.7/jwks"}, "by its name"),
        ({"key_type": "remote", "url": "https://user:word@a.example/jwks"}, "user name or password"),
        ({"key_type": "remote", "url": URL, "cache_seconds": "7"}, "Choose one of those listed"),
        ({"position": "cookie"}, "Choose one of those listed"),
        ({"placed_at": "host"}, "Requests use this header for other things"),
        ({"token_prefix": "Bearer x"}, "Use at most 32"),
        ({"claim": " "}, "printable characters"),
        ({"claim_value": ""}, "Enter the value"),
        ({"claim_value": "taken"}, "known by this value"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(region: Region, fields: dict[str, str], words: str) -> None:
    cast.bearer(region, "other", cast.jwt("taken"))
    assert words in text(post(NEW, given(**fields), status=422))
    assert Consumer.objects.count() == 1


def test_a_password_in_an_address_does_not_come_back(region: Region) -> None:
    assert_silent(post(NEW, given(key_type="remote", url=f"https://user:{CANARY}@a.example/jwks"), status=422), CANARY)
    assert URL in markup(post(NEW, given(key_type="remote", url=URL, claim=""), status=422))


def test_fields_of_the_other_method_are_not_read(region: Region) -> None:
    cast.key(region, "partner")
    other = {"generation": "reference", "key": "partner", "value": CANARY, "source_kind": "query", "parameter": "&&"}
    post(NEW, given(**other), status=200)
    assert (Consumer.objects.get().sources, Key.objects.get(name="partner").reference_count) == ((BEARER,), 0)
    wrong = {"jwks": CANARY, "url": "ftp://", "claim": "", "key_type": "telepathy", "cache_seconds": "x", "placed_at": "host"}
    post(NEW, given(name="keyed", authentication="api_key", **other | wrong | {"parameter": "api_key"}))
    keyed = Consumer.objects.get(name="keyed")
    assert (keyed.method, keyed.sources) == (API_KEY, (Source("query", "api_key"),))
    assert Jwt.objects.count() == 1
    post(
        NEW, given(name="usual", authentication="", generation="reference", key="partner", source_kind="bearer"), status=422
    )  # taken by keyed


@pytest.mark.parametrize("field", ["jwks", "url", "placed_at", "token_prefix", "claim", "claim_value"])
def test_hostile_texts_are_never_a_failure(region: Region, field: str) -> None:
    kind = {"jwks": "asymmetric", "url": "remote"}.get(field, "symmetric")
    for number, hostile in enumerate(HOSTILE):
        data = given(name=f"acme-{number}", key_type=kind, **{field: hostile})
        assert cast.client("alice").post(NEW, data).status_code in (200, 303, 422)


# Changing


def test_an_edit_starts_from_what_is_stored(region: Region) -> None:
    cast.bearer(region, "acme", cast.jwt("a", "asymmetric", jwks=PUBLIC, position="query", placed_at="jwt", pass_through=True))
    page = unescape(markup(get(EDIT)))
    assert re.search(r'value="asymmetric"[^>]*checked', page)
    assert '"kty": "EC"' in page
    assert 'name="placed_at" value="jwt"' in page
    assert re.search(r'name="pass_through"[^>]*checked', page)
    assert "Switch to API Key" in page
    assert 'name="source_kind"' not in page


def test_an_edit_keeps_the_secret_and_another_type_ends_it(region: Region) -> None:
    consumer = cast.bearer(region, "acme", cast.jwt("a"))
    key = consumer.references.get().key_id
    answer = post(EDIT, tokens(claim_value="b", description="x"))
    assert answer.headers["Location"] == CONSUMER
    assert (Jwt.objects.get().value, consumer.references.get().key_id) == ("b", key)
    post(EDIT, tokens(claim_value="b", key_type="asymmetric", jwks=PUBLIC, lock_version=2))
    assert not Key.objects.exists()
    shown(post(EDIT, tokens(claim_value="b", lock_version=3), status=200))
    assert Key.objects.count() == 1


def test_a_stale_edit_shows_what_is_stored(region: Region) -> None:
    consumer = cast.bearer(region, "acme", cast.jwt("a"))
    consumer.disable(by=cast.SETUP)
    answer = post(EDIT, tokens(claim_value="mine"), status=409)
    assert "Stored now" in text(answer)
    assert "uid = a" in text(answer)
    assert 'value="mine"' in markup(answer)
    post(EDIT, tokens(claim_value="mine", lock_version=2))


def test_a_rotation_shows_the_new_set_and_keeps_the_old_one_for_a_while(region: Region) -> None:
    cast.bearer(region, "acme", cast.jwt("a"))
    answer = post(ROTATE, {"overlap": "24"}, "olive", status=200)
    shown(answer)
    assert answer.headers["Cache-Control"] == "no-store"
    assert KeyVersion.accepted().count() == 2
    assert "v1 is still accepted" in text(get(CONSUMER))
    assert "Choose one of those listed" in text(post(ROTATE, {"overlap": "25"}, status=422))


@pytest.mark.parametrize("kind", ["asymmetric", "api_key"])
def test_without_a_secret_there_is_no_rotation(region: Region, kind: str) -> None:
    if kind == "api_key":
        cast.consumer(region, "acme")
    else:
        cast.bearer(region, "acme", cast.jwt(key_type=kind, jwks=PUBLIC))
    get(ROTATE, status=409)
    post(ROTATE, {"overlap": "24"}, status=409)
    assert AuditEntry.objects.latest("seq").outcome == "refused"
    assert "Rotate shared secret" not in text(get(CONSUMER))


# From one method to the other


def test_switching_to_tokens_tells_what_it_releases_and_does_it(region: Region) -> None:
    consumer = cast.consumer(region, "acme", bound_to=cast.key(region, "partner"))
    consumer.add_credential(NewCredential("custom", cast.value()), by=cast.SETUP)
    page = text(get(SWITCH))
    assert "The key partner stays, with one reference less" in page
    assert "The values of its own are erased" in page
    assert "Reference Key" not in page
    shown(post(SWITCH, tokens(lock_version=2), "olive", status=200))
    assert AuditEntry.objects.latest("seq").facts["released"] == ["partner"]
    assert (Consumer.objects.get().method, Key.objects.get(name="partner").reference_count) == (JWT, 0)
    page = text(get(CONSUMER))
    assert "Tokens Symmetric" in page
    assert "Add credential" not in page


def test_switching_back_asks_for_a_credential(region: Region) -> None:
    cast.bearer(region, "acme")
    cast.key(region, "partner")
    page = text(get(SWITCH))
    assert "Switch acme to API Key" in page
    assert "Key type" not in page
    data = {"generation": "reference", "key": "partner", "source_kind": "header", "header": "X-Api-Key", "lock_version": 1}
    post(SWITCH, data | tokens())  # what belongs to tokens is not read here
    stored = Consumer.objects.get()
    assert (stored.method, stored.sources, Jwt.objects.exists()) == (API_KEY, (Source("header", "x-api-key"),), False)


def test_a_switch_that_was_stale_switches_nothing_by_surprise(region: Region) -> None:
    """What was sent for one method means nothing to the other."""
    consumer = cast.consumer(region, "acme")
    consumer.edit(description="x", sources=[BEARER], lock_version=1, by=cast.SETUP)
    assert "Stored now" in text(post(SWITCH, tokens(), status=409))
    consumer.switch_method(cast.jwt(), lock_version=2, by=cast.SETUP)
    post(SWITCH, tokens(lock_version=3), status=422)
    assert Consumer.objects.get().method == JWT


@pytest.mark.parametrize("place", [SWITCH, ROTATE, EDIT])
@pytest.mark.parametrize("who", ["kim", "vera", "audrey", "mallory"])
def test_only_operators_and_owners_change_tokens(region: Region, place: str, who: str) -> None:
    cast.bearer(region, "acme")
    get(place, who, status=403)
    post(place, tokens(overlap=0), who, status=403)
    assert Consumer.objects.get().lock_version == 1


@pytest.mark.parametrize("place", [SWITCH, ROTATE, EDIT])
def test_each_question_fits_a_panel(region: Region, place: str) -> None:
    cast.bearer(region, "acme")
    whole, part = get(place), get(place, part="panel")
    assert "<h1" in markup(whole)
    assert "<html" not in markup(part)
    assert 'id="panel-title"' in markup(part)


# Services


def test_a_service_asks_for_tokens_and_says_whose_authorization_counts(instance: Instance) -> None:
    region, service = instance.region, cast.service(instance, "chat")
    here = f"/local/instances/{instance.ref}/services/chat/"
    cast.consumer(region, "keyed")
    cast.bearer(region, "acme")
    service.authorize(["keyed", "acme"], by=cast.SETUP)
    page = get(f"{here}require-authentication/")
    assert "1 authorized consumer" in text(page)
    assert "Has no effect: this service asks for API keys." in text(get(here))
    answer = post(f"{here}require-authentication/", {"method": "jwt"}, "olive")
    assert answer.headers["Location"] == here
    assert Service.objects.get().authentication_method == JWT
    page_text = text(get(here))
    assert "Has no effect: this service asks for JWT." in page_text
    assert "$LATCHKEY_TOKEN" in page_text
    assert "Has no effect" in text(get("/local/consumers/keyed/"))
    assert "Has no effect" not in text(get(CONSUMER))
    service.revoke(Consumer.objects.get(name="acme"), by=cast.SETUP)
    assert "Callers get 403." in text(get(here))
    assert "chat" in text(get("/local/"))
    post(f"{here}require-authentication/", {"method": "jwt"}, status=409)
    post(f"{here}require-authentication/", {"method": "basic"}, status=422)
    post(f"{here}require-authentication/", {"method": "api_key"})


def test_turning_it_on_again_keeps_the_method(instance: Instance) -> None:
    service = cast.service(instance, "chat")
    service.require_authentication(JWT, by=cast.SETUP)
    service.open(by=cast.SETUP)
    post(f"/local/instances/{instance.ref}/services/chat/require-authentication/", {})
    stored = Service.objects.get()
    assert (stored.consumer_authentication, stored.authentication_method) == (True, JWT)


def test_mcp_services_say_that_they_take_keys_only(instance: Instance) -> None:
    cast.mcp(instance, "tools").open(by=cast.SETUP)
    here = f"/local/instances/{instance.ref}/mcp/tools/"
    page = get(f"{here}require-authentication/")
    assert "MCP services take API keys only." in text(page)
    assert 'value="jwt"' not in markup(page)
    post(f"{here}require-authentication/", {"method": "jwt"}, status=422)
    post(f"{here}require-authentication/", {"method": "api_key"})
    assert "MCP services take API keys only." in text(get(here))


def test_the_list_tells_both_kinds(region: Region, django_assert_max_num_queries: Any) -> None:
    cast.consumer(region, "keyed")
    cast.bearer(region, "acme")
    cast.bearer(region, "pasted", cast.jwt(key_type="asymmetric", jwks=PUBLIC))
    page = text(get("/local/consumers/"))
    assert "JWT Authorization: Bearer Symmetric" in page
    assert "JWT Authorization: Bearer Asymmetric" in page
    assert "API Key Authorization: Bearer" in page


def test_the_audit_log_says_it_in_words(region: Region) -> None:
    post(NEW, given(key_type="remote", url=URL))
    seq = AuditEntry.objects.latest("seq").seq
    page = text(get(f"/audit/{seq}/"))
    for words in ("Authentication method JWT", "Key type Remote JWKS URL", "Identity claim uid", f"Remote JWKS URL {URL}"):
        assert words in page
