"""The end of a node that will not come back."""

import pytest

from gateway.models import Instance, Node
from secrets_app.errors import NotFound
from secrets_app.models import AuditEntry, AuditHead, Region
from tests import cast
from tests.unit.console.asking import get, post, text

LIST = "/local/instances/"


@pytest.fixture
def east(region: Region) -> Instance:
    return cast.instance(region, "east")


@pytest.fixture
def gone(east: Instance) -> Node:
    return Node.join(east, "node-1", "127.0.0.1", 8080, by=cast.SETUP)[0]


def test_removing_a_node(east: Instance, gone: Node) -> None:
    path = f"{LIST}{east.ref}/nodes/node-1/remove/"
    assert "It is not connected." in text(get(path))
    assert "This is not the name." in text(post(path, {"confirm": "node"}, "olive", status=422))
    assert Node.objects.filter(pk=gone.pk).exists()
    assert post(path, {"confirm": "node-1"}, "olive").headers["Location"] == f"{LIST}{east.ref}/nodes/"
    assert not Node.objects.filter(pk=gone.pk).exists()
    entry = AuditEntry.objects.latest("seq")
    assert (entry.action, entry.target, entry.facts) == ("node.remove", "node-1", {"instance": east.ref})
    get(path, status=404)


def test_a_node_that_serves_says_what_its_envoy_will_go_on_doing(east: Instance, gone: Node) -> None:
    Node.objects.update(connected=True)
    assert "goes on serving what it has now, whatever you rotate" in text(get(f"{LIST}{east.ref}/nodes/node-1/remove/"))


def test_a_node_is_removed_from_its_own_instance_only(region: Region, gone: Node) -> None:
    get(f"{LIST}{cast.instance(region).ref}/nodes/{gone.name}/remove/", status=404)


def test_a_node_that_was_removed_meanwhile_is_gone_without_an_entry(gone: Node) -> None:
    gone.remove(by=cast.SETUP)
    seq = AuditHead.objects.get().seq
    with pytest.raises(NotFound):
        Node(pk=gone.pk, instance=gone.instance, name=gone.name).remove(by=cast.SETUP)
    assert AuditHead.objects.get().seq == seq
