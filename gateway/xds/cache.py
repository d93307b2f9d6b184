"""What each node shall have now, and who is to be woken when that changes."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Published:
    """A node's snapshot. Everything up to audit entry `seq` is in it."""

    snapshot: Snapshot
    seq: int


class Cache:
    """Belongs to one event loop. Only the newest snapshot of a node is kept: whoever is slow skips those between."""

    def __init__(self) -> None:
        self._published: dict[int, Published] = {}
        self._bells: dict[int, set[Callable[[], None]]] = {}

    def put(self, node_id: int, published: Published) -> None:
        self._published[node_id] = published
        for ring in tuple(self._bells.get(node_id, ())):
            ring()

    def get(self, node_id: int) -> Published | None:
        return self._published.get(node_id)

    def drop(self, node_id: int) -> None:
        self._published.pop(node_id, None)

    def watch(self, node_id: int, ring: Callable[[], None]) -> Callable[[], None]:
        """Calls `ring` at every put for the node, until the answer is called."""
        self._bells.setdefault(node_id, set()).add(ring)
        return lambda: self._bells[node_id].discard(ring)
