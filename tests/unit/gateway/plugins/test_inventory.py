"""Rules in a region's inventory: what the compiler needs, and no value."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from gateway import inventory, stocktaking
from gateway.inventory import Rule, Script, Use, Version
from gateway.models import Instance
from secrets_app.models import Key, KeyVersion
from tests import cast

SENDING = "reqRules:\n- operate: add\n  headers:\n  - key: x-token\n    value: $ref{%s}\n"


@pytest.fixture
def instance(region: Any) -> Instance:
    return cast.instance(region, "east")


def versions(key: Key) -> tuple[Version, ...]:
    return tuple(Version(row.pk, row.number) for row in KeyVersion.accepted().filter(key=key).order_by("-number"))


def load(instance: Instance) -> inventory.Instance:
    return next(one for one in stocktaking.load(instance.region_id).instances if one.id == instance.pk)


def test_an_enabled_rule_stands_in_it_with_what_its_references_mean(instance: Instance) -> None:
    a, b = cast.key(instance.region, "a"), cast.key(instance.region, "B")
    service = cast.service(instance, "chat")
    rule = cast.rule(cast.plugin(instance), cast.key_auth(a, b))
    of_service = cast.rule(cast.plugin(instance), cast.key_auth(a), service)
    found = load(instance)
    assert found.rules == (
        Rule(
            id=rule.pk,
            plugin="key-auth",
            text=cast.key_auth(a, b),
            keys=(("a", Use("credentials[0]", a.pk, versions(a))), ("B", Use("credentials[1]", b.pk, versions(b)))),
        ),
    )
    assert [found.id for found in found.services[0].rules] == [of_service.pk]


def test_a_disabled_rule_is_left_out(instance: Instance) -> None:
    rule = cast.rule(cast.plugin(instance), cast.key_auth(cast.key(instance.region)), enabled=False)
    assert load(instance).rules == ()
    rule.enable(by=cast.SETUP)
    assert len(load(instance).rules) == 1


def test_a_script_comes_with_its_rule(instance: Instance) -> None:
    key = cast.key(instance.region, "t")
    custom = cast.custom_plugin(instance.region, "signer", priority=7)
    cast.rule(cast.plugin(instance, "signer"), "token: $ref{t}\n")
    [rule] = load(instance).rules
    assert rule.script == Script(custom.source, custom.schema, "default", 7)
    assert rule.keys == (("t", Use("token", key.pk, versions(key))),)


def test_what_callers_present_overlaps_and_what_is_sent_is_the_newest(instance: Instance) -> None:
    accepted, sent = cast.key(instance.region, "accepted"), cast.key(instance.region, "sent")
    cast.rule(cast.plugin(instance), cast.key_auth(accepted))
    cast.rule(cast.plugin(instance, "transformer"), SENDING % "sent")
    cast.consumer(instance.region, bound_to=sent)  # so that it may have an overlap
    for key in (accepted, sent):
        key.rotate(cast.value(), 24, by=cast.SETUP)
    inbound, outbound = load(instance).rules
    assert [version.number for version in inbound.keys[0][1].versions] == [2, 1]
    assert [version.number for version in outbound.keys[0][1].versions] == [2]
    end = stocktaking.load(instance.region_id).next_change
    assert end is not None
    assert end - timezone.now() < timedelta(hours=24)


def test_a_disabled_key_has_no_version(instance: Instance) -> None:
    key = cast.key(instance.region, "a")
    cast.rule(cast.plugin(instance), cast.key_auth(key))
    key.disable(by=cast.SETUP)
    assert load(instance).rules[0].keys == (("a", Use("credentials[0]", key.pk, ())),)


def test_reading_rules_takes_the_same_queries_however_many_there_are(
    instance: Instance, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    custom = cast.custom_plugin(instance.region)
    for _ in range(3):
        other = cast.instance(instance.region)
        cast.rule(cast.plugin(other), cast.key_auth(cast.key(instance.region)))
        cast.rule(cast.plugin(other, custom.name), f"token: $ref{{{cast.key(instance.region).name}}}\n")
        with django_assert_num_queries(20):
            stocktaking.load(instance.region_id)


def test_beside_an_earlier_inventory_only_what_changed_is_read(
    instance: Instance, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    region = instance.region
    a, b = cast.key(region, "a"), cast.key(region, "b")
    plugin, chat = cast.plugin(instance), cast.service(instance, "chat")
    custom = cast.custom_plugin(region, "signer")
    rule = cast.rule(plugin, cast.key_auth(a))
    cast.rule(plugin, cast.key_auth(b), chat)
    cast.rule(cast.plugin(instance, "signer"), "token: $ref{b}\n")
    steps: list[Callable[[], object]] = [
        lambda: cast.rule(plugin, cast.key_auth(b, a)),
        lambda: a.rotate(cast.value(), 24, by=cast.SETUP),
        lambda: KeyVersion.objects.filter(key=a, stage=KeyVersion.PREVIOUS).update(accepted_until=timezone.now()),
        lambda: b.disable(by=cast.SETUP),
        lambda: b.enable(by=cast.SETUP),
        lambda: custom.edit(
            description="", source="-- 2", schema=custom.schema, phase="default", priority=10, lock_version=1, by=cast.SETUP
        ),
        lambda: custom.edit(
            description="", source="-- 2", schema=custom.schema, phase="statistics", priority=9, lock_version=2, by=cast.SETUP
        ),
        lambda: Instance.objects.get(pk=instance.pk).plugins.get(name="signer").uninstall(by=cast.SETUP),
        lambda: rule.disable(by=cast.SETUP),
        lambda: rule.enable(by=cast.SETUP),
        lambda: rule.delete(by=cast.SETUP),
        lambda: chat.delete(by=cast.SETUP),
    ]
    stock = stocktaking.load(region.pk)
    for step in steps:
        step()
        stock = stocktaking.load(region.pk, stock)
        assert stock == stocktaking.load(region.pk)
    assert list(stock.rules) == []


def test_an_unchanged_rule_is_taken_from_the_earlier_inventory(instance: Instance) -> None:
    cast.rule(cast.plugin(instance), cast.key_auth(cast.key(instance.region)))
    before = stocktaking.load(instance.region_id)
    after = stocktaking.load(instance.region_id, before)
    assert after.instances[0].rules[0] is before.instances[0].rules[0]


def test_while_nothing_can_be_published_no_key_taken_back_lets_anybody_in(instance: Instance) -> None:
    region = instance.region
    a, b, c = (cast.key(region, name) for name in "abc")
    plugin = cast.plugin(instance)
    cast.rule(plugin, cast.key_auth(a, b, c))
    sending = cast.rule(cast.plugin(instance, "transformer"), SENDING % "a")
    before = stocktaking.load(region.pk)
    a.rotate(cast.value(), by=cast.SETUP)
    b.disable(by=cast.SETUP)
    cast.rule(plugin, cast.key_auth(a, cast.key(region, "d")))
    found = stocktaking.with_consumers_of_now(before)
    letting_in, sends = found.instances[0].rules
    assert letting_in.text == before.instances[0].rules[0].text
    assert [(name, use.versions) for name, use in letting_in.keys] == [("a", versions(a)), ("b", ()), ("c", ())]
    assert sends == before.instances[0].rules[1]
    assert sends.id == sending.pk
