"""YAML as people type it, read within bounds: what comes out is a tree of plain values, and where each of them stands.

The reader takes the parser's events one by one and builds the tree itself, so nothing that YAML can do besides is ever
done: no tags, no anchors (a few lines of them expand to gigabytes), no merge keys, no second document. Scalars are read as
in YAML 1.2: `yes` and `0123` are text. The longest text allowed takes less than 0.6 s with PyYAML's pure reader, 0.05 s with libyaml.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from gateway.plugins.document import (
    DEPTH_LIMIT,
    FAULT_LIMIT,
    LINE_LIMIT,
    NODE_LIMIT,
    REF_LIMIT,
    TEXT_LIMIT,
    Document,
    Fault,
    Mark,
    Placed,
    normal,
)
from gateway.plugins.paths import Path, written
from secrets_app import refs
from secrets_app.refs import RefFault, Template

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

UNREADABLE = re.compile("[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[-+]?[0-9]{1,17}(\.[0-9]{1,17})?([eE][-+]?[0-9]{1,2})?")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def read(text: str) -> Document:
    """Never raises: what cannot be read is in `faults`, first things first."""
    text = normal(text)
    if (fault := _outside_bounds(text)) is not None:
        return Document({}, faults=(fault,))
    reader = _Reader(text)
    reader.run()
    tree = reader.root if isinstance(reader.root, dict) else {}
    faults = sorted(reader.faults, key=lambda fault: (fault.line, fault.column))
    return Document(tree, reader.marks, reader.names, tuple(reader.refs), tuple(faults[:FAULT_LIMIT]))


@lru_cache(maxsize=4096)
def parsed(text: str) -> Document:
    """`read`, remembered: for the control plane, which sees the same texts again and again. Do not change what it answers."""
    return read(text)


def _outside_bounds(text: str) -> Fault | None:
    if len(text) > TEXT_LIMIT:
        message = _("This text has %(size)d characters; a rule has at most %(limit)d.")
        return _fault_at(text, TEXT_LIMIT, message % {"size": len(text), "limit": TEXT_LIMIT})
    if text.count("\n") > LINE_LIMIT:
        return Fault(LINE_LIMIT + 1, 1, "", str(_("This text has more than %(limit)d lines.") % {"limit": LINE_LIMIT}))
    if found := UNREADABLE.search(text):
        message = _("An invisible character (%(code)s) stands here. Remove it.")
        return _fault_at(text, found.start(), message % {"code": f"U+{ord(found[0]):04X}"})
    return None


def _fault_at(text: str, index: int, message: Promise | str) -> Fault:
    before = text[:index]
    return Fault(before.count("\n") + 1, len(before) - before.rfind("\n"), "", str(message))


class _Stop(Exception):
    """No use in reading on."""


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet. `name` is a mapping's field whose value comes next."""

    value: Any
    path: Path
    name: str | None = None
    waits_for_name: bool = True


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.root: Any = {}
        self.marks: dict[Path, Mark] = {}
        self.names: dict[Path, Mark] = {}
        self.refs: list[Placed] = []
        self.faults: list[Fault] = []
        self._open: list[_Open] = []
        self._nodes = 0
        self._documents = 0
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]  # where each begins

    def run(self) -> None:
        try:
            for event in self._events():
                self._take(event)
        except _Stop:
            pass

    def _events(self) -> Iterator[yaml.Event]:
        try:
            yield from yaml.parse(self.text, Loader=LOADER)
        except yaml.MarkedYAMLError as broken:
            mark = broken.problem_mark or broken.context_mark
            index = min(mark.index if mark else 0, len(self.text))
            # The parser's own words are let go: some of them quote the text.
            self.faults.append(_fault_at(self.text, index, _why_broken(self.text, index, broken.problem or "")))
        except yaml.YAMLError:
            self.faults.append(Fault(1, 1, "", str(_("This text cannot be read as YAML."))))

    def _take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._begin_document(event)
            case yaml.AliasEvent():
                self._fault(event, _("Aliases (*name) are not read: write the value out again here."))
                self._place(None, event)
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent():
                self._begin({}, event)
            case yaml.SequenceStartEvent():
                self._begin([], event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._open.pop()

    def _begin_document(self, event: yaml.DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            self._fault(event, _("A second document begins here (---). A rule is one document."))
            raise _Stop
        if event.version or event.tags:
            self._fault(event, _("Directives (lines that begin with %) are not read. Remove them."))

    def _begin(self, value: Any, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        if len(self._open) >= DEPTH_LIMIT:
            self._fault(event, _("This is nested deeper than %(limit)d levels.") % {"limit": DEPTH_LIMIT})
            raise _Stop
        self._check_plain(event)
        if self._in_name():
            self._fault(event, _("The name of a field is text, not a list or a mapping."))
            raise _Stop
        if not self._open and not isinstance(value, dict):
            self._fault(event, _("A rule begins with fields, such as “keys:”, not with a list."))
        self._open.append(_Open(value, self._place(value, event)))

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._check_plain(event)
        plain = event.implicit[0] and not event.style
        if self._in_name():
            self._name(event, plain)
            return
        path = self._path()
        value: Any = _plain_value(event.value) if plain else event.value
        if isinstance(value, str):
            value = self._text(event, value, path)
        if not self._open and value is not None:
            self._fault(event, _("A rule begins with fields, such as “keys:”, not with a single value."))
        self._place({} if not self._open else value, event)

    def _text(self, event: yaml.ScalarEvent, value: str, path: Path) -> str | Template:
        at = self._openings(event)
        try:
            template = refs.parse(value)
        except RefFault as wrong:
            self._add(at[wrong.offset], path, wrong.message)
            return value
        self.refs += [Placed(path, ref, at[ref.offset]) for ref in template.refs]
        if len(self.refs) > REF_LIMIT:
            self._fault(event, _("This text has more than %(limit)d references.") % {"limit": REF_LIMIT})
            raise _Stop
        return template if template.refs else template.literal

    def _name(self, event: yaml.ScalarEvent, plain: bool) -> None:
        top, name = self._open[-1], event.value
        if refs.openings(name):
            self._fault(event, _("A reference can only be a value: it cannot stand in the name of a field."))
        elif plain and name == "<<":
            self._fault(event, _("Merge keys (<<) are not read: write the fields out here."))
        elif plain and not isinstance(_plain_value(name), str):
            self._fault(event, _("The name of a field is text: put it in quotes."))
        path = (*top.path, name)
        if path in self.names:
            text = _("This field stands here twice; the first is on line %(line)d.") % {"line": self.names[path].line}
            self._add(_mark(event), path, text)
        self.names.setdefault(path, _mark(event))
        top.name, top.waits_for_name = name, False

    def _place(self, value: Any, event: yaml.NodeEvent) -> Path:
        """Put a value where it belongs; its path."""
        self._nodes += 1
        if self._nodes > NODE_LIMIT:
            self._fault(event, _("This text has more than %(limit)d values.") % {"limit": NODE_LIMIT})
            raise _Stop
        if self._in_name():  # an alias
            raise _Stop
        path = self._path()
        self.marks.setdefault(path, _mark(event))
        if not self._open:
            self.root = value
            return path
        top = self._open[-1]
        if isinstance(top.value, list):
            top.value.append(value)
        else:
            top.value.setdefault(top.name, value)
            top.name, top.waits_for_name = None, True
        return path

    def _path(self) -> Path:
        """Of the value that comes next."""
        if not self._open:
            return ()
        top = self._open[-1]
        return (*top.path, len(top.value)) if isinstance(top.value, list) else (*top.path, top.name or "")

    def _in_name(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].waits_for_name

    def _check_plain(self, event: yaml.ScalarEvent | yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        if event.anchor is not None:
            self._fault(event, _("Anchors (&name) are not read: write the value out wherever it is needed."))
        if event.tag is not None:
            self._fault(event, _("Tags (!name) are not read: remove it. Text that begins with “!” needs quotes."))

    def _openings(self, event: yaml.ScalarEvent) -> dict[int, Mark]:
        """Of each reference of a scalar, by its offset there, the place in the text. Where quoting hides it, the scalar's own."""
        assert event.start_mark
        assert event.end_mark
        inside = refs.openings(event.value)
        start = event.start_mark.index
        written = refs.openings(self.text[start : event.end_mark.index])
        if len(written) != len(inside):
            return dict.fromkeys(inside, _mark(event))
        return {offset: self._mark_at(start + place) for offset, place in zip(inside, written, strict=True)}

    def _mark_at(self, index: int) -> Mark:
        line = bisect_right(self._lines, index)
        return Mark(line, index - self._lines[line - 1] + 1)

    def _fault(self, event: yaml.Event, message: Promise | str) -> None:
        path = self._open[-1].path if self._open and self._in_name() else self._path()
        self._add(_mark(event), path, message)

    def _add(self, mark: Mark, path: Path, message: Promise | str) -> None:
        self.faults.append(Fault(mark.line, mark.column, written(path), str(message)))
        if len(self.faults) >= FAULT_LIMIT:
            raise _Stop


def _mark(event: yaml.Event) -> Mark:
    assert event.start_mark
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _plain_value(text: str) -> str | int | float | bool | None:
    """An unquoted scalar as YAML 1.2 has it. Numbers longer than 18 digits stay text, as do those with a zero in front."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text) and not re.match(r"[-+]?0[0-9]", text):
        return float(text)
    return text


def _why_broken(text: str, index: int, problem: str) -> Promise | str:
    line = text[text.rfind("\n", 0, index) + 1 :].split("\n", 1)[0]
    here = text[index : index + 1]
    if here == "\t" or re.match(r" *\t", line):
        return _("A tab stands here. YAML is indented with spaces.")
    if re.search(r"\$ref\Z", text[:index]) or re.search(r"[\[{,]\s*[^\"'\[{,]*\$ref\{", line):
        return _("Between [ ] or { } a reference needs quotes: \"$ref{name}\".")  # fmt: skip
    for part, words in _BROKEN.items():
        if part in problem:
            return words
    return _("This cannot be read as YAML. Look for a missing colon, quote or bracket, and for lines indented unlike their neighbours.")


_BROKEN: dict[str, Promise] = {
    "mapping values are not allowed": _(
        "A second colon stands on this line, or the line above ends too soon. Put text that holds “: ” in quotes."
    ),
    "unexpected end of stream": _("A quote is opened and not closed."),
    "did not find expected key": _("A field was expected here. Look at the indentation, and for text that needs quotes."),
    "expected <block end>": _("A field was expected here. Look at the indentation, and for text that needs quotes."),
    "did not find expected '-' indicator": _("An item of the list (-) was expected here. Look at the indentation."),
    "could not find expected ':'": _("A colon is missing: a field is written “name: value”."),
    "block sequence entries are not allowed": _("A list cannot begin here. Put its first “-” on a line of its own."),
    "undefined alias": _("Aliases (*name) are not read. Text that begins with “*” needs quotes."),
    "unknown escape character": _("Between double quotes a backslash begins an escape. Write two, or use single quotes."),
    "cannot start any token": _("Text cannot begin with this character. Put it in quotes."),
    "',' or ']'": _("A comma or a closing bracket ] is missing."),
    "',' or '}'": _("A comma or a closing brace } is missing."),
}
