"""Teams: people who hold roles together."""

import uuid
from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from secrets_app.actor import Actor
from secrets_app.db import locked
from secrets_app.errors import Conflict, Invalid, NotFound, StaleEdit
from secrets_app.models.deeds import Planned, deed
from secrets_app.models.grant import RoleGrant, refuse_above, refuse_own, rights_change, told
from secrets_app.models.region import Region
from secrets_app.scope import EVERYWHERE

if TYPE_CHECKING:
    from secrets_app.models.user import User


class TeamQuerySet(models.QuerySet["Team"]):
    def find(self, pk: UUID) -> "Team":
        """Raises NotFound, alike for the absent and the forbidden."""
        if (team := self.filter(pk=pk).first()) is None:
            raise NotFound()
        return team

    def matching(self, typed: str) -> "TeamQuerySet":
        return self.filter(name_folded__contains=_folded(typed))


class Team(models.Model):
    """People who hold roles together, and may be named as those who bind a key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=64)
    name_folded = models.CharField(max_length=3 * 64, unique=True)  # case folding makes of one letter up to three
    description = models.CharField(max_length=200, blank=True)
    lock_version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TeamQuerySet.as_manager()
    audit_kind = "team"
    audit_region = None
    scope = EVERYWHERE

    def __str__(self) -> str:
        return self.name

    @property
    def audit_name(self) -> str:
        return self.name

    @classmethod
    def visible_to(cls, actor: Actor) -> TeamQuerySet:
        """Whoever may see teams of a region alone sees those that hold a role there, or everywhere."""
        if actor.may("team.view", EVERYWHERE):
            return cls.objects.all()
        return cls.objects.filter(pk__in=RoleGrant.visible_to(actor, "team.view").exclude(team=None).values("team"))

    @classmethod
    def nameable_by(cls, actor: Actor, region: Region, named: Collection[str]) -> TeamQuerySet:
        """Those that a policy of a key there may say bind it: all of them for whoever sets every policy; for others those that hold a
        role which counts there, and those that it names already."""
        if actor.may("key.set_policy", EVERYWHERE):
            return cls.objects.all()
        here = RoleGrant.objects.filter(Q(region=None) | Q(region=region)).exclude(team=None)
        return cls.objects.filter(Q(pk__in=here.values("team")) | Q(pk__in=named))

    @classmethod
    def create(cls, name: str, description: str = "", *, by: Actor, once: UUID | None = None) -> "Team":
        """Raises Invalid (fields name, description)."""
        with deed(by, "team.create", Planned("team", name), once=once) as entry:
            _check(name, description, cls.objects.all())
            team = cls.objects.create(name=name, name_folded=_folded(name), description=description)
            entry.target = team
        return team

    def edit(self, name: str, description: str, *, lock_version: int, by: Actor) -> None:
        """Raises Invalid as create() does, and StaleEdit."""
        with deed(by, "team.edit", self) as entry:
            self._lock(lock_version)
            _check(name, description, type(self).objects.exclude(pk=self.pk))
            given = {"name": name, "description": description}
            entry.facts = {"changed": [field for field, text in given.items() if getattr(self, field) != text], "name": name}
            entry.compare({"name": self.name, "description": self.description}, given)
            self.name, self.name_folded, self.description = name, _folded(name), description
            self.lock_version += 1
            self.save()

    def delete(self, *, by: Actor) -> None:  # type: ignore[override]
        """Its roles end for everybody in it. Raises OwnRights, LastOwner."""
        with deed(by, "team.delete", self) as entry, rights_change(by, "team.delete", self) as giver:
            self._lock()
            refuse_own(giver, self)
            entry.facts = {"roles": self._roles(), "members": self.memberships.count()}
            type(self).objects.filter(pk=self.pk).delete()

    def add_member(self, user: "User", *, by: Actor) -> None:
        """Raises OwnRights, AboveOwn, and Conflict for who is in it."""
        with deed(by, "team.add_member", self) as entry, rights_change(by, "team.add_member", self) as giver:
            self._lock()
            refuse_own(giver, user)
            for grant in self.role_grants.all():
                refuse_above(giver, grant.role, grant.scope)
            if locked(type(user).objects.filter(pk=user.pk)).first() is None:
                raise NotFound()
            if not Membership.objects.get_or_create(team=self, user=user)[1]:
                raise Conflict(_("%(name)s is in this team already.") % {"name": user.username})
            entry.facts = {"member": user.username, "roles": self._roles()}

    def remove_member(self, user: "User", *, by: Actor) -> None:
        """Raises OwnRights, LastOwner, and NotFound for who is not in it."""
        with deed(by, "team.remove_member", self) as entry, rights_change(by, "team.remove_member", self) as giver:
            self._lock()
            refuse_own(giver, user)
            if not Membership.objects.filter(team=self, user=user).delete()[0]:
                raise NotFound()
            entry.facts = {"member": user.username, "roles": self._roles()}

    def _roles(self) -> list[str]:
        return told(self.role_grants.all())

    def _lock(self, lock_version: int | None = None) -> None:
        fresh = locked(type(self).objects.filter(pk=self.pk)).first()
        if fresh is None:
            raise NotFound()
        if lock_version is not None and fresh.lock_version != lock_version:
            raise StaleEdit({"name": fresh.name, "description": fresh.description})
        for column in self._meta.concrete_fields:
            setattr(self, column.attname, getattr(fresh, column.attname))


class Membership(models.Model):
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "user"], name="in_a_team_once")]


def _folded(name: str) -> str:
    return name.replace("\0", "").strip().casefold()


def _check(name: str, description: str, others: TeamQuerySet) -> None:
    errors: dict[str, list[object]] = {}
    if not name or len(name) > 64 or not name.isprintable() or name != name.strip():
        errors["name"] = [_("Enter a name of 1 to 64 visible characters, without a space at either end.")]
    elif others.filter(name_folded=_folded(name)).exists():
        errors["name"] = [_("A team with this name exists. Names are compared without case. Choose another.")]
    if len(description) > 200 or not all(letter.isprintable() for letter in description):
        errors["description"] = [_("Use at most 200 characters, in one line.")]
    if errors:
        raise Invalid(errors)
