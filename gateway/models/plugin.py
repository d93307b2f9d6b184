"""Plug-ins on an instance. What a plug-in is stands in gateway/plugins; what one does is up to its rules (gateway/models/rule.py)."""

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from gateway.models.base import Noun
from gateway.models.custom_plugin import CustomPlugin
from gateway.models.instance import Instance, OfInstance
from gateway.plugins import CATALOGUE
from gateway.plugins.base import Official
from secrets_app.actor import Actor
from secrets_app.errors import Conflict, Invalid, NotFound
from secrets_app.models import Planned, deed


class PluginQuerySet(models.QuerySet["Plugin"]):
    def find(self, name: str) -> "Plugin":
        if (plugin := self.filter(name=name).first()) is None:
            raise NotFound()
        return plugin


class Plugin(OfInstance, Noun):
    """A plug-in installed on an instance: an official one of the catalogue, or a custom one of the region."""

    instance = models.ForeignKey(Instance, on_delete=models.PROTECT, related_name="plugins")
    name = models.CharField(max_length=64)
    custom = models.ForeignKey(CustomPlugin, on_delete=models.PROTECT, null=True, related_name="installed")
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=150)

    objects = PluginQuerySet.as_manager()
    audit_kind = "installed_plugin"  # "plugin" is a rule: what holds keys

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["instance", "name"], name="plugin_once_an_instance")]

    @property
    def official(self) -> Official:
        """Its schema, documentation and checks; of a custom plug-in, those that it declares."""
        return self.custom.official if self.custom else CATALOGUE[self.name]

    @classmethod
    def visible_to(cls, actor: Actor, instance: Instance) -> PluginQuerySet:
        return cls.objects.filter(instance=instance) if actor.may("plugin.view", instance) else cls.objects.none()

    @classmethod
    def install(cls, instance: Instance, name: str, *, by: Actor, once: UUID | None = None) -> "Plugin":
        """It does nothing yet: that takes a rule, enabled. Raises Invalid (field "name"), Conflict when it is installed already."""
        planned = Planned(cls.audit_kind, name, instance, {"instance": instance.ref})
        with deed(by, "plugin.install", planned, once=once) as entry:
            instance._lock()
            custom = None if name in CATALOGUE else CustomPlugin.objects.filter(region_id=instance.region_id, name=name).first()
            if name not in CATALOGUE and custom is None:
                raise Invalid({"name": [str(_("Choose one of the plug-ins listed."))]})
            if cls.objects.filter(instance=instance, name=name).exists():
                raise Conflict(_("This plug-in is installed on the instance already."))
            plugin = cls.objects.create(instance=instance, name=name, custom=custom, created_by=by.name)
            entry.target = plugin
            entry.stamp(plugin)
            entry.facts = {"instance": instance.ref}
        return plugin

    def uninstall(self, *, by: Actor) -> None:
        """Its rules go with it, and their references are released."""
        with deed(by, "plugin.uninstall", self) as entry:
            self._lock()
            rules = list(self.rules.order_by("pk"))
            released = {name for rule in rules for name in rule._remove()}
            entry.facts = {"instance": self.instance.ref, "rules": len(rules), "released": sorted(released)}
            type(self).objects.filter(pk=self.pk).delete()
