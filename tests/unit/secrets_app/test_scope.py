"""Roles held somewhere: what they give there, around it and elsewhere. The expectations are written by hand."""

from uuid import UUID

import pytest

from secrets_app.access import AUDITOR, KEY_MANAGER, OPERATOR, OWNER, VIEWER
from secrets_app.actor import Actor, Held
from secrets_app.models import Membership, Region, RoleGrant, Team
from secrets_app.scope import EVERYWHERE, Scope
from tests import cast

HERE, THERE, ELSEWHERE = UUID(int=1), UUID(int=2), UUID(int=3)
REGION, INSTANCE, NEIGHBOUR, ABROAD = Scope(HERE), Scope(HERE, THERE), Scope(HERE, ELSEWHERE), Scope(ELSEWHERE)


def test_a_scope_covers_what_lies_in_it() -> None:
    assert EVERYWHERE.covers(REGION)
    assert EVERYWHERE.covers(EVERYWHERE)
    assert REGION.covers(INSTANCE)
    assert not INSTANCE.covers(REGION)
    assert not REGION.covers(EVERYWHERE)
    assert not INSTANCE.covers(NEIGHBOUR)
    assert INSTANCE.meets(REGION)
    assert not INSTANCE.meets(NEIGHBOUR)
    assert not ABROAD.meets(REGION)


@pytest.mark.parametrize(
    ("role", "at", "permission", "where", "may"),
    [
        (OPERATOR, EVERYWHERE, "service.edit", INSTANCE, True),
        (OPERATOR, REGION, "service.edit", INSTANCE, True),
        (OPERATOR, REGION, "service.edit", ABROAD, False),
        (OPERATOR, REGION, "service.edit", EVERYWHERE, False),
        (OPERATOR, INSTANCE, "service.edit", INSTANCE, True),
        (OPERATOR, INSTANCE, "service.edit", NEIGHBOUR, False),
        (OPERATOR, INSTANCE, "service.view", NEIGHBOUR, False),
        (OPERATOR, INSTANCE, "key.bind", INSTANCE, True),
        (OPERATOR, INSTANCE, "key.bind", REGION, False),
        (OPERATOR, INSTANCE, "instance.create", REGION, False),
        (OPERATOR, INSTANCE, "consumer.create", REGION, False),
        (OPERATOR, REGION, "consumer.create", REGION, True),
        (OPERATOR, INSTANCE, "consumer.view", REGION, True),  # what a region shares is seen from its instances
        (VIEWER, INSTANCE, "key.view", REGION, True),
        (VIEWER, INSTANCE, "key.view", ABROAD, False),
        (VIEWER, INSTANCE, "key.view", EVERYWHERE, False),
        (VIEWER, INSTANCE, "instance.view", REGION, False),
        (KEY_MANAGER, REGION, "key.rotate", REGION, True),
        (KEY_MANAGER, REGION, "key.rotate", ABROAD, False),
        (KEY_MANAGER, INSTANCE, "key.rotate", REGION, False),
        (AUDITOR, REGION, "audit.view", REGION, True),
        (AUDITOR, REGION, "audit.view", EVERYWHERE, False),
        (OWNER, REGION, "settings.view", EVERYWHERE, False),
        (OWNER, REGION, "region.create", REGION, False),
        (OWNER, EVERYWHERE, "region.create", EVERYWHERE, True),
    ],
)
def test_a_role_counts_where_it_is_held(role: str, at: Scope, permission: str, where: Scope, may: bool) -> None:
    assert cast.holding("olive", role, at=at).may(permission, where) is may


def test_pages_and_menus_ask_for_somewhere_inside() -> None:
    olive = cast.holding("olive", OPERATOR, at=INSTANCE)
    assert olive.may_within("service.edit", REGION)
    assert olive.may_within("service.edit")
    assert not olive.may_within("service.edit", NEIGHBOUR)
    assert not olive.may_within("consumer.create")
    assert olive.instances_with("service.view", REGION) == {THERE}
    assert olive.instances_with("service.view", ABROAD) == frozenset()
    assert olive.regions_with("overview.view") == {HERE}
    assert cast.holding("olive", OPERATOR).instances_with("service.view", REGION) is None


def test_everybody_has_a_session_of_their_own() -> None:
    assert Actor("mallory").may("user.sign_out", EVERYWHERE)
    assert not Actor("mallory").may("overview.view", EVERYWHERE)


def test_narrowed_a_person_keeps_what_lies_in_both() -> None:
    alice = cast.holding("alice", OWNER).confined(REGION, {"key.view", "key.rotate", "service.view"})
    assert alice.may("key.rotate", REGION)
    assert not alice.may("key.rotate", ABROAD)
    assert not alice.may("key.rotate", EVERYWHERE)
    assert not alice.may("key.delete", REGION)
    assert not alice.may("user.edit_theme", EVERYWHERE)
    assert alice.regions_with("key.view") == {HERE}
    inside = cast.holding("alice", OWNER).confined(INSTANCE, {"service.edit", "key.view", "key.rotate"})
    assert inside.may("service.edit", INSTANCE)
    assert not inside.may("service.edit", REGION)
    assert inside.may("key.view", REGION)
    assert not inside.may("key.rotate", REGION)
    assert inside.instances_with("service.edit", REGION) == {THERE}
    wider = cast.holding("olive", OPERATOR, at=INSTANCE).confined(EVERYWHERE, {"service.edit"})
    assert not wider.may("service.edit", REGION)


def test_roles_of_teams_count_from_the_next_request_on(region: Region) -> None:
    mallory, team = cast.person("mallory"), Team.objects.create(name="Platform", name_folded="platform")
    RoleGrant.objects.create(team=team, role=OPERATOR, region=region)
    assert mallory.as_actor().held == frozenset()
    there = Membership.objects.create(team=team, user=mallory)
    assert mallory.as_actor().held == {Held(OPERATOR, Scope(region.pk))}
    assert mallory.as_actor().teams == {team.pk}
    there.delete()
    assert not mallory.as_actor().may_within("overview.view")


def test_an_instance_takes_the_roles_held_for_it_along(region: Region) -> None:
    gateway, other = cast.instance(region), cast.instance(region)
    mallory = cast.person("mallory")
    for one in (gateway, other):
        RoleGrant.objects.create(user=mallory, role=OPERATOR, region=region, instance_id=one.pk)
    gateway.delete(by=cast.SETUP)
    assert mallory.as_actor().held == {Held(OPERATOR, Scope(region.pk, other.pk))}
