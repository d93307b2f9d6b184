"""What an edit changed, before and after: of what its action shows, and of values no more than that they changed."""

import re
from html import unescape

import pytest
from django.test import Client

from gateway.models import NewKeys
from gateway.sources import BEARER, Source
from secrets_app.access import ACTIONS
from secrets_app.models import AuditEntry, Region, RoleGrant, deed
from tests import cast


def last_diff() -> object:
    return AuditEntry.objects.latest("seq").facts.get("diff")


def test_a_property_that_the_actions_row_does_not_know_is_refused(region: Region) -> None:
    def telling() -> None:
        with deed(cast.SETUP, "key.edit", key) as entry:
            entry.compare({"description": "", "value": "a"}, {"description": "", "value": "b"})

    key = cast.key(region)
    before = AuditEntry.objects.count()
    with pytest.raises(ValueError, match="may not compare"):
        telling()
    assert AuditEntry.objects.count() == before


def test_no_action_shows_what_could_be_a_value() -> None:
    for name, action in ACTIONS.items():
        assert not action.shows & action.hides, name
        assert not action.shows & {"value", "source_text", "schema", "keys", "tokens", "secret", "token", "url", "text", "password"}, name


def test_each_edit_states_before_and_after(region: Region) -> None:
    key = cast.key(region, description="old")
    key.edit("new", lock_version=key.lock_version, by=cast.SETUP)
    assert last_diff() == {"description": ["old", "new"]}

    consumer = cast.consumer(region, description="calls")
    consumer.edit(description="calls", sources=(BEARER, Source("header", "x-api-key")), lock_version=consumer.lock_version, by=cast.SETUP)
    assert last_diff() == {"source": ["Authorization: Bearer", "Authorization: Bearer or header x-api-key"]}

    instance = cast.instance(region, version="2.1.10")
    instance.upgrade("2.1.25", by=cast.SETUP)
    assert last_diff() == {"version": ["2.1.10", "2.1.25"]}

    mcp = cast.mcp(instance, address="https://tools.example.com", path="/mcp")
    mcp.edit(address="https://tools.example.com", transport="streamable-http", path="/mcp2", lock_version=1, by=cast.SETUP)
    assert last_diff() == {"path": ["/mcp", "/mcp2"]}


def test_of_a_value_no_more_is_told_than_that_it_changed(region: Region) -> None:
    instance = cast.instance(region)
    service = cast.service(instance, address="https://api.example.com/v1")
    service.edit(
        supplier="custom", protocol="OpenAI/v1", address="https://api.example.com/v2", lock_version=service.lock_version, by=cast.SETUP,
        keys=NewKeys("custom", [cast.value("a-value-that-must-not-show")]),
    )  # fmt: skip
    assert last_diff() == {"address": ["https://api.example.com/v1", "https://api.example.com/v2"], "keys": "changed"}

    plugin = cast.custom_plugin(region, description="stamps")
    plugin.edit(
        description="stamps", source=cast.SCRIPT + "-- a-value-that-must-not-show\n", schema=cast.SCHEMA, phase="default", priority=11,
        lock_version=plugin.lock_version, by=cast.SETUP,
    )  # fmt: skip
    assert last_diff() == {"priority": [10, 11], "source": "changed"}
    assert "a-value-that-must-not-show" not in str(list(AuditEntry.objects.values()))


def test_what_did_not_change_is_not_told(region: Region) -> None:
    key = cast.key(region, description="same")
    key.edit("same", lock_version=key.lock_version, by=cast.SETUP)
    assert last_diff() is None


def detail(client: Client, seq: int, status: int = 200) -> str:
    answer = client.get(f"/audit/{seq}/")
    assert answer.status_code == status
    return re.sub(r"\s+", " ", unescape(answer.content.decode()))


def test_the_page_shows_before_and_after_and_what_belongs_to_the_entry(region: Region) -> None:
    key = cast.key(region, "openai_prod", description="<b>old</b>")
    client = cast.client("kim")
    client.post("/local/keys/openai_prod/edit/", {"description": "new", "lock_version": key.lock_version})
    entry = AuditEntry.objects.latest("seq")
    assert re.fullmatch(r"[0-9a-f]{16}", entry.session)
    assert client.session.session_key not in str(list(AuditEntry.objects.values()))
    page = detail(cast.client("audrey"), entry.seq)
    assert '<td class="break"><b>old</b></td><td class="break">new</td>' in page
    assert "Of the same object" in page
    assert f"?session={entry.session}" in page
    assert f"?request={entry.request_id}" in page
    assert b"&lt;b&gt;old" in cast.client("audrey").get(f"/audit/{entry.seq}/").content


def test_an_auditor_of_a_region_sees_its_entries_alone(region: Region) -> None:
    other = Region.create("eu", "Europe", by=cast.SETUP)
    here, there = cast.key(region, "here"), cast.key(other, "there")
    seen = dict(AuditEntry.objects.filter(action="key.create").values_list("target", "seq"))
    mallory = cast.person("mallory")
    RoleGrant.objects.create(user=mallory, role="auditor", region_id=other.pk)
    client = cast.client("mallory")
    page = client.get("/audit/").content.decode()
    assert "there</b>" in page
    assert "here</b>" not in page.replace("there</b>", "")
    assert "set up the deployment" not in page, "what is of no region is for those who may read the log everywhere"
    detail(client, seen["there"])
    detail(client, seen["here"], 404)
    for query in ("?region=local", f"?about=key:{here.pk}", "?object=here", "?action=deployment.create", "?actor=tests&object=here"):
        assert "here</b>" not in client.get(f"/audit/{query}").content.decode().replace("there</b>", ""), query
    assert there
