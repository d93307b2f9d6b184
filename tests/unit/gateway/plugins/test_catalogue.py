"""What every plug-in of the catalogue owes: a schema that explains itself, an example that passes, places for references."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.plugins import CATALOGUE, official, schema
from gateway.plugins.base import LEVELS, PHASES, Official
from gateway.plugins.examine import examine

PLUGINS = [pytest.param(plugin, id=name) for name, plugin in CATALOGUE.items()]


def fields(of: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, inner in of.get("properties", {}).items():
        place = f"{path}.{name}" if path else name
        yield place, inner
        yield from fields(inner, place)
    if isinstance(of.get("additionalProperties"), dict):
        yield f"{path}.*", of["additionalProperties"]
    if "items" in of:
        yield f"{path}[*]", of["items"]
        yield from fields(of["items"], f"{path}[*]")


def test_the_documented_plugins_are_there() -> None:
    wanted = {"key-auth", "basic-auth", "jwt-auth", "ip-restriction", "cors", "rate-limit", "transformer", "ext-auth"}
    assert wanted <= CATALOGUE.keys()


@pytest.mark.parametrize("plugin", PLUGINS)
def test_its_example_passes(plugin: Official) -> None:
    assert examine(plugin, plugin.example, "instance")[1] == []


@pytest.mark.parametrize("plugin", PLUGINS)
def test_nothing_at_all_is_no_rule(plugin: Official) -> None:
    assert examine(plugin, "", "instance")[1]


@pytest.mark.parametrize("plugin", PLUGINS)
def test_every_field_is_described_and_closed(plugin: Official) -> None:
    for path, field in fields(plugin.schema):
        assert field.get("type"), path
        assert field.keys() <= schema.KEYWORDS, path
        if not path.endswith(("[*]", ".*")):
            assert str(field["description"]).endswith("."), path
        if field["type"] == "object":
            assert "additionalProperties" in field, path


@pytest.mark.parametrize("plugin", PLUGINS)
def test_its_places_for_references_are_fields_of_text(plugin: Official) -> None:
    known = dict(fields(plugin.schema))
    for pattern in (*plugin.secret_fields, *plugin.no_secret):
        assert known[pattern]["type"] == "string", pattern
    for secret in plugin.secret_fields.values():
        assert str(secret.travels).endswith(".")


@pytest.mark.parametrize("plugin", PLUGINS)
def test_it_is_told_to_people(plugin: Official) -> None:
    assert str(plugin.title)
    assert str(plugin.summary).endswith(".")
    assert all(str(paragraph).endswith(".") for paragraph in plugin.documentation)
    assert plugin.phase in PHASES
    assert set(plugin.levels) <= set(LEVELS)


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "text", ["a: b", "consumers: 1", "consumers:\n- 1", "allow: {a: b}", "keys: [[1]]", "reqRules:\n- headers: x", "~: 1"]
)
def test_any_shape_is_answered_with_faults(plugin: Official, level: str, text: str) -> None:
    _document, faults = examine(plugin, text, level)
    assert faults
    assert all(fault.line >= 1 and fault.message for fault in faults)


def test_requests_meet_plugins_in_a_known_order() -> None:
    known = ["cors", "ip-restriction", "rate-limit", "basic-auth", "key-auth", "jwt-auth", "ext-auth", "transformer"]
    order = sorted(CATALOGUE.values(), key=lambda plugin: plugin.order)
    assert [plugin.name for plugin in order if plugin.name in known] == known


def test_a_module_in_the_folder_of_official_plugins_is_all_that_a_plugin_takes() -> None:
    modules = {path.stem for path in Path(official.__file__).parent.glob("*.py")} - {"__init__"}
    assert {name.replace("-", "_") for name in CATALOGUE} == modules
