"""What nobody should type into a rule, sent to the page itself: a message with its line, nothing saved, no stall, and no value back."""

import uuid

import pytest

from gateway.models import Instance, Plugin, Rule
from secrets_app.models import AuditEntry, Key, Reference, Region
from tests import cast
from tests.effort import at_most, effort
from tests.unit.console.asking import get, markup, post, text
from tests.unit.gateway.plugins.test_reading import BOMB, HOSTILE

GOOD = "credentials:\n- $ref{edge}\nkeys:\n- apikey\n"

BAD = [  # what was typed, the line that is told, and what is said of it
    (BOMB, 1, "Anchors (&name) are not read"),
    ("a: &x [1]\nb: 2\n", 1, "Anchors (&name) are not read"),
    ("keys: *x\n", 1, "Aliases (*name) are not read"),
    ("<<: {keys: [a]}\n", 1, "Merge keys (<<) are not read"),
    ("realm: !!python/object/apply:os.system ['true']\n", 1, "Tags (!name) are not read"),
    (GOOD + "realm: !secret x\n", 5, "Tags (!name) are not read"),
    ("realm: " + "x" * 900_000, 1, "a rule has at most 65536"),
    (GOOD + "#" * 66_000, 5, "a rule has at most 65536"),
    ("a: " + "[" * 100 + "]" * 100, 1, "nested deeper than 32 levels"),
    ("".join(f"{' ' * depth}k:\n" for depth in range(100)), 33, "nested deeper than 32 levels"),
    ("keys: [a]\ncredentials:\n- $ref{edge}\nkeys: [b]\n", 4, "stands here twice; the first is on line 1"),
    ("credentials:\n\t- $ref{edge}\n", 2, "A tab stands here"),
    ("realm: a\n\nkeys:\n- a\x00b\n", 4, "An invisible character (U+0000) stands here"),
    ("realm: \x1b[31m\n", 1, "An invisible character (U+001B)"),
    ("credentials:\n- $ref{edge\nkeys: [a]\n", 2, "This reference is not closed"),
    ("credentials:\n- $ref{edge}\n- $ref{}\nkeys: [a]\n", 3, "This reference names no key"),
    ("credentials:\n- $ref{" + "x" * 65 + "}\n", 2, "at most 64 characters"),
    ("credentials:\n- $ref{a b}\n", 2, "only letters, digits and underscores"),
    ("credentials:\n- $REF{edge}\n", 2, "written in small letters"),
    ("keys: [a]\n$ref{edge}: x\n", 2, "it cannot stand in the name of a field"),
    ("keys: [a]\n'x$ref{edge}': x\n", 2, "it cannot stand in the name of a field"),
    ("credentials:\n- $$ref{edge}\nkeys: [a]\n", 2, "A credential cannot stand here in the clear"),
    ("realm: $ref{edge}\n", 1, "A reference cannot stand here"),
    (GOOD + "---\n" + GOOD, 5, "A second document begins here"),
    ("%YAML 1.1\n---\n" + GOOD, 1, "Directives"),
    ("- credentials\n", 1, "A rule begins with fields"),
    ("credentials: [$ref{edge}]\n", 1, "a reference needs quotes"),
    ("1: x\n", 1, "The name of a field is text"),
    ("? [a]\n: b\n", 1, "not a list or a mapping"),
]  # fmt: skip


@pytest.fixture
def gateway(region: Region) -> Instance:
    cast.key(region, "edge")
    return cast.instance(region, "gateway")


@pytest.fixture
def address(region: Region, gateway: Instance) -> str:
    return f"/local/instances/{gateway.ref}/plugins/{cast.plugin(gateway).name}/rules/instance/"


def typed(what: str, step: str = "save") -> dict[str, str]:
    return {"step": step, "text": what.replace("\n", "\r\n"), "enabled": "on", "once": str(uuid.uuid4())}


@pytest.mark.parametrize(("wrong", "line", "said"), BAD)
def test_each_slip_is_told_with_its_line_and_nothing_is_saved(address: str, wrong: str, line: int, said: str) -> None:
    cast.person("olive")
    before = AuditEntry.objects.filter(outcome="ok").count()
    for step in ("review", "save"):
        answer = post(address + "edit/", typed(wrong, step), "olive", status=422)
        told = text(answer)
        assert said in told, step
        assert f"Line {line}, column " in told, step
        assert 'aria-invalid="true"' in markup(answer)
    checked = text(post(address + "check/", {"text": wrong}, "olive", status=200))
    assert said in checked
    assert f"Line {line}, column " in checked
    assert not Rule.objects.exists()
    assert not Reference.objects.exists()
    assert AuditEntry.objects.filter(outcome="ok").count() == before


@pytest.mark.parametrize(("wrong", "line", "said"), BAD)
def test_a_rule_that_stands_stays_as_it_is(gateway: Instance, address: str, wrong: str, line: int, said: str) -> None:
    rule = cast.rule(cast.plugin(gateway), GOOD)
    post(address + "edit/", typed(wrong) | {"lock_version": str(rule.lock_version)}, status=422)
    rule.refresh_from_db()
    assert (rule.text, rule.number) == (GOOD, 1)
    assert [reference.path for reference in rule.references] == ["credentials[0]"]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_stalls_or_breaks_the_page(address: str, name: str) -> None:
    client = cast.client("olive")
    for path in ("edit/", "check/"):
        with at_most(1):
            answer = client.post(address + path, typed(HOSTILE[name], "review"))
        assert answer.status_code in (200, 413, 422)
    assert not Rule.objects.exists()


GROWING = {
    "characters": lambda n: "realm: " + "x" * n,
    "lines": lambda n: "# a comment\n" * (n // 12),
    "items": lambda n: "keys:\n" + "- a\n" * (n // 4),
    "unknown fields": lambda n: "".join(f"f{number}: 1\n" for number in range(n // 9)),
    "references": lambda n: "credentials:\n" + "- $ref{edge}\n" * (n // 13),
    "openings": lambda n: "realm: " + "$ref{" * (n // 5),
    "brackets": lambda n: "a: " + "[" * n,
    "quotes": lambda n: "a: " + "'" * n,
    "credentials in the clear": lambda n: "credentials:\n" + "- hunter2\n" * (n // 10),
}


@pytest.mark.parametrize("what", GROWING)
def test_a_text_four_times_as_long_takes_about_four_times_as_long(address: str, what: str) -> None:
    client = cast.client("olive")

    def takes(size: int) -> float:
        body = typed(GROWING[what](size), "review")
        return effort(lambda: client.post(address + "edit/", body))

    takes(1_000)  # templates and tables that are read once
    assert takes(60_000) < 12 * max(takes(15_000), 0.03)


def test_an_escaped_reference_is_text_and_comes_back_escaped(address: str, region: Region) -> None:
    stored = GOOD + "realm: pay $$ref{edge}\n"
    post(address + "edit/", typed(stored))
    rule = Rule.objects.get()
    assert rule.text == stored
    assert [reference.path for reference in rule.references] == ["credentials[0]"]
    assert "realm: pay $$ref{edge}" in text(get(address, "vera"))


def test_a_value_that_holds_a_reference_is_a_value(gateway: Instance, address: str, region: Region) -> None:
    """It is not looked into: the key it seems to name is not referred to, and nothing of it is shown."""
    other = cast.key(region, "y")
    holds = cast.key(region, "holds", "a value with $ref{y} in it")
    post(address + "edit/", typed(cast.key_auth(holds)))
    assert Key.objects.get(pk=other.pk).reference_count == 0
    assert "a value with" not in text(get(address))


def test_the_page_says_what_is_too_large_for_any_rule(address: str) -> None:
    answer = post(address + "edit/", typed("x" * 2**20), status=413)
    assert "a rule of a plug-in at most 65,536 characters" in text(answer)
    assert not Plugin.objects.get().rules.exists()
