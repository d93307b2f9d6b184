import secrets
import uuid
from typing import TYPE_CHECKING, Any, ClassVar, Self
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from gateway.models.base import Noun, refuse, searched
from gateway.versions import COMPATIBILITY_VERSIONS, FIRST_WITH_REFERENCES, NEWEST, newer_than, supports_references
from secrets_app.actor import Actor
from secrets_app.errors import Conflict, Invalid, NotFound
from secrets_app.models import Planned, Region, RoleGrant, deed
from secrets_app.scope import Scope


class InstanceQuerySet(models.QuerySet["Instance"]):
    def find(self, ref: str) -> "Instance":
        """By its id as people see it, gw-... Raises NotFound, alike for the absent and the forbidden."""
        if (instance := self.filter(ref=ref).first()) is None:
            raise NotFound()
        return instance

    def taking_references(self) -> Self:
        return self.filter(version__in=filter(supports_references, COMPATIBILITY_VERSIONS))

    def matching(self, typed: str) -> Self:
        """Whose name or id holds these characters, whatever their case."""
        typed = searched(typed)
        return self.filter(Q(name__icontains=typed) | Q(ref__icontains=typed)) if typed else self.all()


def _new_ref() -> str:
    return "gw-" + "".join(secrets.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(10))


class Instance(Noun):
    """One gateway of a region; its nodes are the running Envoys."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    ref = models.CharField(max_length=16, unique=True, default=_new_ref, editable=False)
    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="instances")
    name = models.CharField(max_length=64)
    version = models.CharField(max_length=16, default=NEWEST)
    created_at = models.DateTimeField(default=timezone.now)

    objects = InstanceQuerySet.as_manager()
    audit_kind = "instance"

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["region", "name"], name="instance_name_once_a_region")]

    @property
    def audit_region(self) -> tuple[UUID, str]:
        return (self.region_id, self.region.name)

    @property
    def scope(self) -> Scope:
        return Scope(self.region_id, self.pk)

    @property
    def supports_references(self) -> bool:
        return supports_references(self.version)

    @property
    def upgradable(self) -> bool:
        return bool(newer_than(self.version))

    @classmethod
    def visible_to(cls, actor: Actor, region: Region) -> InstanceQuerySet:
        visible, rows = actor.instances_with("instance.view", region), cls.objects.filter(region=region)
        return rows if visible is None else rows.filter(pk__in=visible)

    @classmethod
    def create(cls, region: Region, name: str, version: str = NEWEST, *, by: Actor, once: UUID | None = None) -> "Instance":
        with deed(by, "instance.create", Planned("instance", name, region), once=once) as entry:
            errors: dict[str, list[str]] = {}
            if not name or len(name) > 64 or not name.isprintable() or name != name.strip():
                errors["name"] = [str(_("Enter a name of 1 to 64 visible characters, without a space at either end."))]
            elif cls.objects.filter(region=region, name=name).exists():
                errors["name"] = [str(_("An instance with this name exists in the region. Choose another."))]
            if version not in COMPATIBILITY_VERSIONS:
                errors["version"] = [str(_("Choose one of the versions listed."))]
            refuse(errors)
            instance = cls.objects.create(region=region, name=name, version=version)
            entry.target = instance
            entry.stamp(instance)
            entry.facts = {"version": version}
        return instance

    def upgrade(self, version: str, *, by: Actor) -> None:
        """To a newer compatibility version: from 2.1.11 on its services may refer to keys. There is no way back, as documented."""
        with deed(by, "instance.upgrade", self) as entry:
            self._lock()
            if version not in newer_than(self.version):
                raise Invalid({"version": [str(_("Choose a version newer than %(version)s.") % {"version": self.version})]})
            entry.facts = {"version": version, "previous": self.version}
            entry.compare({"version": self.version}, {"version": version})
            self.version = version
            self._save("version")
            entry.stamp(self)

    def delete(self, *, by: Actor) -> None:  # type: ignore[override]
        """Raises Conflict while it has services or plug-ins: they go first, and with them their references."""
        with deed(by, "instance.delete", self) as entry:
            self._lock()
            if services := self.services.count():
                text = ngettext(
                    "This instance has %(count)d service. Delete it first: its references end with it.",
                    "This instance has %(count)d services. Delete them first: their references end with them.",
                    services,
                )
                raise Conflict(text % {"count": services})
            if plugins := self.plugins.count():
                text = ngettext(
                    "This instance has %(count)d plug-in. Uninstall it first: its references end with it.",
                    "This instance has %(count)d plug-ins. Uninstall them first: their references end with them.",
                    plugins,
                )
                raise Conflict(text % {"count": plugins})
            grants, _rows = RoleGrant.objects.filter(instance_id=self.pk).delete()
            entry.facts = {"services": 0, "nodes": self.nodes.count(), "grants": grants}
            self.nodes.all().delete()
            type(self).objects.filter(pk=self.pk).delete()

    def require_references(self) -> None:
        """The documented gate. Raises Invalid (field "generation")."""
        if not self.supports_references:
            text = _("Key references need version %(needed)s or later; this instance has %(version)s. Choose Custom, or another instance.")
            raise Invalid({"generation": [str(text % {"needed": FIRST_WITH_REFERENCES, "version": self.version})]})


class OfInstance(models.Model):
    """Where a noun of an instance lies: with it."""

    if TYPE_CHECKING:
        instance: models.ForeignKey[Any, Instance]

    class Meta:
        abstract = True

    @property
    def audit_region(self) -> tuple[UUID, str]:
        return self.instance.audit_region

    @property
    def scope(self) -> Scope:
        return self.instance.scope
