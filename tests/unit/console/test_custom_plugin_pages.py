"""Custom plug-ins of a region: the list, what makes one up, new versions, and that one in use is not deleted."""

import json
import uuid

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from gateway.models import CustomPlugin, Plugin
from secrets_app.access import VIEWER
from secrets_app.models import AuditEntry, Region
from tests import cast
from tests.unit.console.asking import get, markup, post, text
from tests.unit.console.hostile import HOSTILE

LIST, NEW = "/local/plugins/", "/local/plugins/new/"


@pytest.fixture
def stamp(region: Region) -> CustomPlugin:
    return cast.custom_plugin(region, "stamp", description="Stamps what goes by")


def given(**changes: str) -> dict[str, str]:
    version = {"description": "Signs", "phase": "default", "priority": "10", "source": cast.SCRIPT, "schema": cast.SCHEMA}
    return {"name": "signer", "once": str(uuid.uuid4())} | version | changes


def of(plugin: CustomPlugin, **changes: str) -> dict[str, str]:
    return given(**({"lock_version": str(plugin.lock_version)} | changes))


def test_the_list_says_what_there_is_and_where_it_is_installed(region: Region, stamp: CustomPlugin) -> None:
    cast.plugin(cast.instance(region), "stamp")
    cast.custom_plugin(region, "other")
    said = text(get(LIST, "vera"))
    assert "stamp Stamps what goes by Default Priority 10 v1 1 instance" in said
    assert "other Default Priority 10 v1 Nowhere yet" in said
    assert "other" not in text(get(LIST + "?q=goes", part="custom-plugin-list"))
    assert "No plug-in matches" in text(get(LIST + "?q=nosuch"))


def test_an_empty_list_offers_the_first_one_to_who_may_make_it(region: Region) -> None:
    assert "Create the first custom plug-in" in text(get(LIST, "olive"))
    assert "No custom plug-ins yet Needs Operator" in text(get(LIST, "vera"))


def test_the_list_asks_as_much_for_many_as_for_one(region: Region) -> None:
    cast.custom_plugin(region)
    alone = asked(LIST)
    for _ in range(12):
        cast.plugin(cast.instance(region), cast.custom_plugin(region).name)
    assert asked(LIST) == alone


def asked(path: str) -> int:
    client = cast.client("olive")
    client.get(path)
    with CaptureQueriesContext(connection) as queries:
        client.get(path)
    return len(queries)


def test_one_is_created_with_line_ends_as_they_are_stored(region: Region) -> None:
    assert "envoy_on_request" in text(get(NEW, "olive"))  # a start
    answer = post(NEW, given(source=cast.SCRIPT.replace("\n", "\r\n")), "olive")
    assert answer["Location"] == "/local/plugins/signer/"
    plugin = CustomPlugin.objects.get()
    assert (plugin.source, plugin.phase, plugin.priority, plugin.created_by) == (cast.SCRIPT, "default", 10, "olive")
    entry = AuditEntry.objects.latest("seq")
    assert (entry.action, entry.target) == ("custom_plugin.create", "signer")
    assert "handle" not in json.dumps(entry.facts)


def test_the_same_post_twice_makes_one(region: Region) -> None:
    body = given()
    post(NEW, body)
    post(NEW, body)
    assert CustomPlugin.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "", "Enter a name."),
        ("name", "Stamp It", "Use 1 to 63 lower-case letters"),
        ("name", "key-auth", "This name is taken"),
        ("name", "new", "address of the console"),
        ("description", "x" * 501, "500"),
        ("source", "  ", "Enter the script."),
        ("source", "x" * 66_000, "longer than 64 KiB"),
        ("source", "-- \0", "NUL"),
        ("source", "local k = '$ref{x}'", "would be taken literally"),
        ("schema", "{", "This is not JSON"),
        ("schema", "[" * 9000, "This is not JSON"),
        ("schema", "9" * 5000, "This is not JSON"),
        ("schema", '{"type": "object", "description": "\\ud800"}', "This is not JSON"),
        ("schema", '{"type": "object", "properties": {"a": {"type": "object", "properties": {"\\udfff": {}}}}}', "This is not JSON"),
        ("schema", '{"type": "string"}', "must be “object”"),
        ("schema", '{"type": "object", "properties": {"a": {"pattern": "(a+)+"}}}', "“pattern”, which is not understood"),
        ("schema", '{"type": "object", "properties": {"a": {"default": ' + "[" * 500 + "]" * 500 + "}}}", "value that it cannot have"),
        ("schema", '{"type": "object", "properties": {"a": {"type": "integer", "x-secret": true}}}', "must be of type “string”"),
        ("schema", '{"$ref": "file:///etc/passwd"}', "“$ref”, which is not understood"),
        ("phase", "afterwards", "Choose one of those listed."),
        ("priority", "", "whole number from 0 to 1000"),
        ("priority", "9" * 5000, "whole number from 0 to 1000"),
        ("priority", "1001", "whole number from 0 to 1000"),
    ],
)
def test_what_it_cannot_be_is_told_at_its_field(region: Region, field: str, value: str, said: str) -> None:
    answer = post(NEW, given(**{field: value}), "olive", status=422)
    assert said in text(answer)
    assert 'aria-invalid="true"' in markup(answer)
    assert not CustomPlugin.objects.exists()


@pytest.mark.parametrize("field", ["name", "description", "phase", "priority", "source", "schema", "once", "lock_version"])
def test_nothing_that_is_typed_breaks_a_form_or_a_page(region: Region, stamp: CustomPlugin, field: str) -> None:
    client = cast.client("alice")
    for value in HOSTILE:
        for path in (NEW, "/local/plugins/stamp/edit/"):
            assert client.post(path, of(stamp, **{field: value})).status_code < 500, (path, value[:40])
    for plugin in CustomPlugin.objects.all():
        assert client.get(f"/local/plugins/{plugin.name}/").status_code == 200
        assert client.get(f"/local/plugins/{plugin.name}/edit/").status_code == 200


def test_the_page_shows_script_schema_and_fields_and_who_uses_it(region: Region, stamp: CustomPlugin) -> None:
    edge = cast.instance(region, "edge")
    cast.key(region, "signing")
    cast.rule(cast.plugin(edge, "stamp"), "token: $ref{signing}\n")
    said = text(get("/local/plugins/stamp/", "vera"))
    assert "function envoy_on_request(handle)" in said
    assert "token text required takes $ref{}" in said
    assert "edge 1 rule, 1 enabled" in said
    assert f"/local/instances/{edge.ref}/plugins/stamp/" in markup(get("/local/plugins/stamp/"))
    assert "/local/plugins/stamp/" in markup(get(f"/local/instances/{edge.ref}/plugins/stamp/"))
    assert "New version Needs Operator" in text(get("/local/plugins/stamp/", "vera"))


def test_a_script_and_a_description_are_shown_as_text(region: Region) -> None:
    hostile = "--</code><script>alert(1)</script>\n"
    cast.custom_plugin(region, "odd", source=hostile, description="<b>bold</b>")
    shown = get("/local/plugins/odd/").content.decode()
    assert "<script>alert" not in shown
    assert "<b>bold" not in shown


def test_a_new_version_takes_the_old_ones_place(region: Region, stamp: CustomPlugin) -> None:
    cast.plugin(cast.instance(region), "stamp")
    assert "It takes the place of v1 on 1 instance at once." in text(get("/local/plugins/stamp/edit/", "olive"))
    answer = post("/local/plugins/stamp/edit/", of(stamp, source="-- nothing\n"), "olive")
    assert answer["Location"] == "/local/plugins/stamp/"
    stamp.refresh_from_db()
    assert (stamp.number, stamp.source, stamp.description) == (2, "-- nothing\n", "Signs")
    assert AuditEntry.objects.latest("seq").facts["changed"] == ["description", "source"]


def test_a_stale_version_is_shown_beside_what_is_stored_now(stamp: CustomPlugin) -> None:
    body = of(stamp, source="-- mine\n")
    stamp.edit(description="", source="-- theirs\n", schema=cast.SCHEMA, phase="default", priority=10, lock_version=1, by=cast.SETUP)
    answer = post("/local/plugins/stamp/edit/", body, status=409)
    assert "Removed: -- theirs" in text(answer)
    assert "Added: -- mine" in text(answer)
    assert CustomPlugin.objects.get().source == "-- theirs\n"
    post("/local/plugins/stamp/edit/", body | {"lock_version": "2", "once": str(uuid.uuid4())})
    assert CustomPlugin.objects.get().source == "-- mine\n"


def test_a_schema_that_a_rule_would_not_fit_is_refused(region: Region, stamp: CustomPlugin) -> None:
    cast.key(region, "signing")
    cast.rule(cast.plugin(cast.instance(region, "edge"), "stamp"), "token: $ref{signing}\n")
    answer = post("/local/plugins/stamp/edit/", of(stamp, schema='{"type": "object"}'), status=422)
    assert "The rule stamp of edge would not fit: Line 1" in text(answer)


def test_one_in_use_says_where_and_is_not_deleted(region: Region, stamp: CustomPlugin) -> None:
    edge = cast.instance(region, "edge")
    cast.plugin(edge, "stamp")
    said = get("/local/plugins/stamp/delete/", "olive", part="panel")
    assert "Uninstall it on each of these instances first" in text(said)
    assert "edge" in text(said)
    assert 'name="confirm"' not in markup(said)
    post("/local/plugins/stamp/delete/", {"confirm": "stamp"}, "olive", status=409)
    Plugin.objects.get().uninstall(by=cast.SETUP)
    post("/local/plugins/stamp/delete/", {"confirm": "stam"}, "olive", status=422)
    assert post("/local/plugins/stamp/delete/", {"confirm": "stamp"}, "olive")["Location"] == LIST
    assert not CustomPlugin.objects.exists()


def test_names_are_looked_for_in_their_own_region(region: Region, stamp: CustomPlugin) -> None:
    Region.create("abroad", "Abroad", by=cast.SETUP)
    for page in ("", "edit/", "delete/"):
        get(f"/abroad/plugins/stamp/{page}", status=404)
    for who in ("vera", "kim"):
        for path in (NEW, "/local/plugins/stamp/edit/", "/local/plugins/stamp/delete/"):
            get(path, who, status=403)


def test_whose_role_is_for_one_instance_reads_of_no_other(region: Region) -> None:
    """Neither where a plug-in is in use nor how a consumer is called there."""
    mine, other = cast.instance(region, "Mine"), cast.instance(region, "Other")
    cast.custom_plugin(region, "stamp")
    cast.plugin(other, "stamp")
    cast.consumer(region, "acme")
    cast.service(other, "hidden-service").authorize(["acme"], by=cast.SETUP)
    client = Client()
    client.force_login(cast.somebody("ivy", VIEWER, at=mine.scope))
    plugin, consumer = (client.get(f"/local/{page}/").content.decode() for page in ("plugins/stamp", "consumers/acme"))
    assert "On 1 instance that your roles do not show." in plugin
    for page in (plugin, consumer):
        assert "Other" not in page
        assert other.ref not in page
        assert "hidden-service" not in page
