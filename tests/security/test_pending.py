"""Whoever owes a second factor reaches the pages that set it up and no other, whatever their roles."""

import pytest
from django.conf import settings
from django.db import transaction

from console import factors
from console.middleware import allows
from secrets_app.errors import Conflict
from secrets_app.models import AuditEntry, Deployment, Region
from tests import cast
from tests.security.policy import ROWS, WRITING
from tests.security.world import World, fingerprint
from tests.unit.test_house import addresses

SET_UP = "/account/second-factor/"
OPEN = {name for name, row in ROWS.items() if row.sets_up}
ALL_ROLES = ["auditor", "key_manager", "operator", "owner", "viewer"]


@pytest.fixture
def world(db: None) -> World:
    world = World.make()
    Deployment.here().edit_second_factor(ALL_ROLES, by=cast.SETUP)
    return world


@pytest.mark.parametrize("name", ROWS)
def test_every_other_address_leads_to_the_set_up(world: World, name: str) -> None:
    row, view = ROWS[name], addresses()[name][1]
    url = row.url(name, world)
    if view.permission is None or not row.reads or hasattr(view, "api"):  # there no cookie is read: whoever has no token is nobody
        return
    for who in ("alice", "kim", "olive", "vera", "audrey"):
        answer = cast.client(who).get(url)
        if name in OPEN:
            assert answer.status_code in (200, 303), f"{who} {url}"
        else:
            assert (answer.status_code, answer.headers.get("Location")) == (302, SET_UP), f"{who} {url}"
    part = cast.client("alice").get(url, headers={"HX-Request": "true", "HX-Target": "panel"})
    if name not in OPEN:
        assert (part.status_code, part["HX-Redirect"]) == (401, SET_UP)


@pytest.mark.parametrize("name", [name for name, row in WRITING.items() if row.who != "anybody"])
def test_and_changes_nothing(world: World, name: str) -> None:
    row = WRITING[name]
    assert row.body
    url, body, before = row.url(name, world), row.body(world), fingerprint()
    for who in ("alice", "kim", "olive"):
        point = transaction.savepoint()
        assert cast.client(who).post(url, body)["Location"] == SET_UP
        transaction.savepoint_rollback(point)
    assert fingerprint() == before


def test_the_same_pages_are_open_as_the_specification_says() -> None:
    assert {name for name, (_pattern, view) in addresses().items() if getattr(view, "sets_up", False)} == OPEN
    assert not hasattr(allows("key.view")(lambda request: None), "sets_up")


def test_rights_are_withheld_and_not_only_pages(world: World) -> None:
    alice = cast.person("alice")
    assert not alice.as_actor().held
    assert alice.owes_second_factor
    cast.app_of("alice")
    assert cast.person("alice").as_actor().held


def test_whose_role_does_not_ask_for_one_goes_on(region: Region) -> None:
    Deployment.here().edit_second_factor(["owner"], by=cast.SETUP)
    assert cast.client("kim").get("/local/keys/").status_code == 200
    assert cast.client("alice").get("/local/keys/")["Location"] == SET_UP
    assert cast.client("mallory").get("/account/").status_code == 200


def test_it_counts_from_the_next_request_on_and_until_there_is_one(region: Region) -> None:
    client = cast.client("kim")
    assert client.get("/local/keys/").status_code == 200
    Deployment.here().edit_second_factor(["key_manager"], by=cast.SETUP)
    assert client.get("/local/keys/")["Location"] == SET_UP
    assert "Set up a second factor" in client.get(SET_UP).content.decode()
    cast.app_of("kim")
    assert client.get("/local/keys/").status_code == 200
    assert client.get(SET_UP)["Location"] == "/account/"


def test_the_set_up_itself_needs_a_fresh_password(region: Region) -> None:
    Deployment.here().edit_second_factor(["key_manager"], by=cast.SETUP)
    client = cast.passed(cast.client("kim"), 600)
    assert "Confirm that it is you" in client.get("/account/authenticator-app/").content.decode()
    assert client.post("/account/confirm/", {"password": cast.PASSWORD, "next": "/account/authenticator-app/"}).status_code == 303
    assert "Scan this with the app" in client.get("/account/authenticator-app/").content.decode()


def test_the_last_one_stays_while_the_role_asks_for_it(region: Region) -> None:
    cast.app_of("kim")
    Deployment.here().edit_second_factor(["key_manager"], by=cast.SETUP)
    with pytest.raises(Conflict, match="Add another one first"):
        factors.remove(factors.of(cast.person("kim")).get(), by=cast.actor("kim"))
    assert factors.of(cast.person("kim")).exists()
    assert cast.person("kim").has_second_factor


def test_by_default_the_deciding_roles_need_one_over_tls_and_nobody_at_home(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cast.client("alice").get("/local/").status_code == 200
    monkeypatch.setattr(settings, "SECURE", True)
    for who, needs in (("alice", True), ("kim", True), ("olive", False), ("vera", False), ("audrey", False)):
        assert (cast.client(who).get("/local/").status_code == 302) is needs, who


def test_settings_say_who_needs_one_and_the_choice_is_audited(region: Region) -> None:
    cast.person("kim")
    client = cast.client("alice")
    page = client.get("/settings/").content.decode()
    assert "The default of a console for this machine alone." in page
    assert client.post("/settings/second-factor/", {"roles": ["key_manager", "auditor"]})["Location"] == "/settings/"
    entry = AuditEntry.objects.latest("seq")
    assert (entry.actor, entry.action, entry.facts) == (
        "alice",
        "settings.edit_second_factor",
        {"roles": ["auditor", "key_manager"], "previous": []},
    )
    page = client.get("/settings/").content.decode()
    assert "Key manager, Auditor" in page
    assert "Chosen here." in page
    assert client.post("/settings/second-factor/", {"roles": "emperor"}).status_code == 422
    assert client.post("/settings/second-factor/", {}).status_code == 303  # nobody
    assert Deployment.here().second_factor_for == []


def test_over_tls_the_overview_tells_an_owner_where_a_password_alone_is_enough(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    told = "Owners or key managers need no second factor"
    assert told not in cast.client("alice").get("/local/").content.decode()
    Deployment.here().edit_second_factor([], by=cast.SETUP)
    monkeypatch.setattr(settings, "SECURE", True)
    assert told in cast.client("alice").get("/local/").content.decode()
    assert told not in cast.client("vera").get("/local/").content.decode()
