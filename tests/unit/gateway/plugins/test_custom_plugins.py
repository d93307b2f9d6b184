"""Custom plug-ins: a script, the schema of what its rules say, and references only where the schema marks them."""

import pytest

from gateway.models import CustomPlugin, Plugin
from gateway.plugins.examine import examine
from gateway.plugins.review import RuleRefused
from secrets_app.access import ACTIONS, OWNER, Action
from secrets_app.errors import Conflict, Invalid, NotAllowed, NotFound, StaleEdit
from secrets_app.models import AuditEntry, Region
from tests import cast


def last_entry() -> AuditEntry:
    return AuditEntry.objects.latest("seq")


def edit(plugin: CustomPlugin, **changes: object) -> None:
    fields = {name: getattr(plugin, name) for name in ("description", "source", "schema", "phase", "priority", "lock_version")}
    plugin.edit(**(fields | {"by": cast.SETUP} | changes))


def test_one_is_created_with_one_entry(region: Region) -> None:
    olive = cast.actor("olive")
    before = AuditEntry.objects.count()
    plugin = CustomPlugin.create(
        region, "signer", source=cast.SCRIPT, schema=cast.SCHEMA, phase="default", priority=10, by=olive, description="Signs."
    )
    assert AuditEntry.objects.count() == before + 1
    assert (plugin.number, plugin.official.name, plugin.official.phase) == (1, "signer", "default")
    entry = last_entry()
    assert (entry.action, entry.target_kind, entry.target) == ("custom_plugin.create", "custom_plugin", "signer")
    assert entry.facts == {"version": 1, "phase": "default", "priority": 10}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Key Auth"),
        ("name", "key-auth"),  # an official one's
        ("name", "taken"),
        ("name", "a\0b"),
        ("name", "new"),
        ("description", "x" * 501),
        ("source", "  \n"),
        ("source", "x" * (64 * 1024 + 1)),
        ("source", "-- \n" * 5_001),
        ("source", "-- \0"),
        ("source", 'local key = "$ref{secretName}"'),
        ("schema", "{"),
        ("phase", "afterwards"),
        ("priority", -1),
        ("priority", 1001),
    ],
)
def test_what_it_cannot_be_is_told_by_field(region: Region, field: str, value: object) -> None:
    cast.custom_plugin(region, "taken")
    given = {"name": "signer", field: value}
    with pytest.raises(Invalid) as refused:
        cast.custom_plugin(region, **given)
    assert list(refused.value.errors) == [field]
    assert CustomPlugin.objects.count() == 1


def test_references_stand_only_in_fields_that_are_marked(region: Region) -> None:
    instance = cast.instance(region)
    cast.key(region, "t")
    cast.custom_plugin(region, "signer")
    plugin = cast.plugin(instance, "signer")
    rule = cast.rule(plugin, "token: Bearer $ref{t}\nmode: strict\n")
    [reference] = rule.references
    assert (reference.path, reference.inbound, reference.realm) == ("token", False, "")
    for text, path, message in [
        ("token: $ref{t}\nmode: $ref{t}\n", "mode", "no credential"),
        ("token: plain\n", "token", "in the clear"),
        ("token: $ref{t}\nmods: x\n", "mods", "Did you mean “mode”?"),
        ("mode: x\n", "", "“token” is missing"),
    ]:
        with pytest.raises(RuleRefused) as refused:
            cast.rule(plugin, text)
        assert (refused.value.faults[0].path, message in refused.value.faults[0].message) == (path, True)


def test_an_edit_is_a_new_version_for_every_instance(region: Region) -> None:
    custom = cast.custom_plugin(region, "signer")
    plugin = cast.plugin(cast.instance(region), "signer")
    edit(custom, source="-- other", priority=20)
    assert (custom.number, custom.source, custom.changed_seq) == (2, "-- other", last_entry().seq)
    diff = {"priority": [10, 20], "source": "changed"}
    assert last_entry().facts == {"changed": ["source", "priority"], "version": 2, "phase": "default", "priority": 20, "diff": diff}
    assert Plugin.objects.get(pk=plugin.pk).official.priority == 20


def test_a_stale_edit_shows_what_is_stored(region: Region) -> None:
    custom = cast.custom_plugin(region, "signer")
    edit(custom, description="one")
    with pytest.raises(StaleEdit) as refused:
        edit(custom, description="two", lock_version=1)
    assert refused.value.current["description"] == "one"


def test_a_schema_that_a_rule_would_not_fit_is_refused(region: Region) -> None:
    instance = cast.instance(region, "east")
    cast.key(region, "t")
    custom = cast.custom_plugin(region, "signer")
    cast.rule(cast.plugin(instance, "signer"), "token: $ref{t}\n", cast.service(instance, "chat"), enabled=False)
    with pytest.raises(Invalid) as refused:
        edit(custom, schema='{"type": "object", "properties": {"token": {"type": "string"}}}')
    assert list(refused.value.errors) == ["schema"]
    assert "signer on chat of east" in refused.value.message
    custom.refresh_from_db()
    assert (custom.number, custom.schema) == (1, cast.SCHEMA)


def test_another_script_for_keys_needs_the_right_to_bind(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    cast.key(region, "t")
    custom = cast.custom_plugin(region, "signer")
    plugin = cast.plugin(cast.instance(region), "signer")
    monkeypatch.setitem(ACTIONS, "key.bind", Action(ACTIONS["key.bind"].text, frozenset({OWNER})))
    olive = cast.actor("olive")
    edit(custom, source="-- before it has keys", by=olive)
    monkeypatch.undo()
    cast.rule(plugin, "token: $ref{t}\n")
    monkeypatch.setitem(ACTIONS, "key.bind", Action(ACTIONS["key.bind"].text, frozenset({OWNER})))
    edit(custom, description="told better", by=olive)
    with pytest.raises(NotAllowed):
        edit(custom, source="-- now it has", by=olive)


def test_one_that_is_installed_is_not_deleted(region: Region) -> None:
    custom = cast.custom_plugin(region, "signer")
    plugin = cast.plugin(cast.instance(region, "east"), "signer")
    with pytest.raises(Conflict, match="installed on east"):
        custom.delete(by=cast.SETUP)
    plugin.uninstall(by=cast.SETUP)
    custom.delete(by=cast.SETUP)
    assert (last_entry().action, last_entry().facts) == ("custom_plugin.delete", {"version": 1})
    with pytest.raises(NotFound):
        custom.delete(by=cast.SETUP)


@pytest.mark.parametrize(
    ("schema", "start"),
    [
        ('{"type": "object"}', ""),
        ('{"type": "object", "required": ["t"], "properties": {"t": {"type": "string", "x-secret": true}}}', "t: $ref{secretName}\n"),
        ('{"type": "object", "required": ["m"], "properties": {"m": {"enum": ["a", "b"]}, "n": {}}}', 'm: "a"\n'),
        ('{"type": "object", "required": ["n"], "properties": {"n": {"type": "integer", "default": 7}}}', "n: 7\n"),
        ('{"type": "object", "required": ["n"], "properties": {"n": {"type": "integer", "minimum": 2}}}', "n: 2\n"),
        ('{"type": "object", "required": ["l", "o"], "properties": {"l": {"type": "array"}, "o": {}}}', "l: []\no: {}\n"),
    ],
)
def test_a_rule_begins_with_what_it_cannot_do_without(region: Region, schema: str, start: str) -> None:
    plugin = cast.custom_plugin(region, schema=schema).official
    assert plugin.example == start
    assert examine(plugin, start, "instance")[1] == []
