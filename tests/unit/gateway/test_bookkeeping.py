"""What is stored beside the reference rows, checked and mended."""

import re
import uuid

import pytest
from django.core.management import CommandError, call_command

from gateway.bookkeeping import examine
from secrets_app.models import AuditEntry, Key, KeyVersion, Reference, Region
from secrets_app.models.policy import Destination
from tests import cast


def test_what_deeds_made_needs_no_mending(region: Region, capsys: pytest.CaptureFixture[str]) -> None:
    gateway, key = cast.instance(region), cast.key(region)
    cast.service(gateway, keys=[key, cast.key(region)])
    cast.consumer(region, bound_to=key)
    cast.consumer(region)
    cast.service(gateway)
    before = AuditEntry.objects.count()
    call_command("verify_references")
    assert re.fullmatch(r"5 references, 0 wrong \(\d+\.\d s\)\.\n", capsys.readouterr().out)
    assert AuditEntry.objects.count() == before


def test_a_wrong_count_is_found_and_mended_in_one_deed(region: Region, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = cast.key(region, "first"), cast.key(region, "second")
    cast.service(cast.instance(region), keys=[first])
    Key.objects.filter(pk=first.pk).update(reference_count=7)
    Key.objects.filter(pk=second.pk).update(reference_count=1)
    with pytest.raises(CommandError) as wrong:
        call_command("verify_references")
    assert wrong.value.returncode == 2
    assert "local: key first says 7 holders and has 1" in capsys.readouterr().out
    call_command("verify_references", "--repair")
    assert dict(Key.objects.values_list("name", "reference_count")) == {"first": 1, "second": 0}
    entry = AuditEntry.objects.latest("seq")
    assert (entry.action, entry.region, entry.facts) == ("reference.repair", "local", {"recounted": 2, "orphans": 0})
    call_command("verify_references")


def test_left_overs_are_found_and_mended(region: Region) -> None:
    key = cast.key(region, "shared")
    Reference.objects.create(key=key, holder_kind="consumer", holder_id=424242, path="credentials[0]", inbound=True)
    inline = Key._new_inline(region, cast.value(), cast.SETUP, to=Destination("consumer"))
    found = examine(region)
    assert sorted(found.lines()) == [
        "consumer 424242 (credentials[0]) refers to a key, but is gone",
        f"inline key {inline.pk} has no holder",
    ]
    call_command("verify_references", "--repair")
    assert not Reference.objects.exists()
    assert list(KeyVersion.objects.values_list("key", flat=True)) == [key.pk]
    assert examine(region).wrong == 0


def test_holders_of_every_kind_are_looked_for(region: Region) -> None:
    key, gateway = cast.key(region, "shared"), cast.instance(region)
    services = [
        cast.service(gateway, keys=[key]),
        cast.agent(gateway, keys=[key, key], apps=["a", "b"]),
        cast.agent(gateway),
        cast.mcp(gateway, key=key),
    ]
    assert examine(region).wrong == 0
    for service in services:
        type(service).objects.all().delete()
    assert len(examine(region).orphans) == 5
    call_command("verify_references", "--repair")
    assert Key.objects.get().reference_count == 0


def test_an_inline_key_of_a_holder_that_is_gone_goes_with_it(region: Region) -> None:
    consumer = cast.consumer(region)
    Reference.objects.update(holder_id=uuid.uuid4().int % 10**9)
    consumer.authorizations.all().delete()
    type(consumer).objects.all().delete()
    call_command("verify_references", "--repair")
    assert not Key.objects.exists()


def test_a_kind_that_this_version_does_not_know_is_left_alone(region: Region) -> None:
    key = cast.key(region)
    Reference.objects.create(key=key, holder_kind="later", holder_id=1, path="a.b", inbound=False)
    Key.objects.update(reference_count=1)
    assert examine(region).wrong == 0


def test_each_region_is_its_own(region: Region) -> None:
    other = Region.create("eu", "Europe", by=cast.SETUP)
    key = cast.key(other)
    Key.objects.filter(pk=key.pk).update(reference_count=3)
    assert examine(region).wrong == 0
    assert examine(other).wrong == 1


def test_a_rule_whose_text_and_references_differ_is_found_and_mended(region: Region) -> None:
    a, b, c = (cast.key(region, name) for name in "abc")
    gateway = cast.instance(region)
    rule = cast.rule(cast.plugin(gateway), cast.key_auth(a, b))
    cast.rule(cast.plugin(gateway), cast.key_auth(c), cast.service(gateway, "chat"))
    assert examine(region).wrong == 0
    Reference.objects.filter(key=b).delete()
    Reference.objects.filter(key=a).update(path="credentials[7]")
    assert f"the rule key-auth of {gateway.ref} refers to other keys in its text than in the table of references" in list(
        examine(region).lines()
    )
    call_command("verify_references", "--repair")
    assert examine(region).wrong == 0
    assert {(row.path, row.key.name, row.inbound, row.realm) for row in rule.references} == {
        ("credentials[0]", "a", True, f"plugin {rule.pk}"),
        ("credentials[1]", "b", True, f"plugin {rule.pk}"),
    }
    assert dict(Key.objects.named().values_list("name", "reference_count")) == {"a": 1, "b": 1, "c": 1}
