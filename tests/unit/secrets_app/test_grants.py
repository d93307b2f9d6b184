"""Roles given and taken: never more than one holds, never to oneself, and somebody owns everything at all times."""

import random

import pytest

from gateway.models import Instance
from secrets_app.access import ACTIONS, AUDITOR, FOR_AN_INSTANCE, KEY_MANAGER, OPERATOR, OWNER, ROLES, VIEWER
from secrets_app.actor import Actor
from secrets_app.errors import AboveOwn, Conflict, Invalid, LastOwner, NotAllowed, NotFound, OwnRights, VaultError
from secrets_app.models import AuditEntry, Deployment, Membership, Region, RoleGrant, Team, User
from secrets_app.scope import EVERYWHERE, Scope
from tests import cast


@pytest.fixture
def everywhere(region: Region) -> Deployment:
    return Deployment.here()


def last() -> tuple[str, str, str, dict[str, object]]:
    entry = AuditEntry.objects.latest("seq")
    return entry.action, entry.outcome, entry.target, entry.facts


def test_an_owner_gives_a_role_and_takes_it_back(region: Region, everywhere: Deployment) -> None:
    mallory, gateway = cast.person("mallory"), cast.instance(region, "Main")
    for where, told in ((everywhere, "everywhere"), (region, "region local"), (gateway, "instance Main (local)")):
        grant = RoleGrant.grant(mallory, OPERATOR, where, by=cast.actor("alice"))
        assert mallory.as_actor().may("service.edit", where)
        assert last() == ("role.grant", "ok", "mallory", {"role": OPERATOR, "scope": told})
        assert AuditEntry.objects.latest("seq").region == ("" if where is everywhere else "local")
        grant.revoke(where, by=cast.actor("alice"))
        assert mallory.as_actor().held == frozenset()
        assert last() == ("role.revoke", "ok", "mallory", {"role": OPERATOR, "scope": told})


def test_the_same_role_is_held_at_a_place_once(region: Region) -> None:
    RoleGrant.grant(cast.person("mallory"), VIEWER, region, by=cast.SETUP)
    with pytest.raises(Conflict, match="held there already"):
        RoleGrant.grant(cast.person("mallory"), VIEWER, region, by=cast.actor("alice"))
    RoleGrant.grant(cast.person("mallory"), VIEWER, cast.instance(region), by=cast.actor("alice"))


@pytest.mark.parametrize("role", ROLES)
def test_keys_and_the_log_belong_to_regions(region: Region, role: str) -> None:
    gateway, mallory = cast.instance(region), cast.person("mallory")
    if role in FOR_AN_INSTANCE:
        RoleGrant.grant(mallory, role, gateway, by=cast.SETUP)
        return
    with pytest.raises(Invalid, match="belong to regions"):
        RoleGrant.grant(mallory, role, gateway, by=cast.actor("alice"))


@pytest.mark.parametrize("role", ["root", "system", "everybody", ""])
def test_there_are_no_other_roles(region: Region, role: str) -> None:
    with pytest.raises(Invalid):
        RoleGrant.grant(cast.person("mallory"), role, region, by=cast.actor("alice"))


@pytest.mark.parametrize("who", ["kim", "olive", "vera", "audrey", "mallory"])
def test_owners_alone_give_and_take(region: Region, everywhere: Deployment, who: str) -> None:
    grant = RoleGrant.grant(cast.somebody("mei"), VIEWER, region, by=cast.SETUP)
    team = cast.team("Platform")
    for deed in (
        lambda by: RoleGrant.grant(cast.somebody("mei"), VIEWER, everywhere, by=by),
        lambda by: grant.revoke(region, by=by),
        lambda by: Team.create("Mine", by=by),
        lambda by: team.edit("Mine", "", lock_version=1, by=by),
        lambda by: team.add_member(cast.person(who), by=by),
        lambda by: team.delete(by=by),
        lambda by: cast.somebody("mei").disable(by=by),
        lambda by: cast.somebody("mei").delete(by=by),
    ):
        with pytest.raises(NotAllowed):
            deed(cast.actor(who))
    assert cast.somebody("mei").as_actor().roles == {VIEWER}


def test_an_owner_of_a_region_gives_within_it_alone(region: Region, everywhere: Deployment) -> None:
    abroad = Region.create("abroad", "Abroad", by=cast.SETUP)
    here, there = cast.instance(region), cast.instance(abroad)
    rita, mallory = cast.somebody("rita", OWNER, at=region.scope).as_actor(), cast.person("mallory")
    for role in ROLES:
        RoleGrant.grant(mallory, role, region, by=rita)
    RoleGrant.grant(mallory, OWNER, here, by=rita)
    for where in (everywhere, abroad, there):
        with pytest.raises(NotAllowed):
            RoleGrant.grant(mallory, VIEWER, where, by=rita)
    top = RoleGrant.grant(mallory, VIEWER, everywhere, by=cast.SETUP)
    with pytest.raises(NotAllowed):
        top.revoke(everywhere, by=rita)


def test_an_owner_of_an_instance_gives_within_it_alone(region: Region) -> None:
    here, there, mallory = cast.instance(region), cast.instance(region), cast.person("mallory")
    ines = cast.somebody("ines", OWNER, at=here.scope).as_actor()
    for role in FOR_AN_INSTANCE:
        RoleGrant.grant(mallory, role, here, by=ines)
    for where in (there, region):
        with pytest.raises(NotAllowed):
            RoleGrant.grant(mallory, VIEWER, where, by=ines)


def test_nobody_gives_what_they_do_not_hold(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should somebody lesser than an owner be allowed to give roles one day."""
    alice = cast.holding("alice", OWNER).confined(EVERYWHERE, {"role.grant", "key.view", "overview.view"})
    with pytest.raises(AboveOwn):
        RoleGrant.grant(cast.person("mallory"), OPERATOR, region, by=alice)
    assert last() == ("role.grant", "refused", "mallory", {"reason": "above_own"})


def test_nobody_changes_their_own(region: Region, everywhere: Deployment) -> None:
    alice, other = cast.person("alice"), cast.somebody("ada", OWNER)
    team = cast.team("Platform", alice)
    on_team = RoleGrant.grant(team, VIEWER, region, by=cast.SETUP)
    own = RoleGrant.objects.get(user=alice)
    by = alice.as_actor()
    for deed in (
        lambda: RoleGrant.grant(alice, KEY_MANAGER, everywhere, by=by),
        lambda: RoleGrant.grant(team, KEY_MANAGER, everywhere, by=by),
        lambda: own.revoke(everywhere, by=by),
        lambda: on_team.revoke(region, by=by),
        lambda: cast.team("Another").add_member(alice, by=by),
        lambda: team.remove_member(alice, by=by),
        lambda: team.delete(by=by),
        lambda: alice.disable(by=by),
        lambda: alice.delete(by=by),
    ):
        with pytest.raises(OwnRights):
            deed()
        assert last()[3] == {"reason": "own_rights"} or last()[0] == "audit.repeat"
    assert alice.as_actor().roles == {OWNER, VIEWER}
    own.revoke(everywhere, by=other.as_actor())
    assert alice.as_actor().roles == {VIEWER}


def test_a_team_that_gives_more_than_one_holds_takes_no_members_from_them(region: Region) -> None:
    team = cast.team("Everything")
    RoleGrant.grant(team, OWNER, Deployment.here(), by=cast.SETUP)
    few = cast.holding("alice", OWNER).confined(EVERYWHERE, {"team.add_member"})
    with pytest.raises(AboveOwn):
        team.add_member(cast.person("mallory"), by=few)


def test_single_sign_on_keeps_what_it_gave(region: Region, everywhere: Deployment) -> None:
    grant = RoleGrant.objects.create(user=cast.person("mallory"), role=VIEWER, source=RoleGrant.SSO)
    with pytest.raises(Conflict, match="Single sign-on"):
        grant.revoke(everywhere, by=cast.actor("alice"))
    assert RoleGrant.objects.filter(pk=grant.pk).exists()


def test_somebody_active_owns_everything_at_all_times(region: Region, everywhere: Deployment) -> None:
    """Each way of losing the last one is refused, and open again once there is another."""
    alice = cast.person("alice")
    cast.somebody("rita", OWNER, at=region.scope)
    own = RoleGrant.objects.get(user=alice)
    for deed in (
        lambda: own.revoke(everywhere, by=cast.SETUP),
        lambda: alice.disable(by=cast.SETUP),
        lambda: alice.delete(by=cast.SETUP),
    ):
        with pytest.raises(LastOwner):
            deed()
    assert alice.as_actor().may("settings.view", EVERYWHERE)
    team = cast.team("Owners", cast.person("mallory"))
    RoleGrant.grant(team, OWNER, everywhere, by=cast.SETUP)
    own.revoke(everywhere, by=cast.SETUP)
    for deed in (
        lambda: team.remove_member(cast.person("mallory"), by=cast.SETUP),
        lambda: team.delete(by=cast.SETUP),
        lambda: RoleGrant.objects.get(team=team).revoke(everywhere, by=cast.SETUP),
        lambda: cast.person("mallory").disable(by=cast.SETUP),
        lambda: cast.person("mallory").delete(by=cast.SETUP),
    ):
        with pytest.raises(LastOwner):
            deed()
    assert cast.person("mallory").as_actor().may("settings.view", EVERYWHERE)


def test_rights_taken_since_the_request_came_in_count_no_more(region: Region, everywhere: Deployment) -> None:
    ada, mallory = cast.somebody("ada", OWNER), cast.person("mallory")
    cast.person("alice")
    by = ada.as_actor()
    RoleGrant.objects.get(user=ada).revoke(everywhere, by=cast.actor("alice"))
    with pytest.raises(NotAllowed):
        RoleGrant.grant(mallory, OWNER, everywhere, by=by)
    cast.somebody("ada", OWNER)
    by = ada.as_actor()
    User.objects.get(pk=ada.pk).disable(by=cast.actor("alice"))
    with pytest.raises(NotAllowed):
        RoleGrant.grant(mallory, OWNER, everywhere, by=by)


def test_what_is_gone_takes_no_role(region: Region, everywhere: Deployment) -> None:
    gateway, mallory = cast.instance(region), cast.person("mallory")
    gone = Instance.objects.get(pk=gateway.pk)
    gateway.delete(by=cast.SETUP)
    with pytest.raises(NotFound):
        RoleGrant.grant(mallory, VIEWER, gone, by=cast.actor("alice"))
    ghost = User.objects.get(pk=mallory.pk)
    mallory.delete(by=cast.actor("alice"))
    with pytest.raises(NotFound):
        RoleGrant.grant(ghost, VIEWER, region, by=cast.actor("alice"))


def test_teams_are_made_named_and_deleted(region: Region) -> None:
    alice, mallory = cast.actor("alice"), cast.person("mallory")
    team = Team.create("Platform", "Runs the gateways", by=alice)
    assert last() == ("team.create", "ok", "Platform", {})
    team.add_member(mallory, by=alice)
    assert last() == ("team.add_member", "ok", "Platform", {"member": "mallory", "roles": []})
    RoleGrant.grant(team, OPERATOR, region, by=alice)
    assert mallory.as_actor().roles == {OPERATOR}
    with pytest.raises(Conflict, match="already"):
        team.add_member(mallory, by=alice)
    team.edit("Gateways", "", lock_version=1, by=alice)
    diff = {"description": ["Runs the gateways", ""], "name": ["Platform", "Gateways"]}
    assert last() == ("team.edit", "ok", "Gateways", {"changed": ["name", "description"], "name": "Gateways", "diff": diff})
    with pytest.raises(Conflict):
        team.edit("Old form", "", lock_version=1, by=alice)
    team.remove_member(mallory, by=alice)
    with pytest.raises(NotFound):
        team.remove_member(mallory, by=alice)
    team.add_member(mallory, by=alice)
    team.delete(by=alice)
    assert last() == ("team.delete", "ok", "Gateways", {"roles": ["operator local"], "members": 1})
    assert mallory.as_actor().held == frozenset()
    assert not Membership.objects.exists()


@pytest.mark.parametrize("name", ["", " Platform", "x" * 65, "a\nb", "a\0b", "PLATFORM"])
def test_a_wrong_name_of_a_team_is_refused(region: Region, name: str) -> None:
    cast.team("Platform")
    with pytest.raises(Invalid) as refused:
        Team.create(name, by=cast.actor("alice"))
    assert list(refused.value.errors) == ["name"]


def test_people_are_disabled_enabled_and_deleted_and_the_log_remembers(region: Region) -> None:
    alice, kim = cast.actor("alice"), cast.person("kim")
    cast.key(region).disable(by=kim.as_actor())
    kim.disable(by=alice)
    with pytest.raises(Conflict, match="disabled already"):
        kim.disable(by=alice)
    kim.enable(by=alice)
    with pytest.raises(Conflict, match="active already"):
        kim.enable(by=alice)
    cast.team("Platform", kim)
    pk = kim.pk
    kim.delete(by=alice)
    assert last() == ("user.delete", "ok", "kim", {"roles": ["key_manager everywhere"], "teams": ["Platform"]})
    assert AuditEntry.objects.filter(actor="kim", actor_id=pk, action="key.disable").count() == 1
    assert AuditEntry.verify().bad is None


def test_who_is_seen(region: Region, everywhere: Deployment) -> None:
    abroad = Region.create("abroad", "Abroad", by=cast.SETUP)
    here, beside = cast.instance(region), cast.instance(region)
    for name in ("alice", "kim"):
        cast.person(name)
    rita = cast.somebody("rita", OWNER, at=region.scope)
    ines = cast.somebody("ines", OWNER, at=here.scope)
    cast.somebody("ben", VIEWER, at=beside.scope)
    cast.somebody("abe", VIEWER, at=abroad.scope)
    cast.somebody("none")
    team, foreign = cast.team("Here", cast.somebody("tom")), cast.team("There", cast.somebody("fay"))
    RoleGrant.grant(team, VIEWER, region, by=cast.SETUP)
    RoleGrant.grant(foreign, VIEWER, abroad, by=cast.SETUP)

    def seen(who: User) -> set[str]:
        return set(User.visible_to(who.as_actor()).values_list("username", flat=True))

    assert seen(cast.person("alice")) == {"alice", "kim", "rita", "ines", "ben", "abe", "none", "tom", "fay"}
    assert seen(rita) == {"alice", "kim", "rita", "ines", "ben", "tom"}
    assert seen(ines) == {"alice", "kim", "rita", "ines", "tom"}
    assert seen(cast.person("kim")) == {"kim"}
    assert [one.name for one in Team.visible_to(rita.as_actor())] == ["Here"]
    assert Team.visible_to(cast.person("alice").as_actor()).count() == 2


def test_no_sequence_of_grants_raises_anybody_above_whom_they_had(region: Region, everywhere: Deployment) -> None:
    """Random walks: at each step the giver held everything given, nobody moved themselves, and somebody owns everything."""
    dice = random.Random(4)
    abroad = Region.create("abroad", "Abroad", by=cast.SETUP)
    places = [everywhere, region, abroad, cast.instance(region, "One"), cast.instance(abroad, "Two")]
    people = [cast.person("alice"), *(cast.somebody(f"p{number}") for number in range(5))]
    teams = [cast.team("T1"), cast.team("T2")]
    for _step in range(400):
        giver, taker = dice.choice(people), dice.choice([*people, *teams])
        by: Actor = giver.as_actor()
        before = {person.pk: rights(person) for person in people}
        held = {person.pk: person.as_actor().held for person in people}
        try:
            step(dice, by, taker, places, people, teams)
        except VaultError:
            assert {person.pk: person.as_actor().held for person in people} == held
            continue
        assert rights(giver) == before[giver.pk]
        for person in people:
            assert rights(person) - before[person.pk] <= before[giver.pk], "given more than the giver held"
        assert any(one.role == OWNER and one.scope == EVERYWHERE for person in people if person.is_active for one in person.as_actor().held)


def step(dice: random.Random, by: Actor, taker: User | Team, places: list[object], people: list[User], teams: list[Team]) -> None:
    kind = dice.choice(["grant", "grant", "grant", "revoke", "join", "leave"])
    if kind == "grant":
        RoleGrant.grant(taker, dice.choice(list(ROLES)), dice.choice(places), by=by)  # type: ignore[arg-type]
    elif kind == "revoke" and (grants := list(RoleGrant.objects.select_related("user", "team"))):
        grant = dice.choice(grants)
        where = next(place for place in places if place.scope == grant.scope)  # type: ignore[attr-defined]
        grant.revoke(where, by=by)  # type: ignore[arg-type]
    elif kind == "join":
        dice.choice(teams).add_member(dice.choice(people), by=by)
    elif kind == "leave":
        dice.choice(teams).remove_member(dice.choice(people), by=by)


def rights(person: User) -> set[tuple[str, Scope]]:
    """Every permission at every place of this world where it is held, break-glass aside, which owners give and do not hold."""
    actor = person.as_actor()
    scopes = [EVERYWHERE, *(one.scope for one in Region.objects.all()), *_instances()]
    return {(name, scope) for name, row in ACTIONS.items() if OWNER in row.roles for scope in scopes if actor.may(name, scope)}


def _instances() -> list[Scope]:
    return [one.scope for one in Instance.objects.all()]


def test_an_auditor_is_given_for_a_region(region: Region) -> None:
    RoleGrant.grant(cast.person("mallory"), AUDITOR, region, by=cast.actor("alice"))
    assert AuditEntry.visible_to(cast.actor("mallory")).filter(action="role.grant").exists()
