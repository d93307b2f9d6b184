"""Who somebody is at the single sign-on provider, and the roles that their groups there give."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from secrets_app.access import ROLES
from secrets_app.actor import Actor, looks_like_a_process
from secrets_app.errors import Conflict, Invalid
from secrets_app.models.deeds import deed
from secrets_app.models.grant import RoleGrant, rights_change, told
from secrets_app.models.region import Region
from secrets_app.models.user import User


@dataclass(frozen=True, slots=True)
class Given:
    """A role for everything, or in the region of that name."""

    role: str
    region: str = ""


class Identity(models.Model):
    """A person is known by what the provider never changes: its own name and theirs for it. Never by an e-mail address or a username."""

    issuer = models.CharField(max_length=200)
    subject = models.CharField(max_length=255)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identities")
    created_at = models.DateTimeField(auto_now_add=True)
    synced_at = models.DateTimeField(default=timezone.now)  # when the provider last vouched for them, and said which groups they are in

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["issuer", "subject"], name="an_identity_once")]

    @classmethod
    def person(cls, issuer: str, subject: str) -> User | None:
        known = cls.objects.select_related("user").filter(issuer=issuer, subject=subject).first()
        return known.user if known else None

    @classmethod
    def make(cls, issuer: str, subject: str, username: str, given: Iterable[Given], *, by: Actor) -> User:
        """A person with these roles and no password. Raises Conflict where somebody has the name: nobody is taken over by a name."""
        with deed(by, "user.create") as entry, rights_change(by, "user.create", User):
            if User.objects.filter(username__iexact=username).exists():
                raise Conflict(_("Somebody here has your username already, and nobody is taken over by a name. Ask an owner."))
            if looks_like_a_process(username):
                raise Invalid({"": [_("Your name at the provider stands for the console itself in its audit log. Have it changed there.")]})
            if not User.fits(username):
                raise Invalid({"": [_("The provider calls you by a name that is no username here. Ask an owner.")]})
            user = User(username=username)
            user.set_unusable_password()
            user.save(force_insert=True)
            cls.objects.create(issuer=issuer, subject=subject, user=user)
            grants = [RoleGrant(user=user, source=RoleGrant.SSO, **place) for place in _places(given)]
            RoleGrant.objects.bulk_create(grants)
            entry.target = user
            entry.facts = {"roles": told(grants)}
        return user

    @classmethod
    def sync(cls, user: User, given: Iterable[Given], *, by: Actor) -> None:
        """The roles that single sign-on gives this person become these, and count from now on. What an owner gave by hand stays.

        Raises LastOwner.
        """
        places = _places(given)
        if any(_changes(user, places)):
            with deed(by, "user.sync_roles", user) as entry, rights_change(by, "user.sync_roles", user):
                gone, new = _changes(user, places)  # once more, now that nobody else changes them
                RoleGrant.objects.filter(pk__in=[one.pk for one in gone]).delete()
                RoleGrant.objects.bulk_create(new)
                entry.facts = {"given": told(new), "taken": told(gone)}
        cls.objects.filter(user=user).update(synced_at=timezone.now())


def _changes(user: User, places: list[dict[str, Any]]) -> tuple[list[RoleGrant], list[RoleGrant]]:
    """What single sign-on gave and gives no more, and what it gives and nobody gave yet."""
    theirs = RoleGrant.objects.filter(user=user, instance_id=None).select_related("region")
    held = {(one.role, one.region_id): one for one in theirs}
    wanted = {(place["role"], place["region"].pk if place["region"] else None): place for place in places}
    gone = [one for place, one in held.items() if one.source == RoleGrant.SSO and place not in wanted]
    return gone, [RoleGrant(user=user, source=RoleGrant.SSO, **place) for key, place in wanted.items() if key not in held]


def _places(given: Iterable[Given]) -> list[dict[str, Any]]:
    """Of regions that exist; a group that names another gives nothing."""
    regions = {region.name: region for region in Region.objects.all()}
    wanted = sorted({(one.role, one.region) for one in given if one.role in ROLES and (not one.region or one.region in regions)})
    return [{"role": role, "region": regions[name] if name else None} for role, name in wanted]
