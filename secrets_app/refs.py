"""`$ref{name}`: how configuration text refers to a key.

The grammar holds inside one scalar of a parsed document, whole or in part (`Bearer $ref{x}`), never on the document's text.
`$$ref{` stands for a literal `$ref{`. Filling in does not look at what it put in: a value that holds `$ref{y}` stays as it is.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

NAME_LIMIT = 64

_OPENING = re.compile(rb"\$ref\{", re.IGNORECASE)
_MARKS = re.compile(r"\$(\$?)(ref)\{", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9_]+")


def looks_like_reference(value: bytes) -> bool:
    """Whether somebody entered a reference where a value belongs. Taken literally it would be a password that everybody can guess."""
    return bool(_OPENING.search(value))


class RefFault(Exception):
    """Text that begins a reference and does not end as one. `offset` counts characters from the start of the scalar."""

    def __init__(self, offset: int, message: Promise | str) -> None:
        super().__init__(message)
        self.offset = offset

    @property
    def message(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class Ref:
    name: str
    offset: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return "$ref{%s}" % self.name  # noqa: UP031 - braces read worse in the other ways


@dataclass(frozen=True, slots=True)
class Template:
    """A scalar as literal text and references in turn. Literals are unescaped; str() gives the text that was parsed."""

    parts: tuple[str | Ref, ...]

    @property
    def refs(self) -> tuple[Ref, ...]:
        return tuple(part for part in self.parts if isinstance(part, Ref))

    @property
    def whole(self) -> Ref | None:
        """The reference, when the scalar is nothing else."""
        only = self.parts[0] if len(self.parts) == 1 else None
        return only if isinstance(only, Ref) else None

    @property
    def literal(self) -> str:
        """The literal text alone: what may be looked at before any value is known."""
        return "".join(part for part in self.parts if isinstance(part, str))

    def fill(self, value: Callable[[Ref], bytes]) -> bytes:
        """Literals as UTF-8, each reference as its value; the values are not looked at."""
        return b"".join(part.encode() if isinstance(part, str) else value(part) for part in self.parts)

    def __str__(self) -> str:
        return "".join(escape(part) if isinstance(part, str) else str(part) for part in self.parts)


def parse(text: str) -> Template:
    """Raises RefFault at the first reference that is unclosed, empty, too long or oddly spelt."""
    parts: list[str | Ref] = []
    literal, at = "", 0
    while mark := _MARKS.search(text, at):
        literal += text[at : mark.start()]
        if mark[1]:
            literal += mark[0][1:]
            at = mark.end()
            continue
        name, at = _name(text, mark)
        parts += [literal, Ref(name, mark.start())] if literal else [Ref(name, mark.start())]
        literal = ""
    literal += text[at:]
    return Template((*parts, literal) if literal or not parts else tuple(parts))


def escape(literal: str) -> str:
    """Text that `parse` reads back as this literal."""
    return re.sub(r"\$(ref\{)", r"$$\1", literal, flags=re.IGNORECASE)


def openings(text: str) -> list[int]:
    """Where references and escaped ones begin, as `parse` finds them."""
    return [mark.start() + len(mark[1]) for mark in _MARKS.finditer(text)]


def _name(text: str, mark: re.Match[str]) -> tuple[str, int]:
    """The name that begins where the mark ends, and the offset behind its brace."""
    start = mark.end()
    close = text.find("}", start)
    name = text[start:close]
    if close < 0:
        raise RefFault(mark.start(), _("This reference is not closed. Write $ref{name}; for a literal “$ref{” write “$$ref{”."))
    if mark[2] != "ref":
        raise RefFault(mark.start(), _("A reference is written in small letters: $ref{name}."))
    if not name:
        raise RefFault(mark.start(), _("This reference names no key. Write the key's name between the braces: $ref{name}."))
    if not _NAME.fullmatch(name):
        text_ = _("A key's name has only letters, digits and underscores, without spaces. For a literal “$ref{” write “$$ref{”.")
        raise RefFault(mark.start(), text_)
    if len(name) > NAME_LIMIT:
        raise RefFault(mark.start(), _("A key's name has at most 64 characters; this one is longer."))
    return name, close + 1
