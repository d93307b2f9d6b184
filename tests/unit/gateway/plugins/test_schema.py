"""The part of JSON Schema that configurations are checked with, and what a person may declare in it."""

import json
from typing import Any

import pytest

from gateway.plugins.custom import EXAMPLE, SCHEMA_LIMIT, official, problem_with_schema
from gateway.plugins.document import FAULT_LIMIT
from gateway.plugins.examine import examine
from gateway.plugins.paths import Path, matches, written
from gateway.plugins.schema import findings, nearest
from secrets_app.refs import Template, parse
from tests.effort import at_most


def said(value: Any, schema: dict[str, Any]) -> list[tuple[Path, str]]:
    return [(path, str(message)) for path, message in findings(value, schema)]


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ({}, {"type": "object"}),
        ({"a": 1}, {"type": "object"}),
        ({"a": 1}, {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}),
        ({"a": "x"}, {"type": "object", "additionalProperties": {"type": "string"}}),
        ([], {"type": "array"}),
        ([1, 2.5], {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2, "uniqueItems": True}),
        ("abc", {"type": "string", "minLength": 3, "maxLength": 3, "pattern": "[a-c]+", "x-pattern-text": "a"}),
        ("a", {"enum": ["a", 1]}),
        (1, {"enum": ["a", 1]}),
        (5, {"type": "integer", "minimum": 5, "maximum": 5}),
        (True, {"type": "boolean"}),
        (None, {}),
        (parse("$ref{a}"), {"type": "string", "minLength": 100}),
    ],
)
def test_what_fits(value: Any, schema: dict[str, Any]) -> None:
    assert said(value, schema) == []


@pytest.mark.parametrize(
    ("value", "schema", "path", "message"),
    [
        ([], {"type": "object"}, (), "group of fields"),
        ({}, {"type": "array"}, (), "list"),
        (1, {"type": "string"}, (), "quotes"),
        (True, {"type": "integer"}, (), "whole number"),
        (1.0, {"type": "integer"}, (), "whole number"),
        ("1", {"type": "number"}, (), "number"),
        ("yes", {"type": "boolean"}, (), "true or false"),
        (None, {"type": "string"}, (), "missing"),
        (parse("$ref{a}"), {"type": "integer"}, (), "whole number"),
        (
            {"a": {"b": 1}},
            {"type": "object", "properties": {"a": {"type": "object", "additionalProperties": False}}},
            ("a", "b"),
            "no such",
        ),
        ({"nam": 1}, {"properties": {"name": {}}, "additionalProperties": False}, ("nam",), "Did you mean “name”?"),
        ({"x": 1}, {"properties": {"name": {}, "age": {}}, "additionalProperties": False}, ("x",), "Choose from: name, age."),
        ({}, {"required": ["a"]}, (), "“a” is missing"),
        ({"k": 1}, {"additionalProperties": {"type": "string"}}, ("k",), "quotes"),
        ([1], {"minItems": 2}, (), "at least 2 items"),
        ([1, 2], {"maxItems": 1}, (), "at most 1 item"),
        (["a", "b", "a"], {"uniqueItems": True}, (2,), "number 1 already"),
        ([{"a": 1}, {"a": "x"}], {"items": {"properties": {"a": {"type": "integer"}}}}, (1, "a"), "whole number"),
        ("", {"minLength": 1}, (), "at least 1 character"),
        ("abc", {"maxLength": 2}, (), "at most 2 characters"),
        ("x", {"pattern": "[a-c]", "x-pattern-text": "a to c"}, (), "only a to c"),
        ("c", {"enum": ["a", "b"]}, (), "one of: a, b"),
        (1, {"minimum": 2}, (), "at least 2"),
        (3, {"maximum": 2}, (), "at most 2"),
    ],
)
def test_what_does_not(value: Any, schema: dict[str, Any], path: Path, message: str) -> None:
    [(place, text)] = said(value, schema)
    assert place == path
    assert message in text


def test_no_message_repeats_a_value() -> None:
    for schema in ({"type": "integer"}, {"enum": ["a"]}, {"maxLength": 1}, {"minLength": 99}, {"pattern": "a", "x-pattern-text": "a"}):
        assert all("s3cret" not in text for _path, text in said("s3cret", schema))


def test_a_near_name() -> None:
    assert nearest("credental", ["consumers", "credential"]) == "credential"
    assert nearest("KEYS", ["keys", "realm"]) == "keys"
    assert nearest("zzz", ["keys"]) == ""


def test_paths_are_written_and_matched() -> None:
    assert written(("a", 0, "b-c", "x.y", 'q"', 1)) == 'a[0].b-c["x.y"]["q\\""][1]'
    assert written(()) == ""
    assert matches("a[*].b", ("a", 7, "b"))
    assert matches("a.*", ("a", "anything at all"))
    assert not matches("a.*", ("a", 0))
    assert not matches("a[*]", ("a", "0"))
    assert not matches("a[*]", ("a", 0, "b"))
    assert matches("a[2]", ("a", 2))
    with pytest.raises(ValueError, match="pattern"):
        matches("a..b", ("a",))


def test_the_example_of_a_custom_schema_is_one() -> None:
    assert problem_with_schema(EXAMPLE) == ""


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 10_000, "not JSON"),
        ('"x"', "must be a JSON object"),
        ({}, "“type” must be “object”"),
        ({"type": "string"}, "“type” must be “object”"),
        ({"type": "object", "pattern": "(a+)+$"}, "“pattern”, which is not understood"),
        ({"type": "object", "$ref": "https://example.com/schema"}, "“$ref”, which is not understood"),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, "“type” of a has a value"),
        ({"type": "object", "properties": {"a": {"type": ["string"]}}}, "“type” of a has a value"),
        ({"type": "object", "properties": {"a": 1}}, "a must be a JSON object"),
        ({"type": "object", "properties": {"a": {"items": {"minimum": "x"}}}}, "“minimum” of a[*]"),
        ({"type": "object", "properties": {"a": {"additionalProperties": {"maxItems": -1}}}}, "“maxItems” of a.*"),
        ({"type": "object", "properties": []}, "“properties” of the schema"),
        ({"type": "object", "required": "a"}, "“required” of the schema"),
        ({"type": "object", "required": ["a"]}, "requires “a”"),
        ({"type": "object", "properties": {"a": {"enum": []}}}, "“enum” of a"),
        ({"type": "object", "properties": {"a b": {}}}, "cannot be the name of a field"),
        ({"type": "object", "properties": {"a": {"x-secret": True}}}, "must be of type “string”"),
        ({"type": "object", "properties": {"a": {"x-secret": "yes"}}}, "“x-secret” of a"),
        (
            {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string", "x-secret": True}}}},
            "only fields of the schema",
        ),
        ({"type": "object", "properties": {f"f{n}": {"type": "string", "x-secret": True} for n in range(17)}}, "At most 16"),
        ({"type": "object", "properties": {f"f{n}": {} for n in range(101)}}, "“properties”"),
        ({"type": "object", "description": "x" * SCHEMA_LIMIT}, "longer than"),
    ],
)
def test_what_cannot_be_declared(schema: Any, message: str) -> None:
    assert message in problem_with_schema(schema if isinstance(schema, str) else json.dumps(schema))


def test_depth_of_a_declared_schema_is_bounded() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(20):
        schema = {"type": "object", "properties": {"a": schema}}
    assert "too deep" in problem_with_schema(json.dumps(schema))


def test_a_template_stands_for_text() -> None:
    assert said(Template(("a",)), {"type": "string"}) == []


ALIKE = {f"field_name_{number:03d}": {"type": "string"} for number in range(100)}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (ALIKE, "".join(f"fieldname{number:04d}:\n" for number in range(4300))),
        ({"a": {"type": "array", "items": {"enum": list(range(2800))}}}, "a: [" + "z," * 4900 + "]"),
    ],
)
def test_a_text_with_thousands_of_faults_is_told_a_few_of_them_in_little_time(fields: dict[str, Any], text: str) -> None:
    schema = json.dumps({"type": "object", "properties": fields})
    assert problem_with_schema(schema) == ""
    with at_most(2):
        _read, faults = examine(official("x", "", schema, "default", 1, 1), text, "instance")
    assert len(faults) == FAULT_LIMIT
