"""No (key, host) pair outside the key's policy is ever in what gateways are told, whatever an operator does in whatever order.

A sequence is some ten deeds in a world begun anew; `SOAK=5000` runs that many. A failure prints its seed and what was done.
"""

import os
from collections.abc import Callable, Collection

import pytest

from gateway import moving, policing, stocktaking
from gateway.models import CustomPlugin, Rule, agent_service, ai_service, mcp_service, service
from secrets_app.models import Region
from secrets_app.models import key as vault
from secrets_app.models.policy import Policy
from tests import cast
from tests.security.exfiltration import Operator, leaks, withheld

SEQUENCES, DEEDS, A_WORLD = int(os.environ.get("SOAK", "24")), 10, 12
CHUNKS = -(-SEQUENCES // A_WORLD)
Patch = pytest.MonkeyPatch


def walk(region: Region, seed: int, look: Callable[[Region], list[str]], sequences: int = A_WORLD, only: Collection[str] = ()) -> list[str]:
    """What was found, first of all; with what had been done."""
    operator = Operator(region, seed, only)
    for _sequence in range(sequences):
        operator.begin_anew()
        for _deed in range(DEEDS):
            operator.act()
            if found := look(region):
                return [*found, *operator.log]
    return []


@pytest.fixture
def region(db: None) -> Region:
    return cast.deployment()


@pytest.mark.parametrize("seed", range(CHUNKS))
def test_no_sequence_of_deeds_sends_a_key_past_its_policy(region: Region, seed: int) -> None:
    """Nor does any leave behind what stocktaking alone holds back."""
    assert walk(region, seed, lambda there: leaks(there) + withheld(there)) == []


# ── Each check is missed when it is gone ──


def nothing(*_args: object, **_more: object) -> None:
    pass


def without_bind(patch: Patch) -> None:
    patch.setattr(vault, "admitting", lambda key, _to, _by, **_more: key.policy)


def without_edit(patch: Patch) -> None:
    patch.setattr(service.Service, "_led_elsewhere", nothing)


def without_reach(patch: Patch) -> None:
    for module in (service, ai_service, agent_service, mcp_service):
        patch.setattr(module, "check_reached", nothing)


def without_rule(patch: Patch) -> None:
    patch.setattr(Rule, "_admit", nothing)


def without_neighbours(patch: Patch) -> None:
    patch.setattr(Rule, "_check_others", nothing)


def without_script(patch: Patch) -> None:
    patch.setattr(CustomPlugin, "_admit", nothing)


def without_move(patch: Patch) -> None:
    patch.setattr(moving, "_astray", lambda *_args: {})


def without_narrowing(patch: Patch) -> None:
    patch.setattr(policing, "excluded", lambda *_args: [])


# With the deeds that could come past it: among all others it takes hundreds of sequences until the right ones meet.
CHECKS: dict[Callable[[Patch], None], tuple[str, ...]] = {
    without_bind: ("create_service", "bind_consumer"),
    without_edit: ("create_service", "edit_service"),
    without_reach: ("create_service", "write_rule"),
    without_rule: ("create_service", "write_rule"),
    without_neighbours: ("create_service", "write_rule", "write_rule", "switch_rule", "delete_rule"),
    without_script: ("create_service", "write_rule", "write_rule", "edit_script"),
    without_move: ("create_service", "move"),
    without_narrowing: ("create_service", "set_policy"),
}
MOST = 200  # sequences until a missing check has to be noticed


@pytest.mark.parametrize("missing", CHECKS)
def test_a_check_that_is_missing_is_noticed(region: Region, monkeypatch: Patch, missing: Callable[[Patch], None]) -> None:
    missing(monkeypatch)
    assert walk(region, 1, withheld, MOST, CHECKS[missing]) != []


def test_what_comes_past_every_check_is_withheld_all_the_same(region: Region, monkeypatch: Patch) -> None:
    for missing in CHECKS:
        missing(monkeypatch)
    assert walk(region, 2, leaks) == []


def of_services(patch: Patch) -> None:
    patch.setattr(stocktaking, "of_service", lambda *_args: None)
    patch.setattr(Policy, "refuses", _but_of_nothing(Policy.refuses))


def of_rules(patch: Patch) -> None:
    patch.setattr(stocktaking, "strays", lambda *_args: ())


def of_all(patch: Patch) -> None:
    patch.setattr(Policy, "refuses", lambda _policy, _to: "")


def _but_of_nothing(refuses: Callable[..., str]) -> Callable[..., str]:
    return lambda policy, to: refuses(policy, to) if to is not None else ""


@pytest.mark.parametrize("missing", [of_services, of_rules, of_all])
def test_without_the_last_look_it_would_be_sent(region: Region, monkeypatch: Patch, missing: Callable[[Patch], None]) -> None:
    for check in CHECKS:
        check(monkeypatch)
    missing(monkeypatch)
    assert walk(region, 3, leaks, MOST) != []
