"""What a save would change, line by line, in bounded time."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile

SAME, ADDED, REMOVED, GAP = "same", "added", "removed", "gap"
AROUND = 3  # lines that stay, shown on either side of what changes
_COMPARED = 1_000  # lines; a longer stretch is shown as replaced whole, for comparing takes the square of it


@dataclass(frozen=True, slots=True)
class Changed:
    """One line. `before` and `after` are its numbers in either text; of a gap, `text` is empty."""

    kind: str
    text: str = ""
    before: int | None = None
    after: int | None = None


def changes(before: str, after: str) -> list[Changed]:
    """Nothing when the texts are equal."""
    lines = list(_lines(before.splitlines(), after.splitlines()))
    told = [number for number, line in enumerate(lines) if line.kind != SAME]
    near = {number for place in told for number in range(place - AROUND, place + AROUND + 1)}
    shown: list[Changed] = []
    for number, line in enumerate(lines):
        if number in near:
            shown.append(line)
        elif told and (not shown or shown[-1].kind != GAP):
            shown.append(Changed(GAP))
    return shown


def _lines(before: list[str], after: list[str]) -> Iterator[Changed]:
    head = sum(1 for _pair in takewhile(_equal, zip(before, after, strict=False)))
    rest = zip(reversed(before[head:]), reversed(after[head:]), strict=False)
    tail = sum(1 for _pair in takewhile(_equal, rest))
    end, stop = len(before) - tail, len(after) - tail
    yield from (Changed(SAME, before[line], line + 1, line + 1) for line in range(head))
    yield from _between(before, after, head, end, stop)
    yield from (Changed(SAME, before[end + line], end + line + 1, stop + line + 1) for line in range(tail))


def _between(before: list[str], after: list[str], head: int, end: int, stop: int) -> Iterator[Changed]:
    for kind, first, last, begin, until in _stretches(before[head:end], after[head:stop]):
        if kind == "equal":
            for line in range(last - first):
                number = head + first + line
                yield Changed(SAME, before[number], number + 1, head + begin + line + 1)
            continue
        yield from (Changed(REMOVED, before[line], before=line + 1) for line in range(head + first, head + last))
        yield from (Changed(ADDED, after[line], after=line + 1) for line in range(head + begin, head + until))


def _stretches(before: list[str], after: list[str]) -> list[tuple[str, int, int, int, int]]:
    if len(before) > _COMPARED or len(after) > _COMPARED:
        return [("replace", 0, len(before), 0, len(after))]
    return list(SequenceMatcher(None, before, after).get_opcodes())


def _equal(pair: tuple[str, str]) -> bool:
    return pair[0] == pair[1]
