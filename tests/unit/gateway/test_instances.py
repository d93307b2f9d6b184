"""Instances: made, found, gated by version, deleted. Each test asserts the state and the one audit entry."""

import re

import pytest

from gateway.models import Instance, Node, Service
from gateway.versions import COMPATIBILITY_VERSIONS, NEWEST, supports_references
from secrets_app.errors import AlreadyDone, Conflict, Invalid, NotAllowed, NotFound
from secrets_app.models import AuditEntry, Key, Region
from tests import cast


def last_entry() -> AuditEntry:
    return AuditEntry.objects.latest("seq")


def test_a_new_instance_has_an_id_for_people_and_the_newest_version(region: Region) -> None:
    instance = Instance.create(region, "prod east", by=cast.actor("olive"))
    assert re.fullmatch(r"gw-[a-z0-9]{10}", instance.ref)
    assert (instance.version, instance.supports_references) == (NEWEST, True)
    entry = last_entry()
    assert (entry.action, entry.target, entry.actor, entry.facts) == ("instance.create", "prod east", "olive", {"version": NEWEST})
    assert instance.changed_seq == entry.seq
    assert Instance.visible_to(cast.actor("vera"), region).find(instance.ref) == instance


@pytest.mark.parametrize("name", ["", " ", " a", "a ", "a\nb", "a\x00", "x" * 65, "\u202eabc", "\u200b"])
def test_a_wrong_name_is_refused_by_field(region: Region, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        Instance.create(region, name, by=cast.SETUP)
    assert list(refused.value.errors) == ["name"]
    assert not Instance.objects.exists()


def test_all_that_is_wrong_is_told_at_once(region: Region) -> None:
    with pytest.raises(Invalid) as refused:
        Instance.create(region, "", "2.1.9", by=cast.SETUP)
    assert set(refused.value.errors) == {"name", "version"}


def test_a_name_is_taken_once_in_a_region(region: Region) -> None:
    cast.instance(region, "east")
    with pytest.raises(Invalid, match="exists"):
        cast.instance(region, "east")
    assert cast.instance(Region.create("other", "Other", by=cast.SETUP), "east").pk


def test_the_same_operation_twice_makes_one_instance(region: Region) -> None:
    Instance.create(region, "east", by=cast.SETUP, once=region.pk)
    with pytest.raises(AlreadyDone):
        Instance.create(region, "east", by=cast.SETUP, once=region.pk)
    assert Instance.objects.count() == 1


@pytest.mark.parametrize("who", ["kim", "vera", "audrey", "mallory"])
def test_only_operators_and_owners_create_instances(region: Region, who: str) -> None:
    with pytest.raises(NotAllowed):
        Instance.create(region, "mine", by=cast.actor(who))
    assert (last_entry().action, last_entry().outcome) == ("instance.create", "refused")


def test_an_instance_of_another_region_is_not_found(region: Region) -> None:
    instance = cast.instance(Region.create("other", "Other", by=cast.SETUP))
    for who, where in (("alice", region), ("mallory", instance.region), ("audrey", instance.region)):
        with pytest.raises(NotFound):
            Instance.visible_to(cast.actor(who), where).find(instance.ref)


def test_references_begin_with_2_1_11() -> None:
    assert [version for version in COMPATIBILITY_VERSIONS if not supports_references(version)] == ["2.1.10"]
    assert supports_references("2.1.11")
    assert not supports_references("2.1.9")  # compared as numbers: as text 9 is more than 11
    assert supports_references("2.2.0")


def test_an_old_instance_takes_values_of_its_own_but_no_references(region: Region) -> None:
    old = cast.instance(region, version="2.1.10")
    with pytest.raises(Invalid, match=r"2\.1\.11 or later") as refused:
        cast.service(old, keys=[cast.key(region)])
    assert list(refused.value.errors) == ["generation"]
    assert cast.service(old).pk


def test_an_instance_with_services_is_not_deleted(region: Region) -> None:
    instance = cast.instance(region)
    service = cast.service(instance)
    with pytest.raises(Conflict, match="1 service"):
        instance.delete(by=cast.actor("olive"))
    assert (last_entry().outcome, last_entry().facts) == ("refused", {"reason": "conflict"})
    service.delete(by=cast.SETUP)
    instance.delete(by=cast.actor("olive"))
    assert not Instance.objects.exists()
    assert (last_entry().action, last_entry().facts) == ("instance.delete", {"services": 0, "nodes": 0, "grants": 0})


def test_deleting_an_instance_lets_its_nodes_go(region: Region) -> None:
    instance = cast.instance(region)
    _node, token = Node.join(instance, "local", "127.0.0.1", 8080, by=cast.SETUP)
    instance.delete(by=cast.SETUP)
    assert Node.by_token(token) is None
    assert last_entry().facts["nodes"] == 1


def test_an_instance_deleted_meanwhile_is_not_found(region: Region) -> None:
    instance = cast.instance(region)
    twin = Instance.objects.get(pk=instance.pk)
    instance.delete(by=cast.SETUP)
    with pytest.raises(NotFound):
        twin.delete(by=cast.SETUP)
    with pytest.raises(NotFound):
        cast.service(twin)
    assert not Service.objects.exists()


def test_an_upgrade_lets_services_refer_to_keys_and_leads_no_way_back(region: Region) -> None:
    instance = cast.instance(region, "east", version="2.1.10")
    with pytest.raises(Invalid, match=r"2\.1\.11 or later"):
        cast.service(instance, keys=[cast.key(region, "provider")])
    instance.upgrade("2.1.11", by=cast.actor("olive"))
    entry = last_entry()
    told = {"version": "2.1.11", "previous": "2.1.10", "diff": {"version": ["2.1.10", "2.1.11"]}}
    assert (entry.action, entry.target, entry.facts) == ("instance.upgrade", "east", told)
    assert Instance.objects.get(pk=instance.pk).changed_seq == entry.seq
    cast.service(instance, keys=[Key.objects.get(name="provider")])
    for version in ("2.1.11", "2.1.10", "9.9.9", ""):
        with pytest.raises(Invalid) as refused:
            instance.upgrade(version, by=cast.SETUP)
        assert list(refused.value.errors) == ["version"]
    assert Instance.objects.get(pk=instance.pk).version == "2.1.11"


@pytest.mark.parametrize("who", ["kim", "vera", "audrey", "mallory"])
def test_only_operators_and_owners_upgrade_instances(region: Region, who: str) -> None:
    instance = cast.instance(region, "east", version="2.1.10")
    with pytest.raises(NotAllowed):
        instance.upgrade(NEWEST, by=cast.actor(who))
    assert Instance.objects.get(pk=instance.pk).version == "2.1.10"
