from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Problem:
    """A reference that could not be served. It harms its holder alone, which fails closed."""

    holder_kind: str
    holder_id: int
    path: str
    key_id: UUID | None  # None where there is no such key
    reason: str  # "disabled", "unreadable", "duplicate", "charset"; of a rule also "missing" (no such key) and "text" (does not pass)
