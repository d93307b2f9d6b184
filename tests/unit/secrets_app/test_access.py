"""Rights as one table. The expectations here are written by hand, apart from the table: the two must agree."""

import pytest

from secrets_app.access import ACTIONS, EVERYBODY, ROLES, SYSTEM, who_may
from secrets_app.errors import NotAllowed
from secrets_app.scope import EVERYWHERE
from tests import cast

READ = {"overview.view", "key.view", "consumer.view", "instance.view", "service.view", "mcp.view", "plugin.view", "token.create"}
OWN = "sign_in sign_out confirm edit_theme change_password end_session add_factor give_factor rename_factor remove_factor".split()  # noqa: SIM905
SELF = {
    "role.view",
    "token.revoke",
    "account.view",
    "invitation.accept",
    *(f"user.{verb}" for verb in [*OWN, "make_recovery_codes", "use_recovery_code"]),
}
REVEAL = {"key.reveal", "key.ask_reveal", "key.approve_reveal", "key.deny_reveal"}
EXPECTED = {
    "viewer": READ,
    "auditor": {"overview.view", "audit.view", "audit.export", "token.create"},
    "key_manager": READ
    | {"key.create", "key.edit", "key.rotate", "key.roll_back", "key.disable", "key.enable", "key.delete", "key.set_policy"}
    | REVEAL,
    "operator": READ
    | {"key.bind", "key.move"}
    | {f"consumer.{verb}" for verb in ("create", "edit", "disable", "enable", "delete")}
    | {f"consumer.{verb}" for verb in ("add_credential", "edit_credential", "rotate", "remove_credential", "rotate_jwt", "switch_method")}
    | {f"instance.{verb}" for verb in ("create", "upgrade", "delete")}
    | {f"service.{verb}" for verb in ("create", "edit", "delete", "require_authentication", "open", "authorize", "revoke", "test")}
    | {f"mcp.{verb}" for verb in ("create", "edit", "delete", "require_authentication", "open", "authorize", "revoke", "test")}
    | {"mcp.configure_backend_auth", "mcp.remove_backend_auth"}
    | {"node.remove", "plugin.install", "plugin.uninstall"}
    | {f"rule.{verb}" for verb in ("write", "restore", "enable", "disable", "delete")}
    | {f"custom_plugin.{verb}" for verb in ("create", "edit", "delete")},
}


def may(*roles: str) -> set[str]:
    """Everything that whoever holds these roles everywhere may do anywhere."""
    actor = cast.holding("somebody", *roles)
    return {permission for permission in ACTIONS if actor.may(permission, EVERYWHERE)}


@pytest.mark.parametrize("role", EXPECTED)
def test_a_role_may_what_it_is_for_and_nothing_else(role: str) -> None:
    assert may(role) == EXPECTED[role] | SELF


def test_the_owner_may_everything_that_people_do_and_reveal_nothing() -> None:
    owner = may("owner")
    assert owner == {name for name, action in ACTIONS.items() if action.roles != {SYSTEM}} - REVEAL
    assert owner >= set().union(*EXPECTED.values()) - REVEAL


def test_no_process_of_the_console_holds_the_right_to_reveal() -> None:
    assert all(ACTIONS[name].roles == {"key_manager"} for name in REVEAL)


def test_without_a_role_only_ones_own_session_and_looks() -> None:
    assert may() == SELF
    assert may("a role that does not exist") == SELF


def test_roles_held_together_add_up() -> None:
    assert may("viewer", "auditor") == EXPECTED["viewer"] | EXPECTED["auditor"] | SELF


def test_no_person_can_hold_the_systems_role() -> None:
    assert {SYSTEM, EVERYBODY} & ROLES.keys() == set()


def test_an_unknown_permission_is_held_by_nobody() -> None:
    actor = cast.holding("alice", "owner")
    assert not actor.may("key.reveal", EVERYWHERE)
    with pytest.raises(NotAllowed, match=r"key\.reveal"):
        actor.require("key.reveal", EVERYWHERE)


@pytest.mark.parametrize(
    ("permission", "labels"),
    [("key.rotate", ["Key manager"]), ("key.bind", ["Operator"]), ("settings.view", ["Owner"]), ("audit.view", ["Auditor"])],
)
def test_who_may_is_told_by_the_least_role(permission: str, labels: list[str]) -> None:
    assert [str(label) for label in who_may(permission)] == labels


def test_what_changes_the_gateways_publishes() -> None:
    quiet = {
        "key.create",
        "key.edit",
        "key.bind",
        "key.delete",
        *REVEAL,
        "key.show",
        "service.test",
        "service.call",
        "mcp.test",
    }  # an unreferenced key is served nowhere
    for name, action in ACTIONS.items():
        noun, verb = name.split(".")
        if noun in ("key", "consumer", "instance", "service", "mcp") and verb != "view":
            assert action.publishes is (name not in quiet), name
