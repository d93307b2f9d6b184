"""Where something lies, and where a role is held: everywhere, in one region, or in one instance of it.

The vault knows an instance by its id alone; what one is, the gateway room knows.
"""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Scope:
    """Without a region: everywhere. With an instance: that one, which lies in the region."""

    region: UUID | None = None
    instance: UUID | None = None

    @property
    def scope(self) -> "Scope":
        return self

    def covers(self, other: "Scope") -> bool:
        """Whether all of the other lies in this one."""
        return self.region in (None, other.region) and self.instance in (None, other.instance)

    def meets(self, other: "Scope") -> bool:
        """Whether one of the two lies in the other."""
        return self.covers(other) or other.covers(self)


EVERYWHERE = Scope()


class Scoped(Protocol):
    """A scope, or anything that lies in one."""

    @property
    def scope(self) -> Scope: ...
