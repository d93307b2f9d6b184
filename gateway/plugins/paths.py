"""Where something stands in a configuration: `consumers[0].credential`, and patterns of such places: `consumers[*].credential`."""

import re
from functools import lru_cache

Path = tuple[str | int, ...]  # a field's name, or a number in a list

ANY = "*"
LONGEST = 200  # characters of a place as it is written: what a reference row holds

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_STEP = re.compile(r"\.?([A-Za-z0-9_-]+)|\[(\d+)]|\[(\*)]|\.(\*)")


def written(path: Path) -> str:
    """As people read it. A name that holds dots or brackets stands in quotes: `headers["x.y"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN.fullmatch(step):
            text += f".{step}" if text else step
        else:
            quoted = step.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{quoted}"]'
    return text


def matches(pattern: str, path: Path) -> bool:
    """`[*]` is any number of a list, `.*` any name of a mapping."""
    steps = _steps(pattern)
    return len(steps) == len(path) and all(_fits(step, actual) for step, actual in zip(steps, path, strict=True))


def meets(pattern: str, path: Path) -> bool:
    """Whether one leads to the other: the place is among those of the pattern, around one, or inside one."""
    return all(_fits(step, actual) for step, actual in zip(_steps(pattern), path, strict=False))


def _fits(step: str | int | None, actual: str | int) -> bool:
    if step is None:
        return isinstance(actual, int)
    return isinstance(actual, str) if step == ANY else step == actual


@lru_cache(maxsize=1024)
def _steps(pattern: str) -> tuple[str | int | None, ...]:
    """None is any number, ANY any name."""
    steps: list[str | int | None] = []
    at = 0
    while at < len(pattern):
        found = _STEP.match(pattern, at)
        if found is None:
            raise ValueError(f"{pattern!r} is not a pattern of places")
        name, number, any_number, any_name = found.groups()
        steps.append(name or any_name or (None if any_number else int(number)))
        at = found.end()
    return tuple(steps)
