"""Instances: the list, a new one, its pages and nodes, and its end."""

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from gateway.models import ControlPlane, Instance, Node, Publication
from secrets_app.models import AuditEntry, AuditHead, Region
from tests import cast
from tests.unit.console.asking import get, markup, post, text
from tests.unit.console.hostile import HOSTILE

LIST = "/local/instances/"
NEW = "/local/instances/new/"


@pytest.fixture
def east(region: Region) -> Instance:
    return cast.instance(region, "east")


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("olive", 200), ("kim", 200), ("vera", 200), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_see_instances(east: Instance, who: str, status: int) -> None:
    for path in (LIST, f"{LIST}{east.ref}/", f"{LIST}{east.ref}/nodes/", f"{LIST}{east.ref}/services/"):
        get(path, who, status=status)


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 303), ("olive", 303), ("kim", 403), ("vera", 403), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_create_and_delete_instances(east: Instance, who: str, status: int) -> None:
    post(NEW, {"name": "west", "version": "2.1.25"}, who, status=status)
    post(f"{LIST}{east.ref}/delete/", {"confirm": "east"}, who, status=status)
    assert {one.name for one in Instance.objects.all()} == ({"west"} if status == 303 else {"east"})


def test_the_list_says_version_services_and_nodes(region: Region, east: Instance) -> None:
    old = cast.instance(region, "old", version="2.1.10")
    cast.service(east)
    node, _token = Node.join(east, "local", "127.0.0.1", 8080, by=cast.SETUP)
    seq = AuditHead.objects.get().seq
    Publication.objects.create(region=region, seq=seq)
    Node.objects.filter(pk=node.pk).update(in_effect_seq=seq)
    ControlPlane.beat()
    said = text(get(LIST))
    assert f"{east.ref} east 2.1.25 1 service 1 node" in said
    assert f"{old.ref} old 2.1.10 2.1.11+ needed for references 0 services No gateway yet" in said
    assert said.count("2.1.11+") == 1


def test_the_list_takes_the_same_queries_whatever_its_length(region: Region, east: Instance) -> None:
    client = cast.client("alice")
    client.get(LIST)
    with CaptureQueriesContext(connection) as few:
        client.get(LIST)
    for _ in range(6):
        cast.service(cast.instance(region))
    with CaptureQueriesContext(connection) as many:
        client.get(LIST)
    assert len(many) == len(few)


def test_an_empty_region_offers_the_first_instance(region: Region) -> None:
    assert "Create the first instance" in text(get(LIST))
    assert "No instances yet Needs Operator" in text(get(LIST, "vera"))


def test_creating_an_instance(region: Region) -> None:
    data = {"name": "prod east", "version": "2.1.10", "once": uuid.uuid4()}
    answer = post(NEW, data, "olive")
    instance = Instance.objects.get()
    assert answer.headers["Location"] == f"{LIST}{instance.ref}/"
    assert (instance.name, instance.version) == ("prod east", "2.1.10")
    assert AuditEntry.objects.latest("seq").action == "instance.create"
    assert post(NEW, data, "olive").headers["Location"] == LIST  # sent twice, done once
    assert Instance.objects.count() == 1
    assert f'"path": "{LIST}' in post(NEW, {"name": "west", "version": "2.1.25"}, part="sheet", status=204).headers["HX-Location"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"name": "", "version": "2.1.25"}, "Enter a name for the instance"),
        ({"name": "east", "version": "2.1.25"}, "exists in the region"),
        ({"name": " padded ", "version": "2.1.25"}, "without a space at either end"),
        ({"name": "west", "version": "9.9.9"}, "Choose one of those listed"),
    ],
)
def test_a_wrong_instance_is_told_at_its_field(east: Instance, data: dict[str, str], said: str) -> None:
    answer = post(NEW, data, status=422)
    assert said in text(answer)
    assert f'value="{data["name"]}"' in markup(answer) or not data["name"]
    assert Instance.objects.count() == 1


def test_an_old_instance_says_why_references_do_not_work_there(region: Region) -> None:
    old = cast.instance(region, "old", version="2.1.10")
    assert "Services of this instance cannot refer to keys." in text(get(f"{LIST}{old.ref}/"))


@pytest.mark.parametrize("page", ["", "nodes/"])
def test_an_instance_without_a_node_shows_the_line_that_joins_one(east: Instance, page: str) -> None:
    body = get(f"{LIST}{east.ref}/{page}").content.decode()
    assert f'data-copy="uv run manage.py run_gateway --instance {east.ref} --name node-1 --port 8080' in body


def test_the_line_for_one_more_node_names_what_is_free(east: Instance) -> None:
    Node.join(east, "node-1", "127.0.0.1", 8080, by=cast.SETUP)
    assert f"--instance {east.ref} --name node-2 --port 8081" in text(get(f"{LIST}{east.ref}/nodes/"))


@pytest.mark.parametrize(
    ("fields", "up", "said"),
    [
        ({"in_effect_seq": 7, "connected": True}, True, "Up to date Change 7 Connected"),
        ({"in_effect_seq": 5, "connected": True}, True, "On its way Change 5 of 7 Connected"),
        ({"in_effect_seq": 5, "connected": False}, True, "Behind: not connected Change 5 of 7 Not connected"),
        ({"in_effect_seq": 5, "connected": True}, False, "Behind: no control plane Change 5 of 7 Not connected"),
        (
            {"in_effect_seq": 5, "connected": True, "refused_seq": 6, "refused_reason": "<unknown cluster>"},
            True,
            "Refused a change Change 5 of 7 <unknown cluster> Connected",
        ),
    ],
)
def test_a_node_that_is_behind_says_why(east: Instance, fields: dict[str, Any], up: bool, said: str) -> None:
    node, _token = Node.join(east, "node-1", "127.0.0.1", 8080, by=cast.SETUP)
    Node.objects.filter(pk=node.pk).update(envoy_version="1.40.0", **fields)
    Publication.objects.create(region=east.region, seq=7)
    if up:
        ControlPlane.beat()
    assert f"node-1 Envoy 1.40.0 127.0.0.1:8080 {said}" in text(get(f"{LIST}{east.ref}/nodes/"))


def test_a_change_that_was_not_published_is_said(east: Instance) -> None:
    Publication.objects.create(region=east.region, seq=7, refused_seq=9, refused_reason="a name used by nothing")
    assert "The last change was not published. a name used by nothing" in text(get(f"{LIST}{east.ref}/nodes/"))


def test_an_instance_with_services_is_not_deleted(east: Instance) -> None:
    service = cast.service(east)
    question = get(f"{LIST}{east.ref}/delete/")
    assert "It still has 1 service." in text(question)
    assert '<button class="btn danger-primary"' not in markup(question)
    assert "This instance has 1 service." in text(post(f"{LIST}{east.ref}/delete/", {"confirm": "east"}, status=409))
    assert AuditEntry.objects.latest("seq").facts == {"reason": "conflict"}
    service.delete(by=cast.SETUP)
    post(f"{LIST}{east.ref}/delete/", {"confirm": "East"}, status=422)
    assert post(f"{LIST}{east.ref}/delete/", {"confirm": "east"}).headers["Location"] == LIST
    post(f"{LIST}{east.ref}/delete/", {"confirm": "east"}, status=404)


def test_mcp_services_are_counted_where_they_are_listed(region: Region, east: Instance) -> None:
    cast.mcp(east, "tools")
    assert "0 services 1 MCP service" in text(get(LIST))
    for page in (LIST, f"{LIST}{east.ref}/", f"{LIST}{east.ref}/delete/"):
        assert f'href="{LIST}{east.ref}/mcp/"' in markup(get(page))
    question = text(get(f"{LIST}{east.ref}/delete/"))
    assert "It still has 1 service." in question
    assert "Show its MCP services" in question
    assert "Show its services" not in question


def test_an_instance_of_another_region_reads_like_one_that_never_was(region: Region) -> None:
    foreign = cast.instance(Region.create("other", "Other", by=cast.SETUP))
    for page in ("", "nodes/", "services/", "services/new/", "delete/"):
        there, nowhere = get(f"{LIST}{foreign.ref}/{page}", status=404), get(f"{LIST}gw-0000000000/{page}", status=404)
        assert text(there).replace(foreign.ref, "") == text(nowhere).replace("gw-0000000000", "")


@pytest.mark.parametrize("field", ["name", "version", "once"])
def test_nothing_typed_anywhere_breaks_the_page(region: Region, field: str) -> None:
    client = cast.client("olive")
    for typed in HOSTILE:
        answer = client.post(NEW, {"name": "east", "version": "2.1.25", field: typed})
        assert answer.status_code in (303, 422), (field, typed[:40])
        Instance.objects.all().delete()


def test_an_old_instance_offers_its_upgrade_and_the_newest_says_that_it_is(region: Region, east: Instance) -> None:
    old = cast.instance(region, "old", version="2.1.10")
    upgrade = f"{LIST}{old.ref}/upgrade/"
    assert f'href="{upgrade}"' in get(f"{LIST}{old.ref}/").content.decode()
    assert "From 2.1.11 on its services can refer to keys" in text(get(upgrade))
    post(upgrade, {"version": "2.1.10"}, "olive", status=422)
    answer = post(upgrade, {"version": "2.1.25"}, "olive", status=303)
    assert answer["Location"] == f"{LIST}{old.ref}/"
    assert Instance.objects.get(pk=old.pk).version == "2.1.25"
    assert f"{LIST}{old.ref}/upgrade/" not in get(f"{LIST}{old.ref}/").content.decode()
    assert "2.1.25 is the newest version there is." in text(get(f"{LIST}{east.ref}/upgrade/"))
