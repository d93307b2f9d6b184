"""Whoever acts is named: every verb takes `by=actor`. Nothing reads a current user from the air."""

from dataclasses import dataclass, field
from uuid import UUID

from secrets_app.access import SYSTEM, may
from secrets_app.errors import NotAllowed


@dataclass(frozen=True, slots=True)
class Actor:
    name: str
    roles: frozenset[str]
    user_id: UUID | None = None
    address: str = ""
    request_id: str = ""
    permissions: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "permissions", may(self.roles))

    @classmethod
    def system(cls, name: str) -> "Actor":
        """A process of the console itself: `up`, the control plane, a command run by an administrator."""
        return cls(name=name, roles=frozenset({SYSTEM}))

    def may(self, permission: str) -> bool:
        return permission in self.permissions

    def require(self, permission: str) -> None:
        """Raises NotAllowed. For the second permission a deed needs, such as key.bind when a consumer is created."""
        if not self.may(permission):
            raise NotAllowed(permission)
