"""References from the other side: which keys an instance and a service use, where, and with which version in effect."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from gateway.models import Instance, Node, Problem
from secrets_app.models import Key, Region
from tests import cast
from tests.unit.console.asking import blind_to, get, markup, text


@pytest.fixture
def east(region: Region) -> Instance:
    gateway = cast.instance(region, "east")
    provider, partner = cast.key(region, "provider"), cast.key(region, "partner")
    chat = cast.service(gateway, "chat", keys=[provider])
    cast.mcp(gateway, "tools", key=provider)
    cast.service(gateway, "own")
    cast.rule(cast.plugin(gateway), cast.key_auth(partner), chat)
    cast.consumer(region, "acme", bound_to=cast.key(region, "acme_key"))
    cast.service(cast.instance(region, "west"), "far", keys=[cast.key(region, "elsewhere")])
    return gateway


def keys_of(gateway: Instance) -> str:
    return f"/local/instances/{gateway.ref}/keys/"


def service(gateway: Instance, name: str, stem: str = "services") -> str:
    return f"/local/instances/{gateway.ref}/{stem}/{name}/"


def test_an_instance_lists_the_keys_that_its_services_and_rules_use(east: Instance) -> None:
    page = text(get(keys_of(east), "vera"))
    assert "$ref{partner} v1 Plugin key-auth on chat Rule of chat › credentials[0], line 2" in page
    assert "$ref{provider} v1 AI service chat Large Model Configuration › API Key MCP service tools Backend authentication" in page
    assert "elsewhere" not in page
    assert "acme_key" not in page
    assert 'href="/local/keys/provider/"' in markup(get(keys_of(east), "vera"))
    assert f'href="{service(east, "chat")}#use-1"' in markup(get(keys_of(east), "vera"))


def test_the_overview_of_an_instance_counts_them(east: Instance) -> None:
    assert "Keys used 2 keys" in text(get(f"/local/instances/{east.ref}/", "vera"))


def test_a_service_lists_its_own_and_those_of_its_rules(east: Instance) -> None:
    page = text(get(service(east, "chat"), "vera"))
    assert "Keys used 2 $ref{partner} v1" in page
    assert "key-auth on chat Rule of chat › credentials[0], line 2" in page
    assert "Keys used 1 $ref{provider} v1" in text(get(service(east, "tools", "mcp"), "vera"))
    assert "None: no key of the region is referred to here." in text(get(service(east, "own"), "vera"))


def test_it_says_what_is_in_effect_and_what_is_wrong(region: Region, east: Instance) -> None:
    Node.join(east, "node-1", "127.0.0.1", 8089, by=cast.SETUP)
    Node.objects.update(in_effect_seq=10**6)
    assert "$ref{provider} v1 AI service chat" in text(get(keys_of(east)))
    assert "Backend authentication v1" in text(get(keys_of(east)))
    chat = east.services.get(name="chat")
    Problem.rewrite(region.pk, [("ai_service", chat.pk, "api_keys[0]", "unreadable")])
    Key.objects.get(name="partner").disable(by=cast.SETUP)
    page = text(get(keys_of(east)))
    assert "Not served The stored value cannot be opened" in page
    assert "Not served The key is disabled" in page


def test_many_holders_of_a_key_are_counted(region: Region, east: Instance) -> None:
    for _ in range(4):
        cast.service(east, keys=[Key.objects.get(name="provider")])
    page = get(keys_of(east))
    assert "5 AI services, 1 MCP service" in text(page)
    assert 'href="/local/keys/provider/references/"' in markup(page)


def test_they_are_searched_and_paged(region: Region, east: Instance) -> None:
    for number in range(51):
        cast.service(east, keys=[cast.key(region, f"key_of_many_{number:02d}")])
    assert 'rel="next"' in markup(get(keys_of(east)))
    found = text(get(keys_of(east) + "?q=many_50"))
    assert "$ref{key_of_many_50}" in found
    assert "$ref{provider}" not in found
    assert "Nothing matches" in text(get(keys_of(east) + "?q=nothing"))
    assert "<html" not in markup(get(keys_of(east), part="key-list"))


def test_the_lists_cost_the_same_however_long_they_are(region: Region, east: Instance) -> None:
    client, chat = cast.client("alice"), east.services.get(name="chat")

    def cost(path: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            assert client.get(path).status_code == 200
        return len(asked)

    cost(keys_of(east))
    before = cost(keys_of(east)), cost(service(east, "chat"))
    for number in range(10):
        cast.service(east, keys=[cast.key(region, f"more_{number}")])
    cast.rule(cast.plugin(east), cast.key_auth(*[cast.key(region) for _ in range(10)]), chat)
    assert (cost(keys_of(east)), cost(service(east, "chat"))) == before


def test_what_may_not_be_opened_is_not_told(east: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    blind_to(monkeypatch, "mcp.view")
    page = text(get(keys_of(east)))
    assert "tools" not in page
    assert "Your roles do not show it" in page
    blind_to(monkeypatch, "key.view")
    assert "No key is used here yet" in text(get(keys_of(east)))
    assert "provider" not in text(get(keys_of(east)))


def test_an_instance_without_any_says_so(region: Region) -> None:
    assert "No key is used here yet" in text(get(keys_of(cast.instance(region))))
