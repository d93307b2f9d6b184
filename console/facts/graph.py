"""The reference graph of one key, laid out on the server: the key, its holders, and the instances that serve them.

Pure, and numbers only: style attributes would break the content security policy. A list beside it says the same in words.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_KEY_X, _KEY_WIDTH, _KEY_HEIGHT = 2, 172, 62
_HOLDER_X, _HOLDER_WIDTH, _HOLDER_HEIGHT, _HOLDER_GAP, _KIND_GAP = 256, 246, 34, 8, 10
_PLACE_X, _PLACE_WIDTH, _PLACE_HEIGHT, _PLACE_GAP = 584, 164, 46, 18
_MARGIN = 8
_LETTERS = {_KEY_WIDTH: 18, _HOLDER_WIDTH: 26, _PLACE_WIDTH: 18}  # that fit into a box


@dataclass(frozen=True, slots=True)
class Holder:
    """`count` is 0 for a single one, else how many the box stands for. `places` are those that serve it. Without `url` it is no link."""

    kind: str
    name: str
    url: str
    places: tuple[str, ...]
    count: int = 0
    word: str = ""  # of its kind


@dataclass(frozen=True, slots=True)
class Place:
    """An instance, or every one of the region."""

    name: str
    nodes: int


@dataclass(frozen=True, slots=True)
class Box:
    x: int
    y: int
    width: int
    height: int
    label: str

    @property
    def middle(self) -> int:
        return self.y + self.height // 2

    @property
    def right(self) -> int:
        return self.x + self.width


@dataclass(frozen=True, slots=True)
class Edge:
    path: str
    kind: str  # of the holder it leads to, or "place"


@dataclass(frozen=True, slots=True)
class Node:
    """A holder in its box. `says` names both, and what serves it, for those who do not see the box."""

    holder: Holder
    box: Box
    says: str


@dataclass(frozen=True, slots=True)
class Graph:
    width: int
    height: int
    key: Box
    nodes: tuple[Node, ...]
    places: tuple[tuple[Place, Box], ...]
    edges: tuple[Edge, ...]


def draw(key_name: str, holders: Sequence[Holder], places: Mapping[str, Place]) -> Graph:
    """Holders in the order given, from top to bottom; each place as near as it can be to what it serves."""
    column = tuple(_column(holders))
    served = {ref: [box.middle for holder, box in zip(holders, column, strict=True) if ref in holder.places] for ref in places}
    bottom = max(column[-1].y + column[-1].height, _KEY_HEIGHT + _MARGIN)
    at = _beside(served, places, bottom)
    height = max([bottom, *(box.y + box.height for box in at.values())]) + _MARGIN
    key = _box(_KEY_X, (height - _KEY_HEIGHT) // 2, _KEY_WIDTH, _KEY_HEIGHT, key_name)
    return Graph(
        width=_PLACE_X + _PLACE_WIDTH + 2,
        height=height,
        key=key,
        nodes=tuple(Node(one, box, _says(one, places)) for one, box in zip(holders, column, strict=True)),
        places=tuple((places[ref], box) for ref, box in at.items()),
        edges=tuple(_edges(key, holders, column, at)),
    )


def _says(holder: Holder, places: Mapping[str, Place]) -> str:
    """ "AI service chat, prod-east", "40 AI services, prod-east"."""
    name = f"{holder.count} {holder.name}" if holder.count else f"{holder.word} {holder.name}".strip()
    return ", ".join([name, *(places[ref].name for ref in holder.places)])


def _column(holders: Sequence[Holder]) -> Iterator[Box]:
    y = _MARGIN
    for index, holder in enumerate(holders):
        if index and holder.kind != holders[index - 1].kind:
            y += _KIND_GAP
        yield _box(_HOLDER_X, y, _HOLDER_WIDTH, _HOLDER_HEIGHT, holder.name)
        y += _HOLDER_HEIGHT + _HOLDER_GAP


def _beside(served: Mapping[str, Sequence[int]], places: Mapping[str, Place], bottom: int) -> dict[str, Box]:
    """From top to bottom, none over another; the column moves up as far as it would stick out below."""
    boxes: dict[str, Box] = {}
    free = _MARGIN
    for ref, middles in sorted(served.items(), key=lambda one: sum(one[1]) / len(one[1])):
        y = max(sum(middles) // len(middles) - _PLACE_HEIGHT // 2, free)
        boxes[ref] = _box(_PLACE_X, y, _PLACE_WIDTH, _PLACE_HEIGHT, places[ref].name)
        free = y + _PLACE_HEIGHT + _PLACE_GAP
    top = min((box.y for box in boxes.values()), default=_MARGIN)
    over = min(max(0, free - _PLACE_GAP - bottom), top - _MARGIN)
    return {ref: Box(box.x, box.y - over, box.width, box.height, box.label) for ref, box in boxes.items()}


def _edges(key: Box, holders: Sequence[Holder], column: Sequence[Box], at: Mapping[str, Box]) -> Iterator[Edge]:
    for holder, box in zip(holders, column, strict=True):
        yield Edge(_curve(key, box), holder.kind)
        for ref in holder.places:
            yield Edge(_curve(box, at[ref]), "place")


def _curve(start: Box, end: Box) -> str:
    half = (start.right + end.x) // 2
    return f"M{start.right} {start.middle}C{half} {start.middle} {half} {end.middle} {end.x} {end.middle}"


def _box(x: int, y: int, width: int, height: int, name: str) -> Box:
    most = _LETTERS[width]
    return Box(x, y, width, height, name if len(name) <= most else f"{name[: most - 1]}…")
