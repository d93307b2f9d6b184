"""A rule's text with another key in it: what refers to the key changes, and not a letter beside it."""

import pytest

from gateway.plugins.reading import read
from gateway.plugins.renaming import renamed, without


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a: $ref{one}\n", "a: $ref{other}\n"),
        ("a: $ref{ONE}\n", "a: $ref{other}\n"),
        ("a: Bearer $ref{one}:$ref{one}-$ref{onee}\n", "a: Bearer $ref{other}:$ref{other}-$ref{onee}\n"),
        ("a: $ref{one}  # $ref{one} stands here\n", "a: $ref{other}  # $ref{one} stands here\n"),
        ("a: $$ref{one} $ref{one}\n", "a: $$ref{one} $ref{other}\n"),
        ("a: \"ü $ref{one}\"\nb: ['$ref{one}', 1]\n", "a: \"ü $ref{other}\"\nb: ['$ref{other}', 1]\n"),
        ("a: |\n  one $ref{one}\n  two $ref{one}\n", "a: |\n  one $ref{other}\n  two $ref{other}\n"),
        ("a: x\r\nb: $ref{one}", "a: x\nb: $ref{other}"),
        ("one: $ref{two}\n", "one: $ref{two}\n"),
    ],
)
def test_only_references_to_the_key_change(before: str, after: str) -> None:
    assert renamed(before, "one", "other") == after


@pytest.mark.parametrize("text", ['a: "\\x24ref{one}"', "a: [", "- $ref{one}"])
def test_what_cannot_be_done_to_the_letter_is_not_done(text: str) -> None:
    assert renamed(text, "one", "other") is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a:\n- $ref{one}\n- $ref{other}\n", "a:\n- $ref{other}\n"),
        ("a:\n  - '$ref{other}'\n  - \"$ref{One}\"  # old\n  - $ref{x}\n", "a:\n  - '$ref{other}'\n  - $ref{x}\n"),
        ("a:\n- $ref{one}\n- $ref{one}\n- $ref{other}\n", "a:\n- $ref{other}\n"),
        ("a:\n- $ref{one}\nb:\n- $ref{other}\n", "a:\n- $ref{one}\nb:\n- $ref{other}\n"),
        ("a: [$ref{one}, $ref{other}]\n", "a: [$ref{one}, $ref{other}]\n"),
        ("a: ['$ref{one}', '$ref{other}']\n", "a: ['$ref{one}', '$ref{other}']\n"),
        ("a:\n- x $ref{one}\n- $ref{other}\n", "a:\n- x $ref{one}\n- $ref{other}\n"),
        ("a:\n- b: $ref{one}\n- $ref{other}\n", "a:\n- b: $ref{one}\n- $ref{other}\n"),
    ],
)
def test_an_item_that_would_stand_twice_goes_with_its_line(before: str, after: str) -> None:
    assert without(before, "one", "other") == after
    assert not read(after).faults or read(before).faults
