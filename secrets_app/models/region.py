import re
import uuid
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from secrets_app.access import KEY_MANAGER, OWNER, ROLES
from secrets_app.actor import Actor
from secrets_app.errors import CannotSeal, Invalid, NotFound
from secrets_app.models.audit import OK, AuditEntry
from secrets_app.models.deeds import Planned, deed
from secrets_app.scope import EVERYWHERE, Scope

# The first words of other addresses: /<region>/ must never hide one.
RESERVED_REGIONS = frozenset(
    "account accounts admin api audit healthz invited metrics readyz settings sign-in sign-out static styleguide team theme".split()  # noqa: SIM905
)

REVEAL_OFF, REVEAL_ON, REVEAL_TWO = "off", "on", "two"
REVEAL_POLICIES = (REVEAL_OFF, REVEAL_ON, REVEAL_TWO)


class Deployment(models.Model):
    """One row: who we are. Its id stands in the associated data of every sealed value; the check values tell a wrong keyring."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    check_values = models.JSONField(default=dict)
    reveal = models.CharField(max_length=8, default=REVEAL_OFF)  # of REVEAL_POLICIES; what stands is reveal_policy()
    second_factor_for = models.JSONField(null=True)  # roles; None while nobody chose: asking_second_factor()
    created_at = models.DateTimeField(auto_now_add=True)

    audit_kind = "deployment"
    audit_name = "Latchkey"
    audit_region = None
    scope = EVERYWHERE

    @classmethod
    def here(cls) -> "Deployment":
        """Raises NotFound before `up` or `migrate` and `prepare` have set the deployment up."""
        if (deployment := cls.objects.first()) is None:
            raise NotFound()
        return deployment

    def edit_second_factor(self, roles: Iterable[str], *, by: Actor, once: uuid.UUID | None = None) -> None:
        """Whoever holds one of these roles anywhere has to have a second factor, from the next request on. Raises Invalid (field roles)."""
        asked = sorted(set(roles))
        with deed(by, "settings.edit_second_factor", self, once=once) as entry:
            if strange := set(asked) - ROLES.keys():
                raise Invalid({"roles": [str(_("There is no role “%(role)s”.") % {"role": min(strange)})]})
            entry.facts = {"roles": asked, "previous": sorted(asking_second_factor(self.second_factor_for))}
            type(self).objects.filter(pk=self.pk).update(second_factor_for=asked)
            self.second_factor_for = asked

    def edit_reveal(self, policy: str, *, by: Actor, once: uuid.UUID | None = None) -> None:
        """Whether values may be revealed, and by how many people. Raises Invalid (field "policy")."""
        with deed(by, "settings.edit_reveal", self, once=once) as entry:
            if policy not in REVEAL_POLICIES:
                raise Invalid({"policy": [str(_("Choose one of the policies listed."))]})
            type(self).objects.filter(pk=self.pk).update(reveal=policy)
            entry.facts = {"policy": policy, "previous": self.reveal}
            self.reveal = policy

    def reveal_policy(self) -> str:
        """What stands: the row, where the audit log says the same. Set past the log, the policy counts as off."""
        entries = AuditEntry.objects.filter(action="settings.edit_reveal", outcome=OK).order_by("-seq")
        entry = entries.first()
        said = entry.facts.get("policy") if entry else REVEAL_OFF
        return self.reveal if said == self.reveal else REVEAL_OFF


def asking_second_factor(chosen: Sequence[str] | None) -> frozenset[str]:
    """The roles that need one. Until somebody chooses: who decides over values, where the console is open to a network (TLS), and nobody
    where `up` runs it for the person at this machine."""
    if chosen is None:
        return frozenset({OWNER, KEY_MANAGER}) if settings.SECURE else frozenset()
    return frozenset(chosen)


class KmsInstance(models.Model):
    """Where master keys live. The built-in one is the keyring in the data folder."""

    name = models.CharField(max_length=64, unique=True)
    uri = models.CharField(max_length=200)

    def __str__(self) -> str:
        return self.name


class MasterKey(models.Model):
    """One key-encryption key, by the id its provider knows it under."""

    kms_instance = models.ForeignKey(KmsInstance, on_delete=models.PROTECT, related_name="master_keys")
    name = models.CharField(max_length=64)
    kek_id = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["kms_instance", "name"], name="master_key_name_once")]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def first(cls) -> Self:
        """The one that seals where none is chosen. Raises CannotSeal."""
        if (master_key := cls.objects.select_related("kms_instance").order_by("pk").first()) is None:
            raise CannotSeal(_("No master key is set up. Run `manage.py up`, or `manage.py prepare` in production."))
        return master_key


class Region(models.Model):
    """A deployment zone. `name` stands in every address; `title` is what people read."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=32, unique=True)
    title = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    audit_kind = "region"

    def __str__(self) -> str:
        return self.title

    @property
    def audit_name(self) -> str:
        return self.name

    @property
    def audit_region(self) -> tuple[uuid.UUID, str]:
        return (self.pk, self.name)

    @property
    def scope(self) -> Scope:
        return Scope(self.pk)

    @classmethod
    def visible_to(cls, actor: Actor) -> "models.QuerySet[Region]":
        """Those in which the actor holds any role, be it for one instance there."""
        visible, rows = actor.regions_with("overview.view"), cls.objects.order_by("title")
        return rows if visible is None else rows.filter(pk__in=visible)

    @classmethod
    def create(cls, name: str, title: str, *, by: Actor, once: uuid.UUID | None = None) -> "Region":
        with deed(by, "region.create", Planned("region", name), once=once) as entry:
            errors: dict[str, list[str]] = {}
            if not re.fullmatch(r"[a-z][a-z0-9-]{1,31}", name):
                errors["name"] = [str(_("Use 2 to 32 lower-case letters, digits and hyphens, starting with a letter."))]
            elif name in RESERVED_REGIONS:
                errors["name"] = [str(_("This word is an address of the console. Choose another."))]
            elif cls.objects.filter(name=name).exists():
                errors["name"] = [str(_("A region with this ID exists. Choose another."))]
            if not title.strip() or len(title) > 64:
                errors["title"] = [str(_("Enter a name of 1 to 64 characters."))]
            if errors:
                raise Invalid(errors)
            region = cls.objects.create(name=name, title=title)
            entry.target = region
            entry.facts = {"title": title}
        return region


class OfRegion(models.Model):
    """Where a noun of a region lies: in all of it."""

    if TYPE_CHECKING:
        region: models.ForeignKey[Any, Region]
        region_id: uuid.UUID

    class Meta:
        abstract = True

    @property
    def audit_region(self) -> tuple[uuid.UUID, str]:
        return (self.region_id, self.region.name)

    @property
    def scope(self) -> Scope:
        return Scope(self.region_id)
