from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.plugins import reading
from gateway.plugins.document import DEPTH_LIMIT, FAULT_LIMIT, LINE_LIMIT, NODE_LIMIT, REF_LIMIT, TEXT_LIMIT, Fault
from gateway.plugins.reading import read
from secrets_app.refs import Ref, Template
from tests.effort import at_most

SEED = """\
credentials:
# Reference the key named secretName
- $ref{secretName}
keys:
- apikey
- x-api-key
"""

BOMB = """\
a: &a [x, x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
"""


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def _each_reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML comes with libyaml, or without: the answers are the same."""
    monkeypatch.setattr(reading, "LOADER", getattr(yaml, request.param))


def first(text: str) -> Fault:
    faults = read(text).faults
    assert faults, "this text was accepted"
    return faults[0]


def test_the_documented_example() -> None:
    found = read(SEED)
    assert found.faults == ()
    assert found.tree == {"credentials": [Template((Ref("secretName"),))], "keys": ["apikey", "x-api-key"]}
    (placed,) = found.refs
    assert (placed.path, placed.ref.name, placed.mark.line, placed.mark.column) == (("credentials", 0), "secretName", 3, 3)


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "null", "~\n", "{}"])
def test_nothing_is_no_fields(text: str) -> None:
    assert read(text).tree == {}
    assert read(text).faults == ()


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1", 1),
        ("-17", -17),
        ("0", 0),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ('"true"', "true"),
        # What YAML 1.1 would make something else of, credentials among them.
        ("yes", "yes"),
        ("off", "off"),
        ("0123", "0123"),
        ("00", "00"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2026-01-31", "2026-01-31"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("=", "="),
        ("9" * 19, "9" * 19),
        ("9" * 5000, "9" * 5000),
        ("1e999", "1e999"),
        ("|\n  one\n  two\n", "one\ntwo\n"),
        (">-\n  one\n  two\n", "one two"),
        ("'a: b # c'", "a: b # c"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(written: str, value: object) -> None:
    found = read(f"a: {written}")
    assert found.faults == ()
    assert found.tree == {"a": value}
    assert type(found.tree["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "column", "path", "said"),
    [
        ("a: 1\nb: &x 2", 2, 4, "b", "Anchors"),
        ("a: &x {b: 1}", 1, 4, "a", "Anchors"),
        ("a: *x", 1, 4, "a", "Aliases"),
        ("a: *", 1, 0, "", ""),
        (BOMB, 1, 4, "a", "Anchors"),
        ("a: !!python/object/apply:os.system ['true']", 1, 4, "a", "Tags"),
        ("a: !!str 1", 1, 4, "a", "Tags"),
        ("a: !x 1", 1, 4, "a", "Tags"),
        ("a: ! 1", 1, 4, "a", "Tags"),
        ("!!map {a: 1}", 1, 1, "", "Tags"),
        ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", 5, 3, "b.c", "twice; the first is on line 3"),
        ("a: 1\n'a': 2", 2, 1, "a", "twice"),
        ("<<: {a: 1}", 1, 1, "", "Merge keys"),
        ("a:\n  <<: {b: 1}", 2, 3, "a", "Merge keys"),
        ("a:\n\tb: 1", 2, 1, "", "tab"),
        ("\ta: 1", 1, 1, "", "tab"),
        ("a:\n  \t- b", 2, 3, "", "tab"),
        ("a: 1\nb: x\x00y", 2, 5, "", "U+0000"),
        ("a: \x07", 1, 4, "", "U+0007"),
        ("a: x\u2028y", 1, 5, "", "U+2028"),
        ("a: \x85y", 1, 4, "", "U+0085"),
        ("a: \ud800", 1, 4, "", "U+D800"),
        ("a: 1\n---\nb: 2", 2, 1, "", "second document"),
        ("---\na: 1\n---\n---\n", 3, 1, "", "second document"),
        ("a: 1\n...\n---\nb: 2", 3, 1, "", "second document"),
        ("%YAML 1.2\n---\na: 1", 1, 1, "", "Directives"),
        ("%TAG ! tag:example.com,2026:\n---\na: 1", 1, 1, "", "Directives"),
        ("- a", 1, 1, "", "begins with fields"),
        ("just text", 1, 1, "", "begins with fields"),
        ("17", 1, 1, "", "begins with fields"),
        ("$ref{x}", 1, 1, "", "begins with fields"),
        ("1: a", 1, 1, "", "name of a field is text"),
        ("a:\n  true: b", 2, 3, "a", "name of a field is text"),
        ("~: b", 1, 1, "", "name of a field is text"),
        ("? [a]\n: b", 1, 3, "", "not a list or a mapping"),
        ("? {a: 1}\n: b", 1, 3, "", "not a list or a mapping"),
        ("a: $ref{x", 1, 4, "a", "not closed"),
        ("a:\n- b\n- 'Bearer $ref{x'", 3, 11, "a[1]", "not closed"),
        ("a: $ref{}", 1, 4, "a", "names no key"),
        ("a: $ref{" + "x" * 65 + "}", 1, 4, "a", "at most 64"),
        ("a: $ref{a b}", 1, 4, "a", "only letters"),
        ("a: $REF{x}", 1, 4, "a", "small letters"),
        ("$ref{x}: a", 1, 1, "", "cannot stand in the name"),
        ("a:\n  x$ref{y}z: 1", 2, 3, "a", "cannot stand in the name"),
        ("$$ref{x}: a", 1, 1, "", "cannot stand in the name"),
        ("a: {$ref{x}: 1}", 1, 9, "", "needs quotes"),
        ("a: [$ref{x}]", 1, 9, "", "needs quotes"),
        ("a: {b: $ref{x}}", 1, 12, "", "needs quotes"),
        ("a: [b, 'c', $ref{x}]", 1, 17, "", "needs quotes"),
        ("a: b: c", 1, 5, "", "second colon"),
        ("a: [b", 1, 0, "", ""),
        ("a: {b: 1", 1, 0, "", ""),
        ("a: 'b", 1, 6, "", "not closed"),
        ("a: @b", 1, 4, "", "quotes"),
        ("a: `b", 1, 4, "", "quotes"),
        ('a: "\\q"', 1, 0, "", "backslash"),
        ("a: 1\n b: 2", 2, 0, "", ""),
        ("a:\n  - b\n c: d", 3, 0, "", ""),
    ],
)
def test_what_cannot_be_read_is_told_with_line_and_column(text: str, line: int, column: int, path: str, said: str) -> None:
    fault = first(text)
    assert (fault.line, fault.path) == (line, path)
    assert said in fault.message
    assert fault.column == column or column == 0  # where the two readers notice a slip differs by one


def test_the_longest_text_and_one_character_more() -> None:
    longest = "a: " + "x" * (TEXT_LIMIT - 3)
    assert read(longest).faults == ()
    assert str(TEXT_LIMIT) in first(longest + "x").message


def test_a_text_has_so_many_lines() -> None:
    assert read("a: 1\n" + "\n" * (LINE_LIMIT - 1)).faults == ()
    fault = first("a: 1\n" + "\n" * LINE_LIMIT)
    assert (fault.line, str(LINE_LIMIT) in fault.message) == (LINE_LIMIT + 1, True)


def test_depth_is_bounded() -> None:
    assert read("a: " + "[" * (DEPTH_LIMIT - 1) + "]" * (DEPTH_LIMIT - 1)).faults == ()
    assert "deeper" in first("a: " + "[" * 100 + "]" * 100).message
    assert "deeper" in first("".join(" " * n + f"k{n}:\n" for n in range(100))).message


def test_the_number_of_values_is_bounded() -> None:
    assert "more than" in first("a: [" + "1," * NODE_LIMIT + "]").message


def test_the_number_of_references_is_bounded() -> None:
    assert "more than" in first("a: " + "$ref{x}" * (REF_LIMIT + 1)).message


def test_no_more_faults_are_told_than_help() -> None:
    assert len(read("".join(f"k{n}: $ref{{\n" for n in range(100))).faults) == FAULT_LIMIT


def test_faults_come_in_the_order_of_the_text() -> None:
    faults = read("a: 1\na: 2\nb: $ref{\nc: !x 1\n").faults
    assert [fault.line for fault in faults] == [2, 3, 4]


HOSTILE = {
    "a bomb": BOMB * 20,
    "1 MiB": "a: " + "x" * 2**20,
    "1 MiB of openings": "$ref{" * 2**18,
    "openings": "a: " + "$ref{" * 12_000,
    "references": "a: " + "$ref{x}" * 9_000,
    "references in a block": "a: |\n" + "  $ref{x}\n" * 6_000,
    "references in lines": "a:\n" + "- $ref{x}\n" * 6_000,
    "half escaped": "a: '" + "$" * 60_000 + "'",
    "depth 100": "a: " + "[" * 100,
    "depth 30000": "a: " + "[" * 30_000,
    "depth in blocks": "".join(" " * n + "a:\n" for n in range(350)),
    "dashes": "- " * 32_000,
    "questions": "? " * 32_000,
    "colons": ": " * 32_000,
    "braces": "{" * 60_000,
    "quotes": "a: " + "'" * 60_000,
    "escapes": 'a: "' + "\\n" * 30_000 + '"',
    "commas": "a: [" + "," * 60_000,
    "items": "a: [" + "b," * 30_000 + "]",
    "lines": "\n" * 60_000,
    "fields": "".join(f"k{n}: v\n" for n in range(6_000)),
    "the same field": "a: 1\n" * 12_000,
    "comments": "#\n" * 30_000,
    "anchors": "a: " + "&a " * 20_000,
    "aliases": "a: [" + "*a," * 20_000 + "]",
    "tags": "a: " + "!" * 60_000,
    "documents": "---\n" * 15_000,
    "directives": "%A b\n" * 12_000,
    "tabs": "\t" * 60_000,
    "spaces": " " * 60_000,
    "folded": "a: >\n" + "  x\n" * 15_000,
    "words": "a: [" + "b " * 30_000,
    "digits": "a: " + "9" * 60_000,
    "exponent": "a: 1e" + "9" * 60_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_takes_longer_than_a_second(name: str) -> None:
    with at_most(1):
        read(HOSTILE[name])


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("a: Bearer $ref{x} $ref{y}", [(1, 11), (1, 19)]),
        ("a: 'it''s $ref{x}'", [(1, 11)]),
        ('a: "\\t$ref{x}"', [(1, 7)]),
        ("a: $$ref{z} $ref{x}", [(1, 13)]),
        ("a: >\n  some\n  $ref{x} and\n  $ref{y}\n", [(3, 3), (4, 3)]),
        ("a: |\n  é $ref{x}\n", [(2, 5)]),
        ("ü: 'ü 😀 $ref{x}'", [(1, 9)]),
        ("a: b\r\nc: $ref{x}\r\n", [(2, 4)]),
        ("\ufeffa: $ref{x}", [(1, 4)]),
        ('a: "\\x24ref{x}"', [(1, 4)]),  # hidden by an escape: the scalar's own place
    ],
)
def test_where_a_reference_stands(text: str, places: list[tuple[int, int]]) -> None:
    found = read(text)
    assert found.faults == ()
    assert [(placed.mark.line, placed.mark.column) for placed in found.refs] == places


def test_escaped_references_are_text() -> None:
    assert read("a: $$ref{x}\nb: a $$ref{").tree == {"a": "$ref{x}", "b": "a $ref{"}


def test_messages_never_repeat_what_stands_in_the_text() -> None:
    secret = "sk_live_0123456789"
    texts = [f"a: {secret}: b", f"a: '{secret}", f"a: @{secret}", f"a: *{secret}", f"a: &{secret} b", f"a: !{secret} b", f"{secret}"]
    texts += [f"a: $ref{{{secret}!}}", f'a: "\\{secret}"', f"a: [{secret}", f"a: b\n{secret}", f"%{secret}\n---\n"]
    for text in texts:
        assert all(secret not in str(fault) for fault in read(text).faults), text


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(st.characters(exclude_categories=["C", "Z"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc_-", min_size=1), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abcdef", min_size=1), json_like, max_size=5), st.booleans())
def test_what_yaml_writes_is_read_as_it_was(tree: dict[str, Any], flow: bool) -> None:
    def without_openings(value: Any) -> bool:
        return "$" not in repr(value)

    if without_openings(tree):
        found = read(yaml.safe_dump(tree, default_flow_style=flow, allow_unicode=True))
        assert found.faults == ()
        assert found.tree == tree


@settings(max_examples=300)
@given(st.text(st.sampled_from("ab :-[]{}'\"|>&*!%#?,\n\t\\$ref{x}<~1.")))
def test_any_text_is_read_or_refused(text: str) -> None:
    found = read(text)
    lines = reading.normal(text).split("\n")
    for fault in found.faults:
        assert 1 <= fault.line <= len(lines) + 1
        assert fault.column >= 1
        assert fault.message
    for placed in found.refs:
        assert placed.mark.line <= len(lines)
