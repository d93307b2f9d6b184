"""Who holds which role where. A person holds roles directly, and through the teams that they are in."""

import uuid
from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q

from secrets_app.access import ROLES
from secrets_app.actor import Held
from secrets_app.scope import EVERYWHERE, Scope

if TYPE_CHECKING:
    from secrets_app.models.user import User


class Team(models.Model):
    """People who hold roles together, and may be named as those who bind a key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=64)
    name_folded = models.CharField(max_length=64, unique=True)
    description = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    audit_kind = "team"
    audit_region = None
    scope = EVERYWHERE

    def __str__(self) -> str:
        return self.name

    @property
    def audit_name(self) -> str:
        return self.name


class Membership(models.Model):
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "user"], name="in_a_team_once")]


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

    `source`: "sso" where single sign-on gave it, which takes it back at a sign-in without the group.
    """

    SSO = "sso"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="role_grants")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, related_name="role_grants")
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

    @classmethod
    def held_by(cls, user: "User", teams: Collection[UUID]) -> frozenset[Held]:
        """One query."""
        rows = cls.objects.filter(Q(user=user) | Q(team__in=teams)).values_list("role", "region_id", "instance_id")
        return frozenset(Held(role, Scope(region, instance)) for role, region, instance in rows)
