from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Problem:
    """A reference that could not be served. It harms its holder alone, which fails closed."""

    holder_kind: str
    holder_id: int
    path: str
    key_id: UUID | None  # None where there is no such key
    # "disabled", "unreadable", "duplicate", "charset", "policy" (may not go there); of a rule also "missing" (no such key) and "text" (does
    # not pass)
    reason: str
