"""Who holds which role where, and how that changes: nobody gives more than they hold, nobody changes their own, an owner stays."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from secrets_app.access import FOR_AN_INSTANCE, OWNER, ROLES, grantable
from secrets_app.actor import Actor, Held
from secrets_app.db import locked
from secrets_app.errors import AboveOwn, Conflict, Invalid, LastOwner, NotAllowed, NotFound, OwnRights
from secrets_app.models.deeds import deed
from secrets_app.models.region import Deployment
from secrets_app.scope import EVERYWHERE, Scope, Scoped

if TYPE_CHECKING:
    from secrets_app.models.team import Team
    from secrets_app.models.user import User


class Place(Protocol):
    """Where a role is held: the deployment, a region, or an instance, which only the gateway room knows."""

    @property
    def pk(self) -> Any: ...
    @property
    def audit_name(self) -> str: ...
    @property
    def audit_region(self) -> tuple[UUID, str] | None: ...
    @property
    def scope(self) -> Scope: ...


def _held_once(holder: str) -> list[models.UniqueConstraint]:
    """One for each sort of place: where a column is NULL, a database tells no two rows apart."""
    return [
        models.UniqueConstraint(fields=[holder, "role"], condition=Q(region__isnull=True), name=f"{holder}_role_once"),
        models.UniqueConstraint(
            fields=[holder, "role", "region"], condition=Q(instance_id__isnull=True), name=f"{holder}_role_once_a_region"
        ),
        models.UniqueConstraint(fields=[holder, "role", "region", "instance_id"], name=f"{holder}_role_once_an_instance"),
    ]


class RoleGrant(models.Model):
    """A role of a person or of a team, held everywhere, in a region or in one instance of it.

    `source`: "sso" where single sign-on gave it, which takes it back at a sign-in without the group. Nobody hears from a provider of
    those whom it does not know any more: such a role counts only while the person came in through it lately, and is lapsed otherwise.
    """

    SSO = "sso"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="role_grants")
    team = models.ForeignKey("secrets_app.Team", on_delete=models.CASCADE, null=True, related_name="role_grants")
    role = models.CharField(max_length=16, choices=[(role, label) for role, (label, _text) in ROLES.items()])
    region = models.ForeignKey("secrets_app.Region", on_delete=models.CASCADE, null=True, related_name="+")
    instance_id = models.UUIDField(null=True)  # of the region; the gateway room knows what it is
    source = models.CharField(max_length=8, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(user__isnull=True) ^ Q(team__isnull=True), name="a_role_has_one_holder"),
            models.CheckConstraint(condition=Q(instance_id__isnull=True) | Q(region__isnull=False), name="an_instance_lies_in_a_region"),
            *_held_once("user"),
            *_held_once("team"),
        ]

    @property
    def scope(self) -> Scope:
        return Scope(self.region_id, self.instance_id)

    @property
    def holder(self) -> "User | Team":
        holder = self.user or self.team
        assert holder
        return holder

    @classmethod
    def held_by(cls, user: "User", teams: Collection[UUID]) -> tuple[frozenset[Held], frozenset[Held]]:
        """Those that count, and those that have lapsed. One query."""
        rows = cls.objects.filter(Q(user=user) | Q(team__in=teams))
        found = list(rows.values_list("role", "region_id", "instance_id", "source", "user__identities__synced_at"))
        since, until = trusted_times()
        counting = {row[:3] for row in found if row[3] != cls.SSO or (row[4] and since <= row[4] <= until)}
        lapsed = {row[:3] for row in found} - counting
        return _as_held(counting), _as_held(lapsed)

    @classmethod
    def visible_to(cls, actor: Actor, permission: str) -> "models.QuerySet[RoleGrant]":
        """Those that count somewhere where the actor holds the permission: there, inside it, or around it."""
        if actor.may(permission, EVERYWHERE):
            return cls.objects.all()
        seen = Q(pk__in=[])
        for one in actor.held:
            if permission in one.permissions:
                here = Q(region=one.scope.region)
                if one.scope.instance:
                    here &= Q(instance_id=None) | Q(instance_id=one.scope.instance)
                seen |= here | Q(region=None)
        return cls.objects.filter(seen)

    @classmethod
    def grant(cls, holder: "User | Team", role: str, where: Place, *, by: Actor, once: UUID | None = None) -> "RoleGrant":
        """What single sign-on gave becomes given by hand. Raises Invalid (fields role, scope), OwnRights, AboveOwn, and Conflict for what
        is held there by hand already."""
        given = Given(holder, where)
        with deed(by, "role.grant", given, once=once, facts={"role": role, "scope": place_of(where)}):
            check_role(role, where.scope)
            with rights_change(by, "role.grant", where) as giver:
                refuse_own(giver, holder)
                refuse_above(giver, role, where.scope)
                _still_there(holder, where)
                place: dict[str, Any] = {"region_id": where.scope.region, "instance_id": where.scope.instance}
                grant, made = cls.objects.get_or_create(role=role, **given.column, **place)
                if not made and grant.source != cls.SSO:
                    raise Conflict(_("This role is held there already. Nothing was changed."))
                if not made:
                    grant.source = ""
                    grant.save(update_fields=["source"])
        return grant

    def revoke(self, where: Place, *, by: Actor) -> None:
        """`where` is the place at which it is held. Raises OwnRights, LastOwner, NotFound when it is gone, and Conflict for what single
        sign-on gave."""
        assert where.scope == self.scope
        holder = self.holder
        facts = {"role": self.role, "scope": place_of(where)}
        with deed(by, "role.revoke", Given(holder, where), facts=facts), rights_change(by, "role.revoke", where) as giver:
            refuse_own(giver, holder)
            if self.source == self.SSO:
                raise Conflict(_("Single sign-on gave this role, by a group. Take the person out of the group there."))
            if not type(self).objects.filter(pk=self.pk).delete()[0]:
                raise NotFound()


@dataclass(frozen=True, slots=True)
class Given:
    """What a change of roles is done to: whoever holds them, at a place, whose region's log tells of it."""

    holder: "User | Team"
    where: Place

    @property
    def pk(self) -> UUID:
        return self.holder.pk

    @property
    def audit_kind(self) -> str:
        return self.holder.audit_kind

    @property
    def audit_name(self) -> str:
        return self.holder.audit_name

    @property
    def audit_region(self) -> tuple[UUID, str] | None:
        return self.where.audit_region

    @property
    def scope(self) -> Scope:
        return self.where.scope

    @property
    def column(self) -> dict[str, Any]:
        return {"user" if self.audit_kind == "user" else "team": self.holder}


@contextmanager
def rights_change(by: Actor, action: str, where: Scoped) -> Iterator[Actor]:
    """Inside a deed that gives or takes rights: one at a time, by somebody who has theirs still; whom it yields, as of now.

    Raises NotAllowed when they were taken since the request came in, and LastOwner when nobody active would own everything any more.
    """
    locked(Deployment.objects.all()).first()
    giver = _as_of_now(by)
    giver.require(action, where)
    owned = is_owned()
    yield giver
    if owned and not is_owned():
        raise LastOwner()


def is_owned() -> bool:
    """Whether somebody active holds owner everywhere, directly or by a team, and it counts."""
    active = Q(user__is_active=True) | Q(team__memberships__user__is_active=True)
    counting = ~Q(source=RoleGrant.SSO) | Q(user__identities__synced_at__range=trusted_times())
    return RoleGrant.objects.filter(active, counting, role=OWNER, region=None).exists()


def trusted_times() -> tuple[datetime, datetime]:
    """Whoever came in through single sign-on between these is believed to be known there still; later is a clock that went wrong."""
    now = timezone.now()
    return now - timedelta(days=settings.OIDC_TRUST_DAYS), now + timedelta(days=1)


def refuse_own(by: Actor, holder: "User | Team") -> None:
    if by.user_id is not None and holder.pk in {by.user_id, *by.teams}:
        raise OwnRights()


def refuse_above(by: Actor, role: str, scope: Scope) -> None:
    if not all(by.may(permission, scope) for permission in grantable(role, scope)):
        raise AboveOwn()


def place_of(where: Place) -> str:
    """As the log tells it: "everywhere", "region local", "instance Main (local)"."""
    if where.scope == EVERYWHERE or where.audit_region is None:
        return "everywhere"
    region = where.audit_region[1]
    return f"instance {where.audit_name} ({region})" if where.scope.instance else f"region {region}"


def told(grants: Iterable[RoleGrant]) -> list[str]:
    """Roles for the log, by region; of an instance the id, which is all that the vault knows."""
    return sorted(f"{one.role} {one.region.name if one.region else 'everywhere'} {one.instance_id or ''}".rstrip() for one in grants)


def _as_held(rows: Iterable[tuple[str, UUID | None, UUID | None]]) -> frozenset[Held]:
    return frozenset(Held(role, Scope(region, instance)) for role, region, instance in rows)


def _as_of_now(by: Actor) -> Actor:
    """The console's own processes hold what they hold."""
    if by.user_id is None:
        return by
    user = get_user_model().objects.filter(pk=by.user_id, is_active=True).first()
    if user is None:
        raise NotAllowed("role.grant")
    now: Actor = user.as_actor()
    return replace(by, held=now.held, teams=now.teams)


def _still_there(*rows: Any) -> None:
    """Holds them until the deed ends. Raises NotFound."""
    for row in rows:
        if locked(type(row)._default_manager.filter(pk=row.pk)).first() is None:
            raise NotFound()


def check_role(role: str, scope: Scope) -> None:
    if role not in ROLES:
        raise Invalid({"role": [_("Choose one of the roles listed.")]})
    if scope.instance and role not in FOR_AN_INSTANCE:
        text = _("%(role)s is held for all regions or for one: keys and the audit log belong to regions, not to instances.")
        raise Invalid({"role": [text % {"role": ROLES[role][0]}]})
