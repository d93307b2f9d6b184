"""Whoever acts is named: every verb takes `by=actor`. Nothing reads a current user from the air."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from uuid import UUID

from secrets_app.access import SYSTEM, counts_in, is_everybodys, permissions_of
from secrets_app.errors import NotAllowed
from secrets_app.scope import EVERYWHERE, Scope, Scoped

NOBODY = "unknown"  # who did not say who they are, or not in a way that counts

# Whose names stand in the log beside people's: processes of the console, commands, and nobody at all. No person is called so.
PROCESSES = frozenset(
    {
        NOBODY, "archive_audit_log", "changepassword", "checkpoint_key", "console", "control-plane", "create_user", "demo", "gateway",
        "latchkey", "prepare", "remove_factors", "run_demo_backend", "run_gateway", "run_web", "run_xds", "single sign-on", "system", "up",
        "verify_audit_log", "verify_references",
    }
)  # fmt: skip


def looks_like_a_process(name: str) -> bool:
    """Whether a reader of the log could take it for one: case, marks between the words, and letters and digits that look alike make no
    difference."""
    return _as_read(name) in {_as_read(process) for process in PROCESSES}


def _as_read(name: str) -> str:
    letters = "".join(letter for letter in name.casefold() if letter.isalnum())
    return letters.replace("rn", "m").replace("vv", "w").translate(str.maketrans("01i", "oll"))


@dataclass(frozen=True, slots=True)
class Held:
    """A role, and where it is held."""

    role: str
    scope: Scope = EVERYWHERE
    permissions: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "permissions", permissions_of(self.role, self.scope))

    def allows(self, permission: str, where: Scope) -> bool:
        if permission not in self.permissions:
            return False
        return self.scope.covers(where) or (counts_in(permission, where) and self.scope.region == where.region)


@dataclass(frozen=True, slots=True)
class Actor:
    """`teams` are those that the person is in; `fresh`: they showed who they are just now, or nobody can sit down in their place.

    `only`, where it is set, and `bounds` narrow what the roles give, as an API token does.
    """

    name: str
    held: frozenset[Held] = frozenset()
    user_id: UUID | None = None
    address: str = ""
    request_id: str = ""
    teams: frozenset[UUID] = frozenset()
    bounds: Scope = EVERYWHERE
    only: frozenset[str] | None = None
    fresh: bool = True
    session: str = ""  # a hash of it, where there is one: it tells sessions apart and opens none

    @classmethod
    def system(cls, name: str) -> "Actor":
        """A process of the console itself: `up`, the control plane, a command run by an administrator."""
        return cls(name=name, held=frozenset({Held(SYSTEM)}))

    @property
    def roles(self) -> frozenset[str]:
        """Wherever they are held."""
        return frozenset(one.role for one in self.held)

    def confined(self, bounds: Scope, only: Iterable[str]) -> "Actor":
        """The same person with no right outside these bounds, and none but these."""
        return replace(self, bounds=bounds, only=frozenset(only))

    def named(self, name: str) -> "Actor":
        """The same rights under another name in the log."""
        return replace(self, name=name)

    def may(self, permission: str, where: Scoped) -> bool:
        """At this very place, and at everything in it."""
        scope = where.scope
        if not self._keeps(permission):
            return False
        if is_everybodys(permission):
            return True
        return self._reaches(permission, scope) and any(one.allows(permission, scope) for one in self.held)

    def may_within(self, permission: str, where: Scoped = EVERYWHERE) -> bool:
        """At this place or somewhere inside it: for pages, menus and the door. A deed asks may()."""
        scope = where.scope
        return self.may(permission, scope) or (
            self._keeps(permission)
            and self.bounds.meets(scope)
            and any(permission in one.permissions and scope.covers(one.scope) and self.bounds.meets(one.scope) for one in self.held)
        )

    def regions_with(self, permission: str) -> frozenset[UUID] | None:
        """Those in which the permission is held, in part or whole; None for all regions."""
        if self.may(permission, EVERYWHERE):
            return None
        return frozenset(
            region for region in self._named("region") if self.may_within(permission, Scope(region)) or self.may(permission, Scope(region))
        )

    def instances_with(self, permission: str, region: Scoped) -> frozenset[UUID] | None:
        """Those of the region at which the permission is held; None for all of them."""
        if self.may(permission, region):
            return None
        within = region.scope.region
        return frozenset(instance for instance in self._named("instance") if self.may(permission, Scope(within, instance)))

    def require(self, permission: str, where: Scoped) -> None:
        """Raises NotAllowed. For the second permission a deed needs, such as key.bind when a consumer is created."""
        if not self.may(permission, where):
            raise NotAllowed(permission)

    def _keeps(self, permission: str) -> bool:
        return self.only is None or permission in self.only

    def _reaches(self, permission: str, where: Scope) -> bool:
        return self.bounds.covers(where) or (counts_in(permission, where) and self.bounds.region == where.region)

    def _named(self, what: str) -> set[UUID]:
        scopes = [self.bounds, *(one.scope for one in self.held)]
        return {found for scope in scopes if (found := getattr(scope, what)) is not None}
