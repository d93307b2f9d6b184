"""What the team pages show of people and teams: which roles they hold, where, and through whom."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext as now

from gateway.models import Instance
from secrets_app.access import ROLES
from secrets_app.actor import Actor
from secrets_app.errors import NotFound
from secrets_app.models import Deployment, Identity, Invitation, Membership, Region, RoleGrant, Team, User
from secrets_app.models.grant import Place, trusted_times
from secrets_app.scope import Scope

_ORDER = {role: number for number, role in enumerate(ROLES)}


@dataclass(frozen=True, slots=True)
class HeldRole:
    """`via` is the team through which a person holds it. `kept` says why the actor cannot take it back, "" when they can."""

    grant: RoleGrant
    where: str
    kept: str

    @property
    def role(self) -> Promise:
        return ROLES[self.grant.role][0]

    @property
    def via(self) -> Team | None:
        return self.grant.team


@dataclass(frozen=True, slots=True)
class Row:
    user: User
    held: list[HeldRole]


def rows(users: Sequence[User], actor: Actor) -> list[Row]:
    """Three queries, however many there are."""
    teams: dict[Any, list[Any]] = defaultdict(list)
    for user, team in Membership.objects.filter(user__in=users).values_list("user_id", "team_id"):
        teams[team].append(user)
    grants = _seen(actor).filter(Q(user__in=users) | Q(team__in=list(teams)))
    found: dict[Any, list[HeldRole]] = defaultdict(list)
    for one in _held(grants, actor):
        for user in [one.grant.user_id] if one.grant.user_id else teams[one.grant.team_id]:
            found[user].append(one)
    return [Row(user, found[user.pk]) for user in users]


def held_by(holder: User | Team, actor: Actor) -> list[HeldRole]:
    """Of a person those of their teams too, as far as the actor may see."""
    mine = Q(team=holder) if isinstance(holder, Team) else Q(user=holder) | Q(team__memberships__user=holder)
    return _held(_seen(actor).filter(mine).select_related("user"), actor)


@dataclass(frozen=True, slots=True)
class TeamRow:
    team: Team
    members: int
    held: list[HeldRole]


def team_rows(teams: Sequence[Team], actor: Actor) -> list[TeamRow]:
    """Three queries, however many there are."""
    found: dict[Any, list[HeldRole]] = defaultdict(list)
    for one in _held(_seen(actor).filter(team__in=teams), actor):
        found[one.grant.team_id].append(one)
    members = dict(Membership.objects.filter(team__in=teams).values_list("team").annotate(Count("pk")).order_by())
    return [TeamRow(team, members.get(team.pk, 0), found[team.pk]) for team in teams]


def invitation_rows(invitations: Sequence[Invitation]) -> list[tuple[Invitation, Promise, str]]:
    """Each with the role and the place that it gives, in words. One query."""
    names = _instance_names(invitations)
    return [(one, ROLES[one.role][0], _where(one, names)) for one in invitations]


def place_of(grant: RoleGrant) -> Place:
    """Raises NotFound for one at an instance that was deleted meanwhile."""
    if grant.instance_id:
        instance = Instance.objects.select_related("region").filter(pk=grant.instance_id).first()
        if instance is None:
            raise NotFound()
        return instance
    return grant.region or Deployment.here()


def where_told(place: Place) -> str:
    if isinstance(place, Instance):
        return now("%(instance)s in %(region)s") % {"instance": place.name, "region": place.region.title}
    return place.title if isinstance(place, Region) else now("All regions")


def _seen(actor: Actor) -> QuerySet[RoleGrant]:
    lately = Identity.objects.filter(user=OuterRef("user"), synced_at__range=trusted_times())
    return RoleGrant.visible_to(actor, "user.view").select_related("region", "team").annotate(trusted=Exists(lately))


def _held(grants: QuerySet[RoleGrant], actor: Actor) -> list[HeldRole]:
    found = list(grants)
    names = _instance_names(found)
    told = [HeldRole(one, _where(one, names), _kept(one, actor)) for one in found]
    return sorted(told, key=lambda one: (_ORDER.get(one.grant.role, 99), one.where))


def _instance_names(given: Iterable[RoleGrant | Invitation]) -> dict[Any, str]:
    return dict(Instance.objects.filter(pk__in={one.instance_id for one in given if one.instance_id}).values_list("pk", "name"))


def _where(given: RoleGrant | Invitation, names: dict[Any, str]) -> str:
    if given.region is None:
        return now("All regions")
    if given.instance_id is None:
        return given.region.title
    instance = names.get(given.instance_id, now("an instance that was deleted"))
    return now("%(instance)s in %(region)s") % {"instance": instance, "region": given.region.title}


def _kept(grant: RoleGrant, actor: Actor) -> str:
    if grant.source == RoleGrant.SSO:
        return now("Given by single sign-on") if grant.trusted else now("Lapsed until they sign in through it again")  # type: ignore[attr-defined]
    if (grant.user_id or grant.team_id) in {actor.user_id, *actor.teams}:
        return now("Your own: another owner takes it back")
    if not actor.may("role.revoke", grant.scope):
        return now("Needs Owner there")
    return ""


def places_of(actor: Actor) -> tuple[bool, Iterable[Region], list[Instance]]:
    """Where the actor may give roles: everywhere, in which regions, at which instances."""
    regions = [one for one in Region.visible_to(actor) if actor.may_within("role.grant", one)]
    instances = Instance.objects.filter(region__in=regions).select_related("region").order_by("region__title", "name")
    whole = [one for one in regions if actor.may("role.grant", one)]
    return actor.may("role.grant", Scope()), whole, [one for one in instances if actor.may("role.grant", one)]
