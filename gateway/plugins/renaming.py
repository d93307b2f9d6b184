"""A rule's text with its references to one key turned into references to another. Nothing else of the text changes."""

import re
from typing import Any

from gateway.plugins.document import Document, Mark, normal
from gateway.plugins.paths import Path
from gateway.plugins.reading import read
from secrets_app.refs import Ref, Template


def renamed(text: str, was: str, becomes: str) -> str | None:
    """None where that cannot be done to the letter: a text that cannot be read, or a reference that quoting hides."""
    text = normal(text)
    before = read(text)
    if before.faults:
        return None
    lines = text.splitlines(keepends=True)
    for placed in sorted(before.refs, key=lambda placed: (placed.mark.line, placed.mark.column), reverse=True):
        if _is(placed.ref, was):
            line, start = lines[placed.mark.line - 1], placed.mark.column - 1
            if not line.startswith(str(placed.ref), start):
                return None
            lines[placed.mark.line - 1] = line[:start] + str(Ref(becomes)) + line[start + len(str(placed.ref)) :]
    after = "".join(lines)
    return after if _says(after, _swapped(before.tree, was, becomes)) else None


def without(text: str, name: str, beside: str) -> str:
    """The text without the items that are references to `name`, in lists which refer to `beside` as well.

    Only items that have a line of their own are left out; the others stay.
    """
    text = normal(text)
    before = read(text)
    doubled = [placed for placed in before.refs if _is(placed.ref, name) and _stands_beside(before, placed.path, beside)]
    for placed in sorted(doubled, key=lambda placed: placed.mark.line, reverse=True):
        shorter = _without_line(text, placed.mark, placed.ref)
        if shorter is not None and _says(shorter, _left_out(read(text).tree, placed.path)):
            text = shorter
    return text


def _stands_beside(document: Document, path: Path, other: str) -> bool:
    """As an item of a list, whole, with another that is whole as well."""
    items = _at(document.tree, path[:-1])
    if not isinstance(items, list):
        return False
    refs = [item.whole for item in items if isinstance(item, Template)]
    mine = items[int(path[-1])]
    return isinstance(mine, Template) and mine.whole is not None and any(ref is not None and _is(ref, other) for ref in refs)


def _without_line(text: str, mark: Mark, ref: Ref) -> str | None:
    lines = text.splitlines(keepends=True)
    item = re.compile(rf"\s*-\s+([\"']?){re.escape(str(ref))}\1\s*(#.*)?")
    if not item.fullmatch(lines[mark.line - 1].rstrip("\n")):
        return None
    return "".join(lines[: mark.line - 1] + lines[mark.line :])


def _says(text: str, tree: Any) -> bool:
    document = read(text)
    return not document.faults and document.tree == tree


def _swapped(value: Any, was: str, becomes: str) -> Any:
    if isinstance(value, dict):
        return {name: _swapped(inner, was, becomes) for name, inner in value.items()}
    if isinstance(value, list):
        return [_swapped(inner, was, becomes) for inner in value]
    if isinstance(value, Template):
        return Template(tuple(Ref(becomes) if isinstance(part, Ref) and _is(part, was) else part for part in value.parts))
    return value


def _left_out(tree: Any, path: Path) -> Any:
    """`tree` is read for this alone."""
    del _at(tree, path[:-1])[int(path[-1])]
    return tree


def _at(tree: Any, path: Path) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def _is(ref: Ref, name: str) -> bool:
    return ref.name.lower() == name.lower()
