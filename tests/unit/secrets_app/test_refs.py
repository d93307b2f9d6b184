import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_app.refs import Ref, RefFault, Template, escape, openings, parse

names = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=64)


def test_a_whole_reference() -> None:
    assert parse("$ref{openai_prod}").whole == Ref("openai_prod")


def test_a_reference_inside_text() -> None:
    template = parse("Bearer $ref{x}!")
    assert template.parts == ("Bearer ", Ref("x"), "!")
    assert template.whole is None
    assert template.literal == "Bearer !"


def test_references_side_by_side() -> None:
    assert [ref.name for ref in parse("$ref{a}$ref{b}").refs] == ["a", "b"]


def test_two_dollars_stand_for_a_literal_opening() -> None:
    assert parse("$$ref{x}").parts == ("$ref{x}",)
    assert parse("$$ref{").parts == ("$ref{",)
    assert parse("a $$ref{x} $ref{y}").parts == ("a $ref{x} ", Ref("y"))


def test_a_third_dollar_is_a_dollar() -> None:
    assert parse("$$$ref{x}").parts == ("$$ref{x}",)


@pytest.mark.parametrize("text", ["", "$", "$$", "ref{x}", "$ref", "$ref x", "$reference{x}", "${ref}", "{x}", "100 % $"])
def test_text_without_an_opening_is_text(text: str) -> None:
    assert parse(text).parts == (text,)


@pytest.mark.parametrize(
    ("text", "offset", "said"),
    [
        ("Bearer $ref{x", 7, "not closed"),
        ("$ref{", 0, "not closed"),
        ("$ref{}", 0, "names no key"),
        ("a$ref{ x }", 1, "only letters, digits and underscores"),
        ("$ref{a-b}", 0, "only letters, digits and underscores"),
        ("$ref{é}", 0, "only letters, digits and underscores"),
        ("$ref{a\n}", 0, "only letters, digits and underscores"),
        ("$ref{$ref{x}}", 0, "only letters, digits and underscores"),
        ("$ref{a $ref{b}", 0, "only letters, digits and underscores"),
        ("$ref{" + "x" * 65 + "}", 0, "at most 64"),
        ("$REF{x}", 0, "small letters"),
        ("$ref{a} $Ref{b}", 8, "small letters"),
    ],
)
def test_a_broken_reference_is_told_with_its_place(text: str, offset: int, said: str) -> None:
    with pytest.raises(RefFault) as fault:
        parse(text)
    assert fault.value.offset == offset
    assert said in fault.value.message


def test_a_message_never_repeats_what_stands_between_the_braces() -> None:
    with pytest.raises(RefFault) as fault:
        parse("$ref{sk-live-0123456789 }")
    assert "sk-live" not in fault.value.message


def test_a_name_of_64_characters_is_allowed() -> None:
    assert parse("$ref{" + "x" * 64 + "}").refs[0].name == "x" * 64


def test_filling_in_does_not_look_at_values() -> None:
    assert parse("$ref{a}/$ref{b}").fill(lambda ref: {"a": b"$ref{b}", "b": b"$$ref{a}"}[ref.name]) == b"$ref{b}/$$ref{a}"


def test_equality_leaves_the_place_out() -> None:
    assert Ref("a", 3) == Ref("a", 9)


def test_openings_are_where_references_begin() -> None:
    assert openings("$ref{a} $$ref{b}") == [0, 9]


@given(st.text())
def test_escaped_text_is_read_as_itself(text: str) -> None:
    template = parse(escape(text))
    assert template.parts == (text,)
    assert str(template) == escape(text)


@given(st.text(alphabet=st.sampled_from("$ref{}REFx_ ")))
def test_text_is_read_or_refused_and_comes_back_as_it_was(text: str) -> None:
    place, template = _read(text)
    assert template is None or str(template) == text
    assert template is not None or text[place:].lower().startswith("$ref{")


def _read(text: str) -> tuple[int, Template | None]:
    try:
        return 0, parse(text)
    except RefFault as fault:
        return fault.offset, None


@given(st.lists(st.one_of(st.text(alphabet="ab ${}ref").filter(lambda text: not text.endswith("$")), names.map(Ref))))
def test_what_is_put_together_is_read_again(parts: list[str | Ref]) -> None:
    template = parse(str(Template(tuple(parts))))
    assert list(template.refs) == [part for part in parts if isinstance(part, Ref)]
    assert template.literal == "".join(part for part in parts if isinstance(part, str))


@given(st.dictionaries(names, st.binary()), st.lists(st.text(alphabet="ab :"), min_size=1, max_size=3))
def test_values_of_any_bytes_stand_where_their_references_stood(values: dict[str, bytes], between: list[str]) -> None:
    text, wanted = between[0], between[0].encode()
    for name, value in values.items():
        text, wanted = f"{text}$ref{{{name}}}", wanted + value
    assert parse(text).fill(lambda ref: values[ref.name]) == wanted
