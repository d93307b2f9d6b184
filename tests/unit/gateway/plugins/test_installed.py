"""Plug-ins on an instance: installed, and gone with all they refer to."""

import pytest

from gateway.models import CustomPlugin, Plugin, Revision, Rule
from gateway.plugins import CATALOGUE
from secrets_app.errors import Conflict, Invalid, NotAllowed, NotFound
from secrets_app.models import AuditEntry, Key, Reference, Region
from tests import cast


def last_entry() -> AuditEntry:
    return AuditEntry.objects.latest("seq")


@pytest.mark.parametrize("name", CATALOGUE)
def test_each_official_plugin_is_installed_with_one_entry(region: Region, name: str) -> None:
    instance = cast.instance(region)
    plugin = Plugin.install(instance, name, by=cast.actor("olive"))
    assert (plugin.instance, plugin.name, plugin.custom, plugin.official) == (instance, name, None, CATALOGUE[name])
    entry = last_entry()
    assert (entry.action, entry.target_kind, entry.target, entry.facts) == (
        "plugin.install",
        "installed_plugin",
        name,
        {"instance": instance.ref},
    )


def test_a_custom_plugin_is_installed_in_its_own_region(region: Region) -> None:
    custom = cast.custom_plugin(region, "signer")
    assert cast.plugin(cast.instance(region), "signer").custom == custom
    other = Region.create("eu", "Europe", by=cast.SETUP)
    with pytest.raises(Invalid) as refused:
        Plugin.install(cast.instance(other), "signer", by=cast.SETUP)
    assert list(refused.value.errors) == ["name"]


def test_an_unknown_name_and_a_second_time_are_refused(region: Region) -> None:
    instance = cast.instance(region)
    with pytest.raises(Invalid):
        Plugin.install(instance, "hmac-auth", by=cast.SETUP)
    cast.plugin(instance, "cors")
    with pytest.raises(Conflict, match="already"):
        Plugin.install(instance, "cors", by=cast.SETUP)
    assert Plugin.objects.count() == 1


def test_uninstalling_releases_what_its_rules_refer_to(region: Region) -> None:
    instance, keys = cast.instance(region), [cast.key(region, "a"), cast.key(region, "b")]
    plugin, service = cast.plugin(instance), cast.service(instance, "chat")
    rule = cast.rule(plugin, cast.key_auth(*keys))
    cast.rule(plugin, cast.key_auth(keys[0]), service, enabled=False)
    cast.rule(plugin, cast.key_auth(keys[1]))  # a revision is kept
    plugin.uninstall(by=cast.actor("olive"))
    assert not Plugin.objects.exists()
    assert not Rule.objects.exists()
    assert not Revision.objects.exists()
    assert not Reference.objects.filter(holder_kind=rule.audit_kind).exists()
    assert set(Key.objects.named().values_list("reference_count", flat=True)) == {0}
    entry = last_entry()
    assert (entry.action, entry.target) == ("plugin.uninstall", "key-auth")
    assert entry.facts == {"instance": instance.ref, "rules": 2, "released": ["a", "b"]}


def test_deleting_a_service_ends_its_rules(region: Region) -> None:
    instance, key = cast.instance(region), cast.key(region, "a")
    plugin, service = cast.plugin(instance), cast.service(instance, "chat")
    kept = cast.rule(plugin, cast.key_auth(cast.key(region, "other")))
    cast.rule(plugin, cast.key_auth(key), service)
    service.delete(by=cast.SETUP)
    assert list(Rule.objects.all()) == [kept]
    assert Key.objects.get(pk=key.pk).reference_count == 0
    assert (last_entry().facts["rules"], last_entry().facts["released"]) == (1, ["a"])


def test_an_instance_with_plugins_is_not_deleted(region: Region) -> None:
    instance = cast.instance(region)
    plugin = cast.plugin(instance)
    with pytest.raises(Conflict, match=r"1 plug-in\. Uninstall it first"):
        instance.delete(by=cast.SETUP)
    plugin.uninstall(by=cast.SETUP)
    instance.delete(by=cast.SETUP)


@pytest.mark.parametrize("name", ["kim", "vera", "audrey", "mallory"])
def test_only_operators_install_and_uninstall(region: Region, name: str) -> None:
    instance = cast.instance(region)
    plugin = cast.plugin(instance)
    with pytest.raises(NotAllowed):
        Plugin.install(instance, "cors", by=cast.actor(name))
    with pytest.raises(NotAllowed):
        plugin.uninstall(by=cast.actor(name))
    with pytest.raises(NotAllowed):
        CustomPlugin.create(region, "x", source="x", schema="{}", phase="default", priority=1, by=cast.actor(name))
    assert Plugin.objects.count() == 1


def test_what_may_not_be_seen_is_not_found(region: Region) -> None:
    instance = cast.instance(region)
    plugin = cast.plugin(instance)
    assert Plugin.visible_to(cast.actor("vera"), instance).find("key-auth") == plugin
    with pytest.raises(NotFound):
        Plugin.visible_to(cast.actor("mallory"), instance).find("key-auth")
    with pytest.raises(NotFound):
        Plugin.visible_to(cast.actor("vera"), cast.instance(region)).find("key-auth")
    cast.custom_plugin(region, "signer")
    assert CustomPlugin.visible_to(cast.actor("vera"), region).find("signer").number == 1
    with pytest.raises(NotFound):
        CustomPlugin.visible_to(cast.actor("mallory"), region).find("signer")
