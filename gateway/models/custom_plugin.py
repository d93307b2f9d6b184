from typing import Any, ClassVar, Self
from uuid import UUID

from django.db import models
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from gateway.models.base import Noun, check_description, check_name, refuse, searched
from gateway.models.reaching import Reach
from gateway.plugins import CATALOGUE
from gateway.plugins.base import PHASES, Official
from gateway.plugins.custom import official, problem_with_schema
from gateway.plugins.examine import examine
from gateway.plugins.installed import script_name
from secrets_app.actor import Actor
from secrets_app.errors import Conflict, Invalid, NotFound
from secrets_app.models import Key, Planned, Reference, Region, deed
from secrets_app.models.admitting import OutsidePolicy
from secrets_app.models.region import OfRegion
from secrets_app.refs import looks_like_reference

SOURCE_LIMIT = 64 * 1024  # bytes
LINE_LIMIT = 5_000
PRIORITIES = range(1001)


class CustomPluginQuerySet(models.QuerySet["CustomPlugin"]):
    def matching(self, typed: str) -> Self:
        """Whose name or description holds these characters, whatever their case."""
        typed = searched(typed)
        return self.filter(Q(name__icontains=typed) | Q(description__icontains=typed)) if typed else self.all()

    def with_installations(self) -> Self:
        """Each with the number of instances that have it, as `instances`."""
        return self.annotate(instances=Count("installed"))

    def find(self, name: str) -> "CustomPlugin":
        if (plugin := self.filter(name=name).first()) is None:
            raise NotFound()
        return plugin


class CustomPlugin(OfRegion, Noun):
    """A script of one's own, in Lua, and the schema of what its rules may say. It can be installed on any instance of the region."""

    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="custom_plugins")
    name = models.CharField(max_length=63)
    description = models.CharField(max_length=500, blank=True)
    source = models.TextField()
    schema = models.TextField()  # JSON
    phase = models.CharField(max_length=16)
    priority = models.PositiveIntegerField()
    number = models.PositiveIntegerField(default=1)  # of its version
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=150)

    objects = CustomPluginQuerySet.as_manager()
    audit_kind = "custom_plugin"

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["region", "name"], name="custom_plugin_once_a_region")]

    @property
    def official(self) -> Official:
        """As the catalogue's plug-ins are looked at."""
        return official(self.name, self.description, self.schema, self.phase, self.priority, self.number)

    @classmethod
    def visible_to(cls, actor: Actor, region: Region) -> CustomPluginQuerySet:
        return cls.objects.filter(region=region) if actor.may("plugin.view", region) else cls.objects.none()

    @classmethod
    def create(
        cls,
        region: Region,
        name: str,
        *,
        source: str,
        schema: str,
        phase: str,
        priority: int,
        by: Actor,
        description: str = "",
        once: UUID | None = None,
    ) -> "CustomPlugin":
        """Raises Invalid (fields name, description, source, schema, phase, priority)."""
        with deed(by, "custom_plugin.create", Planned(cls.audit_kind, name, region), once=once) as entry:
            taken = cls.objects.filter(region=region, name=name)
            refuse(
                check_name(name, lambda: name in CATALOGUE or taken.exists()),
                check_description(description),
                _check(source, schema, phase, priority),
            )
            plugin = cls.objects.create(
                region=region,
                name=name,
                description=description,
                source=source,
                schema=schema,
                phase=phase,
                priority=priority,
                created_by=by.name,
            )
            entry.target = plugin
            entry.stamp(plugin)
            entry.facts = {"version": 1, "phase": phase, "priority": priority}
        return plugin

    def edit(self, *, description: str, source: str, schema: str, phase: str, priority: int, lock_version: int, by: Actor) -> None:
        """A new version takes the old one's place on every instance. Raises Invalid (field "schema") where a rule would not fit it."""
        with deed(by, "custom_plugin.edit", self) as entry:
            self._lock(lock_version)
            refuse(check_description(description), _check(source, schema, phase, priority))
            columns: dict[str, Any] = {
                "description": description,
                "source": source,
                "schema": schema,
                "phase": phase,
                "priority": priority,
            }
            changed = [name for name, new in columns.items() if getattr(self, name) != new]
            if "source" in changed and self._is_shown_keys():
                by.require("key.bind", self)  # another script: the keys go to somebody else
            entry.compare({name: getattr(self, name) for name in columns}, columns)
            for name, new in columns.items():
                setattr(self, name, new)
            if "schema" in changed:
                self._check_rules()
            self.number += 1
            self._save(*columns, "number")
            if "source" in changed:
                self._admit(by)
            entry.stamp(self)
            entry.facts = {"changed": changed, "version": self.number, "phase": phase, "priority": priority}
            self._tell_policies(entry)

    def delete(self, *, by: Actor) -> None:  # type: ignore[override]
        """Raises Conflict while it is installed somewhere."""
        with deed(by, "custom_plugin.delete", self) as entry:
            self._lock()
            if instance := self.installed.order_by("instance__name").values_list("instance__name", flat=True).first():
                raise Conflict(_("This plug-in is installed on %(instance)s. Uninstall it there first.") % {"instance": instance})
            entry.facts = {"version": self.number}
            type(self).objects.filter(pk=self.pk).delete()

    # Below the verbs

    def _admit(self, by: Actor) -> None:
        """Another script: may the keys that it is shown go there, its own rules' and those of others beside it? Raises Invalid."""
        script = script_name(self.name, self.source)
        for installed in self.installed.select_related("instance__region").order_by("instance__pk"):
            to = {stray.key_id: stray.to for stray in Reach(installed.instance).strays if stray.to.host == script}
            for key in Key.objects.filter(pk__in=to).order_by("pk"):
                key._lock()
                try:
                    key._admit([to[key.pk]], by)
                except OutsidePolicy as refused:
                    raise Invalid({"source": refused.errors["key"]}) from None
                self._note(key)

    def _is_shown_keys(self) -> bool:
        rules = self.installed.values("rules")
        return Reference.objects.filter(holder_kind="plugin", holder_id__in=rules).exists()

    def _check_rules(self) -> None:
        plugin = self.official
        for installed in self.installed.select_related("instance").order_by("instance__name"):
            for rule in installed.rules.order_by("name"):
                _read, faults = examine(plugin, rule.text, rule.level)
                if faults:
                    text = _("The rule %(rule)s of %(instance)s would not fit: %(fault)s")
                    told = {"rule": rule.name, "instance": installed.instance.name, "fault": str(faults[0])}
                    raise Invalid({"schema": [str(text % told)]})

    def _as_edited(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("description", "source", "schema", "phase", "priority")}


def _check(source: str, schema: str, phase: str, priority: int) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    if problem := _problem_with_source(source):
        errors["source"] = [str(problem)]
    if problem := problem_with_schema(schema):
        errors["schema"] = [str(problem)]
    if phase not in PHASES:
        errors["phase"] = [str(_("Choose one of the phases listed."))]
    if priority not in PRIORITIES:
        errors["priority"] = [str(_("Enter a whole number from 0 to 1000."))]
    return errors


def _problem_with_source(source: str) -> Any:
    if not source.strip():
        return _("Enter the script.")
    raw = source.encode(errors="replace")
    if len(raw) > SOURCE_LIMIT:
        return _("The script is longer than %(limit)d KiB.") % {"limit": SOURCE_LIMIT // 1024}
    if source.count("\n") > LINE_LIMIT:
        return _("The script has more than %(limit)d lines.") % {"limit": LINE_LIMIT}
    if "\0" in source:
        return _("The script holds a NUL character. Paste it again without it.")
    if looks_like_reference(raw):
        return _("A reference in the script would be taken literally. Declare a field with “x-secret”, and refer to the key in a rule.")
    return ""
