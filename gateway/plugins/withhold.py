"""What an answer must not repeat of a text that was refused: credentials that somebody typed where a reference belongs.

Each gives way to an empty reference, which can be no value: whoever sends the text again has to fill it in first. Lines keep
their numbers. A text is looked at in two ways. As far as it can be read as YAML, whatever stands at, around or inside a place
that takes nothing but a reference goes, and whatever bears the name of such a place, or nearly: a slip in a name is a fault too.
And anywhere, names and comments included, words go that look like keys by their shape: of a text that is longer than any rule, or
past what no reader understands, that is all that can be told. Of keys in JSON (JWK) what is public stays, and what is not goes.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import yaml

from gateway.jwks import SECRET_FIELDS
from gateway.plugins import reading
from gateway.plugins.base import Official
from gateway.plugins.document import DEPTH_LIMIT, TEXT_LIMIT, Fault, normal
from gateway.plugins.paths import Path, meets
from gateway.plugins.schema import nearest
from secrets_app import refs

HOLE = "$ref{}"

_NOTHING = {"", "~", "null", "Null", "NULL"}
_REFERENCE = r"\$ref\{[^}\n]*\}?"
_SHAPES = (
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",  # a UUID
    r"(?<![a-z0-9])(?:sk|pk|rk|lk|gh[a-z]|xox[a-z]|pat|key|token)[-_][a-z0-9_-]{16,}",  # as suppliers begin their keys
    r"(?<![a-z0-9+])(?=[a-z+]*[0-9])(?=[0-9+]*[a-z])[a-z0-9+]{16,}",  # letters and digits in one word, and no short one
)
_PUBLIC = r"""\\?"(?:kid|n|e|x|y|x5[a-z]|x5t\#s256)\\?"[ \t]*:[ \t]*\[?\\?"[^"\\\n]*"""
_PRIVATE = rf"""(?P<member>\\?"(?:{"|".join(sorted(SECRET_FIELDS))})\\?"[ \t]*:[ \t]*\\?")[^"\\\n]+"""
_WORD = re.compile("|".join((_REFERENCE, _PUBLIC, f"({_PRIVATE})", *(f"({shape})" for shape in _SHAPES))), re.IGNORECASE)
_LINE = re.compile(r"^[ \t-]*[\"']?(\w+)[\"']?[ \t]*:", re.MULTILINE)
_READ = 2 * TEXT_LIMIT  # characters: a text is read again behind what is broken in it, a short one more often than a long one
_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Withheld:
    """The text as it may be shown, and the lines where something was taken out."""

    text: str
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Span:
    """Of the text, by index; `put` stands there instead."""

    start: int
    end: int
    put: str


def withhold(plugin: Official, text: str) -> Withheld:
    """Never raises; takes time in proportion to the length."""
    text = normal(text)
    spans = sorted(_at_their_places(plugin, text), key=lambda span: (span.start, -span.end))
    shown, at = "", 0
    lines: list[int] = []
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    for span in spans:
        if span.start < at:
            continue  # a value on a line that goes as a whole
        before = _without_keys(text, at, span.start, starts, lines)
        lines.append(bisect_right(starts, span.start))
        shown, at = shown + before + span.put, span.end
    shown += _without_keys(text, at, len(text), starts, lines)
    return Withheld(shown, tuple(dict.fromkeys(lines)))


def told(fault: Fault) -> Fault:
    """The same, where the name of a field is what looks like a key."""
    return replace(fault, path=_WORD.sub(lambda found: HOLE if found.lastindex else found[0], fault.path))


def _without_keys(text: str, start: int, end: int, starts: list[int], lines: list[int]) -> str:
    def hole(found: re.Match[str]) -> str:
        if found.lastindex is None:
            return found[0]
        lines.append(bisect_right(starts, start + found.start()))
        return (found["member"] or "") + HOLE

    return _WORD.sub(hole, text[start:end])


def _at_their_places(plugin: Official, text: str) -> Iterator[_Span]:
    patterns = [pattern for pattern, secret in plugin.secret_fields.items() if secret.required]
    if len(text) > TEXT_LIMIT or not (patterns or plugin.no_secret):
        return
    names = set(re.findall(r"\w+", " ".join(patterns)))
    meant = [re.findall(r"\w+", pattern)[-1] for pattern in patterns]
    near = cache(lambda step: bool(nearest(step, meant)))
    broken: list[int] = []
    for path, start, end in _values(text, broken):
        private = path[-1:] and path[-1] in SECRET_FIELDS and any(meets(pattern, path) for pattern in plugin.no_secret)
        named = any(near(step) for step in path if isinstance(step, str))
        if private or named or any(meets(pattern, path) for pattern in patterns):
            yield _Span(start, end, f'"{HOLE}"' + "\n" * text.count("\n", start, end))
    for line in broken:
        if found := _behind_a_name(text, line, names):
            yield found


def _values(text: str, broken: list[int]) -> Iterator[tuple[Path, int, int]]:
    """Each value that refers to nothing, with its place. Lines that cannot be read are passed over, and noted by where they begin."""
    text = reading.UNREADABLE.sub(" ", text)
    for _attempt in range(max(1, min(_ATTEMPTS, _READ // (len(text) or 1)))):
        try:
            for path, event in _scalars(text):
                if event.value not in _NOTHING and not refs.openings(event.value):
                    assert event.start_mark
                    assert event.end_mark
                    yield path, event.start_mark.index, event.end_mark.index
        except yaml.MarkedYAMLError as wrong:
            # That a quote is open, or a colon missing, shows where the text goes on; the line to pass over is where it began.
            began = (wrong.context or "").startswith("while scanning")
            mark = (wrong.context_mark if began else None) or wrong.problem_mark or wrong.context_mark
            start = text.rfind("\n", 0, min(mark.index if mark else 0, len(text))) + 1
            broken.append(start)
            end = _line_end(text, start)
            text = text[:start] + " " * (end - start) + text[end:]
        except yaml.YAMLError:
            return
        else:
            return


def _behind_a_name(text: str, start: int, names: set[str]) -> _Span | None:
    """Of a line that nobody can read: what its name, or the nearest above it, makes a credential."""
    name, end = _LINE.match(text, start), _line_end(text, start)
    value = name.end() if name else start
    if name is None:
        for above in _LINE.finditer(text, 0, start):
            name = above
    while value < end and text[value] in " -\t":
        value += 1
    said = text[value:end].rstrip()
    if name is None or name[1] not in names or not re.search(r"\w", said) or refs.openings(said):
        return None
    return _Span(value, value + len(said), f'"{HOLE}"')


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


@dataclass(slots=True)
class _Around:
    """A list, whose `step` is the number that comes next, or a mapping, whose `step` is the name, and None before one came."""

    step: int | str | None

    def placed(self) -> None:
        if isinstance(self.step, int):
            self.step += 1
        else:
            self.step = "?" if self.step is None else None


def _scalars(text: str) -> Iterator[tuple[Path, yaml.ScalarEvent]]:
    """Values with their paths. Depth is bounded as it is where texts are judged: beyond it libyaml takes the square of it."""
    around: list[_Around] = []
    for event in yaml.parse(text, Loader=reading.LOADER):
        if isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            if len(around) >= DEPTH_LIMIT:
                return
            around.append(_Around(0 if isinstance(event, yaml.SequenceStartEvent) else None))
            continue
        if isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            around.pop()
        elif isinstance(event, yaml.ScalarEvent) and around and around[-1].step is None:
            around[-1].step = event.value
            continue
        elif isinstance(event, yaml.ScalarEvent):
            yield tuple(one.step for one in around if one.step is not None), event
        elif not isinstance(event, yaml.AliasEvent):
            continue
        if around:
            around[-1].placed()
