import copy
import io
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_app import plaintext
from secrets_app.errors import Invalid, VaultError
from secrets_app.plaintext import MAX, Plaintext, Traits

CANARY = "canary-7Qx9-never-seen"


@dataclass
class Form:
    name: str
    value: Plaintext


WAYS_OUT: dict[str, Callable[[Plaintext], Any]] = {
    "repr": repr,
    "ascii": ascii,
    "str": str,
    "format": format,
    "f-string": lambda value: f"Bearer {value}",
    "f-string with repr": lambda value: f"{value!r}",
    "f-string with str": lambda value: f"{value!s}",
    "%s": lambda value: "%s" % value,  # noqa: UP031
    "%r": lambda value: "%r" % (value,),  # noqa: UP031
    "str.format": lambda value: "{}".format(value),  # noqa: UP032
    "join": lambda value: "".join([value]),
    "in a list": lambda value: str([value]),
    "in a dict": lambda value: f"{ {'value': value} }",
    "in a dataclass": lambda value: repr(Form("openai", value)),
    "asdict": lambda value: asdict(Form("openai", value)),
    "pprint": pprint.pformat,
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "list": list,
    "int": int,
    "len": len,
    "json": json.dumps,
    "json with repr": lambda value: json.dumps(value, default=repr),
    "vars": vars,
    "dir": dir,
    "state": lambda value: value.__getstate__(),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle 0": lambda value: pickle.dumps(value, 0),
    "pickle": pickle.dumps,
    "pickled in a form": lambda value: pickle.dumps(Form("openai", value)),
    "hash": hash,
    "as a dictionary key": lambda value: {value: 1},
    "compared": lambda value: value == Plaintext(CANARY),
    "compared unequal": lambda value: value != Plaintext(CANARY),
    "compared with text": lambda value: value == "text",
    "compared with bytes": lambda value: b"bytes" == value,  # noqa: SIM300
    "ordered": lambda value: value < Plaintext("b"),  # type: ignore[operator]
    "added": lambda value: "Bearer " + value,  # type: ignore[operator]
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_no_way_out_but_expose(way: str) -> None:
    value = Plaintext(CANARY)
    try:
        seen = repr(WAYS_OUT[way](value))
    except (TypeError, AttributeError) as refused:
        seen = "".join(traceback.TracebackException.from_exception(refused, capture_locals=True).format())
    assert CANARY not in seen
    assert value.expose() == CANARY.encode()


@pytest.mark.parametrize(
    "way",
    ["str", "format", "f-string", "%s", "hash", "len", "copy", "deepcopy", "pickle", "json", "compared", "compared with text", "state"],
)
def test_what_would_leak_or_mislead_raises(way: str) -> None:
    with pytest.raises(TypeError):
        WAYS_OUT[way](Plaintext(CANARY))


def test_a_log_line_does_not_show_it() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.handleError = lambda record: traceback.print_exc(file=out)  # type: ignore[method-assign]
    logger = logging.Logger("plaintext")
    logger.addHandler(handler)
    value = Plaintext(CANARY)
    for template in ("%s", "%r", "%(value)s"):
        logger.warning(template, {"value": value} if "value" in template else value)
    try:
        raise ValueError(value)
    except ValueError:
        logger.exception("failed")
    assert "hidden" in out.getvalue()
    assert CANARY not in out.getvalue()


def test_a_traceback_with_locals_does_not_show_it() -> None:
    def fails(value: Plaintext) -> None:
        kept = [value]
        raise LookupError(kept)

    made = Plaintext(CANARY)
    with pytest.raises(LookupError) as caught:
        fails(made)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "hidden" in shown
    assert CANARY not in shown


@pytest.mark.parametrize("bad", [CANARY + "\ud800", CANARY + "\0", CANARY * MAX], ids=["surrogate", "NUL", "too long"])
def test_a_refusal_holds_nothing_of_the_value(bad: str) -> None:
    with pytest.raises(Invalid) as refused:
        Plaintext(bad)
    error = refused.value
    assert CANARY not in repr(error)
    assert CANARY not in str(error.errors)
    assert error.__context__ is None, "the UnicodeEncodeError carries the value"
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == plaintext.__file__]
    assert frames
    assert not any(CANARY in repr(local)[:200] for frame in frames for local in frame.f_locals.values())


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("", "empty"),
        (b"", "empty"),
        ("a" * (MAX + 1), "64 KiB"),
        ("ä" * (MAX // 2) + "a", "64 KiB"),
        ("a\0b", "NUL"),
        (b"\0", "NUL"),
        ("\udcff", "Unicode"),
    ],
)
def test_what_cannot_be_a_value_is_refused_in_words(bad: str | bytes, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        Plaintext(bad)
    [text] = refused.value.errors["value"]
    assert says in text
    assert isinstance(refused.value, VaultError)
    assert refused.value.status == 422


@pytest.mark.parametrize("good", ["a", b"\xff", "a" * MAX, "ä" * (MAX // 2), " ", "line\nline\r\n"])
def test_one_byte_to_64_kib_are_kept_as_they_are(good: str | bytes) -> None:
    assert Plaintext(good).expose() == (good.encode() if isinstance(good, str) else good)


def test_it_can_be_asked_whether_it_is_nothing() -> None:
    value = Plaintext("x")
    assert value not in [None, "", [], (), {}]  # what Django's fields ask
    assert value in [value]
    assert value


def test_it_keeps_bytes_that_change_under_it() -> None:
    raw = bytearray(b"before")
    value = Plaintext(bytes(raw))
    raw[:] = b"after!"
    assert value.expose() == b"before"


@pytest.mark.parametrize(
    ("text", "traits"),
    [
        ("sk-abcdefghijklm", Traits(size=16, header_safe=True, long_enough=True)),
        ("sk-abcdefghijkl", Traits(size=15, header_safe=True, long_enough=False)),
        ("with a space in it", Traits(size=18, header_safe=True, long_enough=True)),
        (" space in front...", Traits(size=18, header_safe=False, long_enough=True)),
        ("space at the end.. ", Traits(size=19, header_safe=False, long_enough=True)),
        ("a line\nand another", Traits(size=18, header_safe=False, long_enough=True)),
        ("carriage\rreturn....", Traits(size=19, header_safe=False, long_enough=True)),
        ("tab\tinside.........", Traits(size=19, header_safe=False, long_enough=True)),
        ("delete\x7f...........", Traits(size=18, header_safe=False, long_enough=True)),
        ("schlüssel", Traits(size=10, header_safe=False, long_enough=False)),
        ("🔑" * 15, Traits(size=60, header_safe=False, long_enough=False)),
        ("🔑" * 16, Traits(size=64, header_safe=False, long_enough=True)),
    ],
)
def test_traits(text: str, traits: Traits) -> None:
    assert Plaintext(text).traits == traits


@given(st.binary(min_size=1, max_size=80).filter(lambda raw: 0 not in raw))
def test_header_safe_is_what_the_rule_says_for_any_bytes(raw: bytes) -> None:
    allowed = {chr(code) for code in range(0x20, 0x7F)}
    text = raw.decode("latin-1")
    assert Plaintext(raw).traits.header_safe == (set(text) <= allowed and text.strip() == text)


def test_a_generated_value_is_long_random_and_fit_for_a_header() -> None:
    made = [Plaintext.generate() for _ in range(200)]
    texts = {value.expose().decode() for value in made}
    assert len(texts) == 200
    assert {len(text) for text in texts} == {46}
    assert all(text.startswith("lk_") and text[3:].isalnum() and text.isascii() for text in texts)
    assert all(value.traits.header_safe and value.traits.long_enough for value in made)
    assert len({text[-1] for text in texts}) > 40, "the last digit takes all values"
