"""The Referenced drawer: who refers to a key, grouped, searched, and a page of its own."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from gateway.models import Instance, NewCredential, Problem
from secrets_app.models import Key, Reference, Region
from tests import cast
from tests.unit.console.asking import blind_to, get, markup, text

REFERENCES = "/local/keys/one/references/"


@pytest.fixture
def key(region: Region) -> Key:
    return cast.key(region, "one")


def serve(region: Region, key: Key, count: int) -> None:
    gateway = cast.instance(region, "prod-east")
    for number in range(count):
        cast.service(gateway, f"chat-{number:02d}", keys=[key])


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("kim", 200), ("olive", 200), ("vera", 200), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_see_references(key: Key, who: str, status: int) -> None:
    get(REFERENCES, who, status=status)


def test_holders_are_grouped_with_place_and_instance(region: Region, key: Key) -> None:
    serve(region, key, 2)
    cast.consumer(region, "acme", bound_to=key)
    page = text(get(REFERENCES, "vera"))
    assert "Referenced by 3 holders" in page
    assert page.index("Consumers 1") < page.index("acme") < page.index("AI services 2") < page.index("chat-00")
    assert "chat-00 Large Model Configuration › API Key prod-east" in page
    part = get(REFERENCES, part="panel")
    assert "<html" not in markup(part)
    assert "Referenced by 3 holders" in text(part)


def test_a_key_nobody_refers_to_says_so(key: Key) -> None:
    assert "Nothing refers to this key yet." in text(get(REFERENCES))


def test_more_than_ten_can_be_searched(region: Region, key: Key) -> None:
    serve(region, key, 10)
    assert "Search by name" not in markup(get(REFERENCES))
    cast.consumer(region, "acme", bound_to=key)
    assert "Search by name" in markup(get(REFERENCES))
    found = text(get(REFERENCES + "?q=CHAT-07"))
    assert "chat-07" in found
    assert "chat-06" not in found
    assert "acme" not in found
    assert "No holder is named like “<b>”." in text(get(REFERENCES + "?q=<b>")).replace("&lt;", "<").replace("&gt;", ">")


def test_twenty_more_at_a_time(region: Region, key: Key) -> None:
    serve(region, key, 45)
    page = get(REFERENCES)
    assert "chat-19" in text(page)
    assert "chat-20" not in text(page)
    assert 'href="?ai_service=40"' in markup(page)
    page = get(REFERENCES + "?ai_service=40&q=chat")
    assert "chat-39" in text(page)
    assert 'href="?ai_service=60&amp;q=chat"' in markup(page)
    assert "Show 20 more" not in text(get(REFERENCES + "?ai_service=60"))


@pytest.mark.parametrize("more", ["x", "-1", "0", "99999999999", "1e9", "٣"])
def test_an_address_that_makes_no_sense_shows_the_first_twenty_or_all(region: Region, key: Key, more: str) -> None:
    serve(region, key, 3)
    assert "chat-02" in text(get(f"{REFERENCES}?ai_service={more}"))


def test_the_drawer_costs_the_same_however_many_there_are(region: Region, key: Key) -> None:
    client = cast.client("alice")

    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert client.get(REFERENCES).status_code == 200
        return len(asked)

    serve(region, key, 1)
    cost()
    once = cost()
    for _ in range(15):
        cast.service(cast.instance(region), keys=[key])
    assert cost() == once


# ── Each link lands on the very field ──


@pytest.fixture
def everywhere(region: Region, key: Key) -> Instance:
    """Referred to by a holder of each kind, at a place that is not its first."""
    gateway, other = cast.instance(region, "prod-east"), cast.key(region, "other")
    cast.service(gateway, "chat", keys=[other, key])
    cast.agent(gateway, "studio", keys=[other, key], apps=["alpha", "beta"])
    cast.mcp(gateway, "tools", key=key)
    cast.rule(cast.plugin(gateway), cast.key_auth(other, key))
    acme = cast.consumer(region, "acme")
    acme.add_credential(NewCredential("reference", key_name="one"), by=cast.SETUP)
    return gateway


def landings(who: str) -> list[str]:
    return re.findall(r'<a class="holder" href="([^"]+)"', get(REFERENCES, who).content.decode())


def test_who_may_edit_a_holder_lands_on_the_field_of_its_form(everywhere: Instance) -> None:
    base = f"/local/instances/{everywhere.ref}"
    assert landings("olive") == [
        "/local/consumers/acme/credentials/1/edit/#id_key",
        f"{base}/services/chat/edit/#id_key_1",
        f"{base}/services/studio/edit/#use-beta",
        f"{base}/mcp/tools/backend-auth/#id_key",
        f"{base}/plugins/key-auth/rules/instance/edit/?at=credentials%5B1%5D#at",
    ]


def test_who_may_look_lands_on_the_place_of_its_page(everywhere: Instance) -> None:
    base = f"/local/instances/{everywhere.ref}"
    assert landings("vera") == [
        "/local/consumers/acme/#credential-1",
        f"{base}/services/chat/#use-2",
        f"{base}/services/studio/#use-beta",
        f"{base}/mcp/tools/#backend_auth",
        f"{base}/plugins/key-auth/rules/instance/?at=credentials%5B1%5D#at",
    ]


@pytest.mark.parametrize("who", ["olive", "vera"])
def test_what_a_link_points_at_is_on_its_page(everywhere: Instance, who: str) -> None:
    for landing in landings(who):
        page, _hash, place = landing.partition("#")
        if "/rules/" not in page or who == "vera":
            assert f'id="{place}"' in markup(get(page, who)), landing


def test_a_rule_says_at_which_line(everywhere: Instance) -> None:
    assert "key-auth Rule of the instance › credentials[1], line 3 prod-east" in text(get(REFERENCES))


# ── What a person may not open ──

RIGHTS = {"consumer": "consumer.view", "service": "service.view", "mcp": "mcp.view", "plugin": "plugin.view"}
NAMES = {"consumer": ["acme"], "service": ["chat", "studio", "beta"], "mcp": ["tools"], "plugin": ["key-auth", "credentials[1]"]}


@pytest.mark.parametrize("blind", RIGHTS)
def test_it_is_counted_and_not_told(everywhere: Instance, monkeypatch: pytest.MonkeyPatch, blind: str) -> None:
    blind_to(monkeypatch, RIGHTS[blind])
    for path in (REFERENCES, "/local/keys/one/", "/local/keys/one/delete/", "/local/keys/one/rotate/"):
        page = get(path)
        main = text(page).partition("Sign out")[2] or text(page)
        assert not [name for name in NAMES[blind] if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", main)], path
        assert "/" + {"consumer": "consumers/acme", "service": "services/chat", "mcp": "mcp/tools", "plugin": "plugins/key-auth"}[
            blind
        ] not in markup(page)
    assert "Referenced by 5 holders" in text(get(REFERENCES))
    assert text(get(REFERENCES)).count("Your roles do not show it") == (2 if blind == "service" else 1)


def test_no_search_finds_it(region: Region, key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(region, key, 12)
    cast.consumer(region, "acme", bound_to=key)
    blind_to(monkeypatch, "service.view")
    assert "No holder is named like “chat-07”." in text(get(REFERENCES + "?q=chat-07"))
    assert "acme" in text(get(REFERENCES + "?q=acme"))


def test_what_is_not_served_is_told_to_those_who_may_know(region: Region, key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    acme = cast.consumer(region, "acme", bound_to=key)
    Problem.rewrite(region.pk, [("consumer", acme.pk, "credentials[0]", "charset")])
    assert "acme is not served" in text(get("/local/"))
    blind_to(monkeypatch, "consumer.view")
    assert "acme is not served" not in text(get("/local/"))


def test_what_tokens_are_signed_with_has_the_consumer_s_page(region: Region) -> None:
    acme = cast.consumer(region, "acme")
    key = Reference.objects.get(holder_id=acme.pk, holder_kind="consumer").key
    Reference.objects.filter(key=key).update(path="jwks")
    Problem.rewrite(region.pk, [("consumer", acme.pk, "jwks", "unreadable")])
    assert 'href="/local/consumers/acme/"' in markup(get("/local/"))
