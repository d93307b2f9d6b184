"""Single sign-on against a provider that answers for real: what it may say, what it may not, and whom it lets in."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import HTTPRedirectHandler, build_opener

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from console import factors, oidc
from secrets_app.errors import Conflict, LastOwner
from secrets_app.models import AuditEntry, Identity, Region, RoleGrant, User
from secrets_app.models.token import ApiToken
from tests import cast
from tests.oidc import CLIENT, SECRET, Provider, new_key, serving
from tests.unit.console.asking import get, text

MISFIT = "does not fit what was asked"


@pytest.fixture
def provider(region: Region, settings: Any) -> Iterator[Provider]:
    cast.person("alice")
    with serving() as provider:
        settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = provider.issuer, CLIENT, SECRET
        settings.OIDC_NAME, settings.OIDC_GROUPS = "Example ID", "platform=owner, keys=key_manager@local, look=viewer"
        oidc._descriptions.clear()
        yield provider


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


def at_provider(url: str) -> str:
    """What a browser does there: where it is sent back to, as an address of ours."""
    answer = build_opener(_Stay).open
    try:
        answer(url)
    except OSError as sent:  # a redirect that nobody follows counts as an error
        return str(sent.headers["Location"])  # type: ignore[attr-defined]
    raise AssertionError("the provider sent nobody back")


def come(client: Client, to: str = "") -> HttpResponse:
    begun = client.get("/sign-in/sso/", {"next": to} if to else {})
    assert begun.status_code == 302, begun.content.decode()
    back = urlsplit(at_provider(begun["Location"]))
    answer: HttpResponse = client.get(f"{back.path}?{back.query}")
    return answer


def roles(username: str) -> set[tuple[str, str, str]]:
    return {
        (one.role, one.region.name if one.region else "", one.source)
        for one in RoleGrant.objects.filter(user__username=username).select_related("region")
    }


def test_somebody_new_is_made_with_the_roles_of_their_groups(provider: Provider) -> None:
    client = cast.client()
    answer = come(client, "/local/keys/")
    assert (answer.status_code, answer["Location"]) == (302, "/local/keys/")
    assert client.get("/local/keys/").status_code == 200
    assert roles("paula") == {("key_manager", "local", "sso")}
    assert not User.objects.get(username="paula").has_usable_password()
    made, entered = AuditEntry.objects.order_by("-seq")[1], AuditEntry.objects.latest("seq")
    assert (made.actor, made.action, made.target, made.facts) == (
        "single sign-on",
        "user.create",
        "paula",
        {"roles": ["key_manager local"]},
    )
    assert (entered.actor, entered.action, entered.facts) == ("paula", "user.sign_in", {"methods": ["socialaccount"]})


def test_what_is_asked_of_the_provider_is_a_code_with_pkce_state_and_nonce(provider: Provider) -> None:
    asked = parse_qs(urlsplit(cast.client().get("/sign-in/sso/")["Location"]).query)
    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == ["http://testserver/sign-in/sso/callback/"]
    assert all(len(asked[name][0]) >= 43 for name in ("state", "nonce", "code_challenge"))
    again = parse_qs(urlsplit(cast.client().get("/sign-in/sso/")["Location"]).query)
    assert all(asked[name] != again[name] for name in ("state", "nonce", "code_challenge"))


def test_the_roles_are_counted_anew_at_each_sign_in(provider: Provider) -> None:
    come(cast.client())
    RoleGrant.objects.create(user=User.objects.get(username="paula"), role="auditor")  # by hand: it stays
    provider.person["groups"] = ["look", "unknown"]
    come(cast.client())
    assert roles("paula") == {("viewer", "", "sso"), ("auditor", "", "")}
    synced = AuditEntry.objects.get(action="user.sync_roles")
    assert synced.facts == {"given": ["viewer everywhere"], "taken": ["key_manager local"]}


@pytest.mark.parametrize("groups", [[], ["unknown"], None, "keys", {"keys": 1}, [["keys"]], 7])
def test_without_a_mapped_group_nobody_comes_in_and_is_told(provider: Provider, groups: Any) -> None:
    provider.person["groups"] = groups
    answer = come(cast.client())
    assert answer.status_code == 403
    assert "None of your groups" in answer.content.decode()
    assert not User.objects.filter(username="paula").exists()
    entry = AuditEntry.objects.latest("seq")
    assert (entry.actor, entry.action, entry.outcome, entry.facts) == ("unknown", "user.sign_in", "refused", {"reason": "sso"})


def test_who_lost_every_group_loses_the_roles_as_well(provider: Provider) -> None:
    come(cast.client())
    provider.person["groups"] = []
    assert come(cast.client()).status_code == 403
    assert roles("paula") == set()


def test_owner_is_given_where_it_is_named(provider: Provider) -> None:
    provider.person["groups"] = ["platform"]
    come(cast.client())
    assert roles("paula") == {("owner", "", "sso")}


@pytest.mark.parametrize("name", ["alice", "ALICE"])
def test_a_username_that_is_taken_is_not_taken_over(provider: Provider, name: str) -> None:
    provider.person |= {"preferred_username": name, "email": "alice@example.com", "email_verified": True, "groups": ["platform"]}
    User.objects.filter(username="alice").update(email="alice@example.com")
    answer = come(cast.client())
    assert answer.status_code == 403
    assert "nobody is taken over by a name" in answer.content.decode()
    assert not Identity.objects.exists()


def test_a_person_is_known_by_the_subject_whatever_they_are_called(provider: Provider) -> None:
    come(cast.client())
    provider.person["preferred_username"] = "alice"
    client = cast.client()
    come(client)
    assert AuditEntry.objects.latest("seq").actor == "paula"
    provider.person |= {"sub": "u-2", "preferred_username": "paula"}
    assert come(cast.client()).status_code == 403  # somebody else by that name


@pytest.mark.parametrize("name", ["", None, 7, "a b", "<script>", "-x", "x" * 200, "\u202eevil"])
def test_a_name_that_is_none_is_refused(provider: Provider, name: Any) -> None:
    provider.person["preferred_username"] = name
    answer = come(cast.client())
    assert answer.status_code == 403
    assert "<script>alert" not in answer.content.decode()
    assert not Identity.objects.exists()


def test_who_is_disabled_here_stays_out(provider: Provider) -> None:
    come(cast.client())
    User.objects.filter(username="paula").update(is_active=False)
    client = cast.client()
    assert "You are disabled" in come(client).content.decode()
    assert client.get("/local/keys/").status_code == 302


@pytest.mark.parametrize(
    "lies",
    [
        {"iss": "http://localhost:1"}, {"iss": "http://evil.example"}, {"iss": None}, {"aud": "another-client"}, {"aud": ["a", "b"]},
        {"aud": None}, {"aud": [CLIENT, "another"]}, {"aud": [CLIENT, "another"], "azp": "another"}, {"azp": "another"},
        {"nonce": "another"}, {"nonce": None}, {"exp": 1}, {"exp": None}, {"iat": None}, {"iat": 99999999999}, {"sub": None},
        {"sub": ""}, {"sub": "x" * 256}, {"nbf": 99999999999},
    ],
)  # fmt: skip
def test_a_token_that_is_not_for_us_signs_nobody_in(provider: Provider, lies: dict[str, Any]) -> None:
    provider.lies = lies
    answer = come(cast.client())
    assert answer.status_code == 403
    assert MISFIT in answer.content.decode()
    assert not Identity.objects.exists()


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_token_without_a_signature_of_the_issuer_signs_nobody_in(provider: Provider, algorithm: str) -> None:
    provider.algorithm = algorithm
    assert MISFIT in come(cast.client()).content.decode()


def test_nor_does_one_that_another_key_signed(provider: Provider) -> None:
    provider.published = new_key()
    assert MISFIT in come(cast.client()).content.decode()
    assert not Identity.objects.exists()


def test_an_answer_counts_in_the_browser_that_asked_and_once(provider: Provider) -> None:
    client, other = cast.client(), cast.client()
    back = urlsplit(at_provider(client.get("/sign-in/sso/")["Location"]))
    address = f"{back.path}?{back.query}"
    assert other.get(address).status_code == 403
    other.get("/sign-in/sso/")
    assert other.get(address).status_code == 403
    assert client.get(address).status_code == 302
    assert cast.client().get(address).status_code == 403


@pytest.mark.parametrize(
    "query", ["", "?state=x", "?code=x", "?state=x&code=x", "?error=access_denied", "?state=%00&code=%ff", "?state=é&code=é"]
)
def test_a_made_up_answer_is_refused(provider: Provider, query: str) -> None:
    client = cast.client()
    client.get("/sign-in/sso/")
    assert client.get(f"/sign-in/sso/callback/{query}").status_code in (400, 403)
    assert provider.asked.count("/token") == 0


def test_it_took_too_long(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc, "PENDING_FOR", 0)
    assert "This took too long." in come(cast.client()).content.decode()


def test_no_redirect_is_followed(provider: Provider) -> None:
    provider.redirects = True
    assert cast.client().get("/sign-in/sso/").status_code == 403
    assert "/elsewhere" not in provider.asked


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "http://evil.example"}, {"issuer": None}, {"token_endpoint": "http://127.0.0.1:1/token"}, {"jwks_uri": "http://evil.example/keys"},
        {"authorization_endpoint": "https://evil.example/"}, {"token_endpoint": 7}, {"jwks_uri": "file:///etc/passwd"},
    ],
)  # fmt: skip
def test_a_provider_that_names_another_place_is_not_believed(provider: Provider, described: dict[str, Any]) -> None:
    provider.described = described
    assert cast.client().get("/sign-in/sso/").status_code == 403
    assert provider.asked == ["/.well-known/openid-configuration"]


def test_a_provider_that_is_down_is_told_and_the_password_still_works(provider: Provider, settings: Any) -> None:
    settings.OIDC_ISSUER = "http://localhost:1"
    answer = cast.client().get("/sign-in/sso/")
    assert answer.status_code == 403
    assert "did not answer as it should" in answer.content.decode()
    assert cast.client().post("/sign-in/", {"login": "alice", "password": cast.PASSWORD}).status_code == 302


def test_who_has_a_second_factor_here_is_asked_for_it_too(provider: Provider) -> None:
    come(cast.client())
    paula = User.objects.get(username="paula")
    seed, offer = factors.offer_app(paula)
    factors.add_app(paula, offer, cast.code(seed), by=paula.as_actor())
    client = cast.client()
    assert come(client)["Location"] == "/sign-in/second-factor/"
    assert client.get("/local/keys/").status_code == 302
    assert client.post("/sign-in/second-factor/", {"code": cast.code(seed, 1)}).status_code == 302
    assert AuditEntry.objects.latest("seq").facts == {"methods": ["socialaccount", "totp"]}


def test_who_has_no_password_confirms_at_the_provider(provider: Provider) -> None:
    client = cast.client()
    come(client)
    assert "Add an authenticator app" in client.get("/account/authenticator-app/").content.decode()
    cast.grow_old("paula")
    page = client.get("/account/authenticator-app/").content.decode()
    assert "Continue with Example ID" in page
    answer = come(client, "/account/authenticator-app/")
    assert answer["Location"] == "/account/authenticator-app/"
    assert AuditEntry.objects.latest("seq").action == "user.confirm"
    assert "Scan this with the app" in client.get("/account/authenticator-app/").content.decode()
    cast.grow_old("paula")
    provider.lies = {"auth_time": 1}
    assert "did not ask again" in come(client).content.decode()
    provider.lies = {"sub": "u-9", "preferred_username": "peter"}
    assert "somebody else" in come(client).content.decode()


def test_neither_token_nor_secret_stands_anywhere(provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    client = cast.client()
    come(client)
    stored = str(list(AuditEntry.objects.values())) + str(dict(client.session)) + caplog.text
    assert SECRET not in stored
    assert "eyJ" not in stored


def test_the_sign_in_page_offers_it_where_it_is_configured(provider: Provider, settings: Any) -> None:
    assert "Continue with Example ID" in cast.client().get("/sign-in/?next=/local/").content.decode()
    settings.OIDC_ISSUER = ""
    assert "Example ID" not in cast.client().get("/sign-in/").content.decode()
    for address in ("/sign-in/sso/", "/sign-in/sso/callback/"):
        assert cast.client().get(address)["Location"] == "/sign-in/"


@pytest.mark.parametrize("text", ["keys", "=owner", "keys=emperor", "keys=owner=", "a=owner,b", "keys=owner@"])
def test_a_mapping_that_says_nothing_is_told_at_start(settings: Any, text: str) -> None:
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_GROUPS = "https://id.example", "x", text
    with pytest.raises(SystemCheckError, match="CONSOLE_OIDC_GROUPS"):
        call_command("check", tags=["security"])
    settings.OIDC_ISSUER, settings.OIDC_GROUPS = "http://id.example", "keys=owner"
    with pytest.raises(SystemCheckError, match="not served over TLS"):
        call_command("check", tags=["security"])


def test_who_was_asked_nothing_at_the_provider_has_shown_nothing(provider: Provider) -> None:
    """A session there that is hours old opens the console, and no sensitive page of it."""
    client = cast.client()
    provider.lies = {"auth_time": int(time.time()) - 8 * 3600}
    come(client)
    assert "Continue with Example ID" in client.get("/account/authenticator-app/").content.decode()


def test_whom_the_provider_did_not_vouch_for_lately_holds_none_of_its_roles(provider: Provider, django_assert_num_queries: Any) -> None:
    """Somebody who was removed there never comes back to have them taken: neither by session nor by API token do they count."""
    client = cast.client()
    come(client)
    paula = User.objects.get(username="paula")
    token = ApiToken.create("deploy", Region.objects.get(), ["key.view"], 90, by=paula.as_actor())[1]

    def api() -> Any:
        return cast.client().get("/api/v1/local/keys/", headers={"Authorization": f"Bearer {token}"})

    assert (api().status_code, client.get("/local/keys/").status_code) == (200, 200)
    Identity.objects.update(synced_at=timezone.now() - timedelta(days=7, seconds=1))
    with django_assert_num_queries(3):  # with the policy on second factors, which a request brings along
        assert paula.as_actor().roles == set()
    page = client.get("/local/keys/")
    assert page.status_code == 403
    assert "Roles that single sign-on gave you do not count now: you have not come in through it for more than 7 days." in text(page)
    assert 'href="/sign-in/sso/?next=%2Flocal%2Fkeys%2F"' in page.content.decode()
    assert client.get("/account/").status_code == 200
    refused = api()
    assert (refused.status_code, refused.json()["code"]) == (403, "roles_lapsed")
    assert "Lapsed until they sign in" in text(get("/team/people/paula/"))
    answer = come(client, "/local/keys/")
    assert (answer["Location"], client.get("/local/keys/").status_code, api().status_code) == ("/local/keys/", 200, 200)
    assert "do not count" not in text(client.get("/local/keys/"))


def test_an_owner_may_give_by_hand_what_single_sign_on_gave(provider: Provider) -> None:
    """Else whoever switches it off for good would find nobody to give their roles back to."""
    come(cast.client())
    paula, region = User.objects.get(username="paula"), Region.objects.get()
    Identity.objects.update(synced_at=timezone.now() - timedelta(days=8))
    RoleGrant.grant(paula, "key_manager", region, by=cast.actor("alice"))
    assert roles("paula") == {("key_manager", "local", "")}
    assert paula.as_actor().roles == {"key_manager"}
    with pytest.raises(Conflict, match="already"):
        RoleGrant.grant(paula, "key_manager", region, by=cast.actor("alice"))
    provider.person = {"sub": "u-1", "preferred_username": "paula", "groups": ["look"]}
    come(cast.client())
    assert roles("paula") == {("key_manager", "local", ""), ("viewer", "", "sso")}
    RoleGrant.objects.get(user=paula, role="key_manager").revoke(region, by=cast.actor("alice"))


def test_what_an_owner_gave_stays_and_a_lapsed_owner_is_no_owner(provider: Provider, settings: Any) -> None:
    provider.person = {"sub": "u-1", "preferred_username": "paula", "groups": ["platform"]}
    client = cast.client()
    come(client)
    cast.somebody("paula", "viewer")
    alice = User.objects.get(username="alice")
    Identity.objects.update(synced_at=timezone.now() - timedelta(days=8))
    assert User.objects.get(username="paula").as_actor().roles == {"viewer"}
    with pytest.raises(LastOwner):
        alice.disable(by=cast.SETUP)
    settings.OIDC_TRUST_DAYS = 9
    assert User.objects.get(username="paula").as_actor().roles == {"viewer", "owner"}
    alice.disable(by=cast.SETUP)
    settings.OIDC_TRUST_DAYS, settings.OIDC_ISSUER = 7, ""
    assert "It is switched off here by now: ask an owner" in text(client.get("/local/keys/"))
    settings.OIDC_ISSUER, settings.OIDC_TRUST_DAYS = provider.issuer, 0
    with pytest.raises(SystemCheckError, match="CONSOLE_OIDC_TRUST_DAYS"):
        call_command("check", tags=["security"])
