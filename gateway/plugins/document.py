"""What is read from a rule's text: a tree of plain values, where each of them stands, and what is wrong."""

from dataclasses import dataclass, field

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from gateway.plugins.base import Config
from gateway.plugins.paths import Path, written
from secrets_app.refs import Ref

TEXT_LIMIT = 64 * 1024  # characters
LINE_LIMIT = 5_000  # each is a row of the pages that show a text
DEPTH_LIMIT = 32
NODE_LIMIT = 5_000
REF_LIMIT = 2_000
FAULT_LIMIT = 20  # more are not told


@dataclass(frozen=True, slots=True)
class Mark:
    """Both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a text, and where. `path` is empty where the tree was never reached. `meant`: the name that was probably meant."""

    line: int
    column: int
    path: str
    message: str
    meant: str = ""

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        return str(_("Line %(line)d, column %(column)d: ") % {"line": self.line, "column": self.column}) + place + self.message


@dataclass(frozen=True, slots=True)
class Placed:
    """A reference where it stands."""

    path: Path
    ref: Ref
    mark: Mark


@dataclass(frozen=True, slots=True)
class Document:
    """`tree` is whole only without faults. Marks are by path; a field's own name has a mark beside its value's."""

    tree: Config
    marks: dict[Path, Mark] = field(default_factory=dict)
    names: dict[Path, Mark] = field(default_factory=dict)
    refs: tuple[Placed, ...] = ()
    faults: tuple[Fault, ...] = ()

    def fault(self, path: Path, message: Promise | str, *, of_name: bool = False, meant: str = "") -> Fault:
        """At the place, or at the nearest one around it that stands in the text."""
        first, second = (self.names, self.marks) if of_name else (self.marks, self.names)
        around = path
        while around and around not in first and around not in second:
            around = around[:-1]
        mark = first.get(around) or second.get(around) or Mark(1, 1)
        return Fault(mark.line, mark.column, written(path), str(message), meant)

    def find(self, place: str) -> Mark | None:
        """Where a path stands as people read it, or the number of a line: `consumers[0].name`, `12`."""
        if place.isascii() and place.isdigit():
            return Mark(int(place[:9]), 1)
        paths = (path for path in (*self.marks, *self.names) if path and written(path) == place)
        return next((self.marks.get(path) or self.names[path] for path in paths), None)


def normal(text: str) -> str:
    """A text as it is stored: lines end with a line feed, and no byte order mark stands in front."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
