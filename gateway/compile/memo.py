from collections.abc import Callable, Hashable
from typing import Any


class Memo:
    """Carries what one pass made over to the next. What a pass did not ask for again is forgotten at its end.

    A list of 20,000 allowed clients takes 10 ms to build and write, and most passes change none of them.
    """

    def __init__(self) -> None:
        self._last: dict[Hashable, Any] = {}
        self._this: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` answered when this key was last asked for, in this pass or the one before."""
        if key not in self._this:
            self._this[key] = self._last[key] if key in self._last else make()
        return self._this[key]

    def end_pass(self) -> None:
        self._last, self._this = self._this, {}
