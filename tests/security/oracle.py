"""What each address must answer to whom: a specification of its own, read from policy.py alone. It asks nothing of the product's rights."""

from dataclasses import dataclass
from typing import Any

from tests.security.policy import ANYBODY, NOBODY, SIGNED_IN, TOKENS, Row

Scope = tuple[Any, Any]  # region, instance; None is all of them
EVERYWHERE: Scope = (None, None)
CAST = {"owner": "alice", "key_manager": "kim", "operator": "olive", "viewer": "vera", "auditor": "audrey"}
DEPTH = {"deployment": 0, "region": 1, "instance": 2, "shared": 2}

OPEN, SIGN_IN, SET_UP, REFUSED, ABSENT, NO_METHOD = "open", "sign-in", "set-up", "refused", "absent", "no such method"
NO_TOKEN = "no token"
NOT_DONE = "not done"  # the page is open, and its deed is refused in the form or at its place


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody, with what they hold where, directly or through a team; without `inside` nobody is signed in, or somebody disabled. `owes`:
    a second factor, which their roles ask for."""

    name: str
    held: frozenset[tuple[str, Scope]] = frozenset()
    inside: bool = True
    owes: bool = False


def expected(row: Row, level: str, who: Who, at: Scope, method: str, home: Scope) -> str:
    """`at` is the region and the instance of the address; `home` those of the world whose things are named."""
    if method == "GET" and not row.reads:
        return NO_METHOD
    if row.who == ANYBODY:
        return OPEN
    if row.who == TOKENS:
        return NO_TOKEN
    if not who.inside:
        return SIGN_IN
    if who.owes and not row.sets_up:
        return SET_UP
    if row.who in (SIGNED_IN, NOBODY):  # what is one's own: of somebody else it is absent
        return OPEN if row.who == SIGNED_IN else ABSENT
    able = [place for role, place in who.held if row.may(CAST[role]) and DEPTH[level] >= depth(place)]
    if not able:
        return ABSENT if row.of == "own" else REFUSED
    region, instance = at
    if region and not any(place[0] in (None, region) for _role, place in who.held):
        return ABSENT
    if region and not any(place[0] in (None, region) for place in able):
        return REFUSED
    if instance and not any(role != "auditor" and covers(place, at) for role, place in who.held):
        return ABSENT
    if instance and not any(covers(place, at) for place in able):
        return REFUSED
    if row.of in ("everywhere", "region") and not any(
        place == EVERYWHERE or (row.of == "region" and place[0] == home[0]) for place in able
    ):
        return ABSENT
    done_at = {"": at, "everywhere": EVERYWHERE, "region": (home[0], None), "instance": home, "held": able[0]}[row.deed]
    doing = [place for role, place in who.held if row.may_do(CAST[role])]
    if method == "POST" and not any(covers(place, done_at) for place in able if place in doing):
        return NOT_DONE
    return OPEN


def covers(place: Scope, other: Scope) -> bool:
    return place[0] in (None, other[0]) and place[1] in (None, other[1])


def depth(place: Scope) -> int:
    return 2 if place[1] else 1 if place[0] else 0
