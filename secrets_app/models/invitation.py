"""Invitations: whoever opens the link once chooses a password, and is somebody with the role that the inviter may give at that moment."""

import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from secrets_app.access import ROLES
from secrets_app.actor import Actor
from secrets_app.db import locked
from secrets_app.errors import AboveOwn, Conflict, Invalid, NotAllowed, NotFound
from secrets_app.models.deeds import Planned, deed
from secrets_app.models.grant import Place, RoleGrant, check_role, place_of, refuse_above, rights_change
from secrets_app.models.user import User, username_problem
from secrets_app.scope import EVERYWHERE, Scope

LASTS = timedelta(hours=72)


def _expiry() -> datetime:
    return timezone.now() + LASTS


class Invitation(models.Model):
    """Gone once it was accepted or revoked. Of the link's token the database knows a hash alone: it is 256 bits of chance."""

    username = models.CharField(max_length=150)
    note = models.CharField(max_length=200, blank=True)
    role = models.CharField(max_length=16, choices=[(role, label) for role, (label, _text) in ROLES.items()])
    region = models.ForeignKey("secrets_app.Region", on_delete=models.CASCADE, null=True, related_name="+")
    instance_id = models.UUIDField(null=True)
    place = models.CharField(max_length=150)  # as the log tells it
    token_hash = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(default=_expiry)

    audit_kind = "invitation"
    audit_region = None
    scope = EVERYWHERE

    def __str__(self) -> str:
        return self.username

    @property
    def audit_name(self) -> str:
        return self.username

    @property
    def at(self) -> Scope:
        return Scope(self.region_id, self.instance_id)

    @property
    def expired(self) -> bool:
        return self.expires_at <= timezone.now()

    @classmethod
    def visible_to(cls, actor: Actor) -> "models.QuerySet[Invitation]":
        return cls.objects.all() if actor.may("invitation.view", EVERYWHERE) else cls.objects.none()

    @classmethod
    def create(cls, username: str, note: str, role: str, where: Place, *, by: Actor, once: UUID | None = None) -> "tuple[Invitation, str]":
        """And the token of its link, which nobody can look up later. Raises Invalid (fields username, note, role), AboveOwn."""
        with deed(by, "invitation.create", Planned("invitation", username), once=once) as entry:
            errors: dict[str, list[object]] = {"username": [problem]} if (problem := username_problem(username)) else {}
            if len(note) > 200 or not note.isprintable():
                errors["note"] = [_("Use at most 200 characters, in one line.")]
            if errors:
                raise Invalid(errors)
            check_role(role, where.scope)
            with rights_change(by, "invitation.create", EVERYWHERE) as giver:
                refuse_above(giver, role, where.scope)
                token = secrets.token_urlsafe(32)
                place = {"region_id": where.scope.region, "instance_id": where.scope.instance, "place": place_of(where)}
                invitation = cls.objects.create(
                    username=username, note=note, role=role, token_hash=_hash(token), invited_by_id=by.user_id, **place
                )
                entry.target = invitation
                entry.facts = {"role": role, "scope": place_of(where)}
        return invitation, token

    def revoke(self, *, by: Actor) -> None:
        """The link opens nothing any more. Raises NotFound when it was accepted or revoked meanwhile."""
        with deed(by, "invitation.revoke", self):
            if not type(self).objects.filter(pk=self.pk).delete()[0]:
                raise NotFound()

    @classmethod
    def find(cls, token: str) -> "Invitation":
        """Raises NotFound: whether it never was, expired, was revoked or accepted is not told."""
        found = cls.objects.filter(token_hash=_hash(token), expires_at__gt=timezone.now(), invited_by__is_active=True).first()
        if found is None:
            raise NotFound()
        return found

    def accept(self, password: str, *, address: str = "", request_id: str = "") -> User:
        """Once. What the inviter may not give any more is not given: raises Conflict. And Invalid (fields username, password)."""
        by = Actor(self.username, address=address, request_id=request_id)
        with deed(by, "invitation.accept", self) as entry:
            if locked(type(self).objects.filter(pk=self.pk)).first() is None:
                raise NotFound()
            self._still_given()
            user = User.made(self.username, password)
            RoleGrant.objects.create(user=user, role=self.role, region_id=self.region_id, instance_id=self.instance_id)
            entry.facts = {"role": self.role, "scope": self.place, "member": self.invited_by.username}
            type(self).objects.filter(pk=self.pk).delete()
        return user

    def _still_given(self) -> None:
        try:
            with rights_change(self.invited_by.as_actor(), "invitation.create", EVERYWHERE) as giver:
                refuse_above(giver, self.role, self.at)
        except (NotAllowed, AboveOwn):
            text = _("%(name)s, who invited you, may not give this role any more. Ask for an invitation by somebody who may.")
            raise Conflict(text % {"name": self.invited_by.username}) from None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
