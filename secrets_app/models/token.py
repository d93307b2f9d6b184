"""API tokens: somebody's rights in the hand of a script, narrowed when it was made, and asked anew at each use."""

import hmac
import ipaddress
import re
import secrets
from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from secrets_app import keyring
from secrets_app.actor import Actor
from secrets_app.errors import AboveOwn, Invalid, NotFound
from secrets_app.models.deeds import Planned, deed
from secrets_app.models.region import Region
from secrets_app.models.user import User
from secrets_app.scope import EVERYWHERE, Scope

# Never revealing, roles, tokens, policies or settings: those want a person.
FOR_TOKENS = ("key.view", "key.create", "key.rotate", "key.disable", "key.enable", "consumer.view", "audit.view")
LONGEST, USUAL = 365, 90  # days
_COALESCED = timedelta(minutes=1)  # uses within it are one
_FORM = re.compile(r"lk_([a-z2-9]{12})_([0-9a-f]{64})")
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


class ApiToken(models.Model):
    """Gone once it is revoked, or its maker is. Of the secret the database knows an HMAC, whose key is derived from the keyring."""

    ref = models.CharField(max_length=12, unique=True)
    name = models.CharField(max_length=64)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    region = models.ForeignKey(Region, on_delete=models.CASCADE, null=True, related_name="+")
    permissions = models.JSONField()
    networks = models.JSONField(default=list)
    digest = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)

    audit_kind = "token"

    def __str__(self) -> str:
        return self.name

    @property
    def audit_name(self) -> str:
        return self.name

    @property
    def audit_region(self) -> tuple[UUID, str] | None:
        return self.region.audit_region if self.region else None

    @property
    def scope(self) -> Scope:
        return Scope(self.region_id)

    @property
    def expired(self) -> bool:
        return self.expires_at <= timezone.now()

    @classmethod
    def visible_to(cls, actor: Actor) -> "models.QuerySet[ApiToken]":
        """One's own; those of everybody for whoever may see them."""
        return cls.objects.all() if actor.may("token.view", EVERYWHERE) else cls.objects.filter(user_id=actor.user_id)

    @classmethod
    def create(
        cls,
        name: str,
        region: Region | None,
        permissions: Collection[str],
        days: int,
        networks: Collection[str] = (),
        *,
        by: Actor,
        once: UUID | None = None,
    ) -> "tuple[ApiToken, str]":
        """And its text, which nobody can look up later. Raises Invalid (fields name, permissions, days, networks), AboveOwn."""
        with deed(by, "token.create", Planned("token", name, region), once=once) as entry:
            _check(name, permissions, days, networks)
            scope = Scope(region.pk if region else None)
            if by.user_id is None or not all(by.may(permission, scope) for permission in permissions):
                raise AboveOwn()
            ref, secret = "".join(secrets.choice(_LETTERS) for _ in range(12)), secrets.token_hex(32)
            token = cls.objects.create(
                ref=ref,
                name=name,
                user_id=by.user_id,
                region=region,
                permissions=sorted(permissions),
                networks=list(networks),
                digest=_digest(secret),
                expires_at=timezone.now() + timedelta(days=days),
            )
            entry.target = token
            entry.facts = {"permissions": sorted(permissions), "days": days, "networks": list(networks)}
        return token, f"lk_{ref}_{secret}"

    def revoke(self, *, by: Actor) -> None:
        """By its maker, or by whoever may see everybody's. Raises NotFound when it is gone."""
        with deed(by, "token.revoke", self):
            if by.user_id != self.user_id:
                by.require("token.view", EVERYWHERE)
            if not type(self).objects.filter(pk=self.pk).delete()[0]:
                raise NotFound()

    @classmethod
    def presented(cls, text: str, address: str) -> "ApiToken | None":
        """The token, if it opens something from there now. The same work whatever was presented: one query, one HMAC, one comparison."""
        fits = _FORM.fullmatch(text)
        ref, secret = fits.groups() if fits else ("", "0" * 64)
        token = cls.objects.select_related("user", "region").filter(ref=ref).first()
        right = hmac.compare_digest(_digest(secret), token.digest if token else "0" * 64)
        if token is None or not right or token.expired or not token.user.is_active or not token._admits(address):
            return None
        return token

    def as_actor(self, address: str, request_id: str) -> Actor:
        """Its maker as they are now, within its bounds; the log tells that a token did it. Notes the use, once a minute."""
        user: User = self.user
        earlier = Q(last_used_at=None) | Q(last_used_at__lt=timezone.now() - _COALESCED)
        type(self).objects.filter(earlier, pk=self.pk).update(last_used_at=timezone.now())
        kept = set(self.permissions) & set(FOR_TOKENS)
        if any(permission.startswith("key.") for permission in kept):
            kept.add("key.view")  # who changes a key has to find it
        actor = user.as_actor(address, request_id).confined(self.scope, kept)
        return actor.named(f"{user.username} (token {self.name})"[:150])

    def regions_of(self, actor: Actor) -> frozenset[UUID] | None:
        """Those in which it may do anything at all; None for all regions. The others are not found."""
        each = [actor.regions_with(permission) for permission in actor.only or ()]
        return None if None in each else frozenset().union(*(one for one in each if one is not None))

    def _admits(self, address: str) -> bool:
        if not self.networks:
            return True
        try:
            caller = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(caller in ipaddress.ip_network(network) for network in self.networks)


def _digest(secret: str) -> str:
    return hmac.new(keyring.derived(b"api tokens"), secret.encode(), "sha256").hexdigest()


def _check(name: str, permissions: Collection[str], days: int, networks: Collection[str]) -> None:
    errors: dict[str, list[object]] = {}
    if not name or len(name) > 64 or not name.isprintable() or name != name.strip():
        errors["name"] = [_("Enter a name of 1 to 64 visible characters, without a space at either end.")]
    if not permissions or set(permissions) - set(FOR_TOKENS):
        errors["permissions"] = [_("Choose at least one of those listed.")]
    if not 1 <= days <= LONGEST:
        errors["days"] = [_("Enter 1 to 365 days.")]
    if len(networks) > 20 or not all(_is_network(network) for network in networks):
        errors["networks"] = [_("Enter at most 20 addresses or networks, such as 192.0.2.7 or 192.0.2.0/24.")]
    if errors:
        raise Invalid(errors)


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
