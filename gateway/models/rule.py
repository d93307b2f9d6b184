"""A rule: the configuration of a plug-in for an instance or one of its services, as YAML with placeholders. It is what holds keys."""

from collections import defaultdict
from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from gateway.address import parse_address
from gateway.destinations import of_rule
from gateway.models.base import Noun
from gateway.models.node import Node
from gateway.models.plugin import Plugin
from gateway.models.reaching import Reach
from gateway.models.service import Service
from gateway.plugins.base import INSTANCE, SERVICE
from gateway.plugins.document import Fault, normal
from gateway.plugins.examine import examine
from gateway.plugins.installed import script_name
from gateway.plugins.review import Mention, Review, RuleRefused, review
from secrets_app.actor import Actor
from secrets_app.db import locked
from secrets_app.errors import Conflict, Invalid, NotFound, StaleEdit
from secrets_app.models import Key, Planned, Reference, deed
from secrets_app.models.admitting import OutsidePolicy
from secrets_app.models.binding import Place, Unusable, refer, refusals
from secrets_app.models.policy import Destination
from secrets_app.scope import Scope

REVISIONS_KEPT = 50


class Rule(Noun):
    """At most one of a plug-in for the instance, and one for each of its services, which there takes the instance's place.

    `text` stands as it was typed: no value of a key is ever in it. While it is disabled it does nothing and keeps its references.
    """

    plugin = models.ForeignKey(Plugin, on_delete=models.PROTECT, related_name="rules")
    service = models.ForeignKey(Service, on_delete=models.PROTECT, null=True, related_name="rules")  # None: the instance's
    name = models.CharField(max_length=160)  # "key-auth", "key-auth on chat"
    text = models.TextField(blank=True)
    enabled = models.BooleanField(default=False)
    number = models.PositiveIntegerField(default=1)  # of the revision that `text` is
    written_at = models.DateTimeField(default=timezone.now)
    written_by = models.CharField(max_length=150)

    audit_kind = "plugin"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["plugin"], condition=Q(service=None), name="one_rule_of_the_instance"),
            models.UniqueConstraint(fields=["plugin", "service"], name="one_rule_a_service"),
        ]

    @property
    def audit_region(self) -> tuple[UUID, str]:
        return self.plugin.audit_region

    @property
    def scope(self) -> Scope:
        return self.plugin.scope

    @property
    def level(self) -> str:
        return SERVICE if self.service_id else INSTANCE

    @property
    def references(self) -> "models.QuerySet[Reference]":
        return Reference.objects.filter(holder_kind=self.audit_kind, holder_id=self.pk).select_related("key").order_by("pk")

    @classmethod
    def at(cls, plugin: Plugin, service: Service | None) -> "Rule | None":
        return cls.objects.filter(plugin=plugin, service=service).first()

    @classmethod
    def review(cls, plugin: Plugin, service: Service | None, text: str, *, by: Actor) -> Review:
        """What an editor shows of a text: faults and references, each with its place. Never raises for what stands in the text."""
        level, instance = SERVICE if service else INSTANCE, plugin.instance
        ours = {settings.WEB_PORT, settings.XDS_PORT, *Node.listen_ports()}
        return review(plugin.official, text, level, instance.region, instance.version, ours, by=by)

    def refusal_of(self, text: str, *, by: Actor) -> str:
        """Why this text could not take the place of the one that is there; empty when it could."""
        seen = type(self).review(self.plugin, self.service, text, by=by)
        if not seen.passes:
            return str(seen.faults[0])
        there = set(self.references.values_list("key", flat=True))
        new = {mention.key.pk: mention.key for mention in seen.mentions if mention.key and mention.key.pk not in there}
        inbound = {mention.key.pk for mention in seen.mentions if mention.key and mention.inbound}
        return next(iter(refusals(new.values(), inbound, self._realm).values()), "")

    @classmethod
    def write(
        cls,
        plugin: Plugin,
        service: Service | None,
        text: str,
        *,
        lock_version: int | None,
        by: Actor,
        enabled: bool | None = None,
        once: UUID | None = None,
    ) -> "Rule":
        """Save a text as the rule of that place; the first one, with `lock_version` None, is disabled unless `enabled` is True.

        Raises RuleRefused, StaleEdit, NotFound when the rule is gone, NotAllowed without key.bind for keys not referred to before.
        """
        planned = Planned(cls.audit_kind, _name(plugin, service), plugin, {"instance": plugin.instance.ref})
        with deed(by, "rule.write", cls.at(plugin, service) or planned, once=once) as entry:
            plugin._lock()
            rule = cls.at(plugin, service)
            if rule is None:
                entry.target = rule = cls._new(plugin, service, lock_version, by)
            elif lock_version is None:
                raise StaleEdit(rule._as_edited())
            else:
                rule._lock(lock_version)
            entry.facts = rule._write(text, enabled, by, widens=True)
            entry.stamp(rule)
            rule._tell_policies(entry)
        return rule

    def restore(self, number: int, *, lock_version: int, by: Actor) -> None:
        """An earlier text becomes the newest revision. It is looked at anew: a key may be gone since. Raises as write() does."""
        with deed(by, "rule.restore", self) as entry:
            self._lock(lock_version)
            if (revision := self.revisions.filter(number=number).first()) is None:
                raise NotFound()
            entry.facts = self._write(revision.text, None, by) | {"restored": number}
            entry.stamp(self)

    def enable(self, *, by: Actor) -> None:
        """Raises RuleRefused when the text would not be accepted today."""
        self._switch("rule.enable", True, by)

    def disable(self, *, by: Actor) -> None:
        self._switch("rule.disable", False, by)

    def delete(self, *, by: Actor) -> None:  # type: ignore[override]
        with deed(by, "rule.delete", self) as entry:
            self._lock()
            entry.facts = self._place() | {"released": self._remove()}
            self._check_others()

    # What deeds of the plug-in and of the service call inside their own deed

    def _remove(self) -> list[str]:
        """The names of the keys released."""
        released = self._bind((), by=None)
        self.revisions.all().delete()
        type(self).objects.filter(pk=self.pk).delete()
        return released

    def _mend_references(self, by: Actor) -> None:
        """Rows as the text has them, whatever they were and whatever state the keys are in. The keys' counts are mended by who calls."""
        self.references.delete()
        seen = type(self).review(self.plugin, self.service, self.text, by=by)
        known = [mention for mention in seen.mentions if mention.key]
        Reference.objects.bulk_create(
            (
                Reference(
                    key=mention.key,
                    holder_kind=self.audit_kind,
                    holder_id=self.pk,
                    path=mention.path,
                    inbound=mention.inbound,
                    realm=self._realm if mention.inbound else "",
                )
                for mention in known
            ),
            ignore_conflicts=True,  # a key twice in one scalar
        )

    # Below the verbs

    @classmethod
    def _new(cls, plugin: Plugin, service: Service | None, lock_version: int | None, by: Actor) -> Self:
        if lock_version is not None:
            raise NotFound()
        if service is not None:
            service._lock()
            if service.instance_id != plugin.instance_id:
                raise NotFound()
        if (SERVICE if service else INSTANCE) not in plugin.official.levels:
            raise Invalid({"text": [str(_("This plug-in has no rules at this level."))]})
        return cls.objects.create(plugin=plugin, service=service, name=_name(plugin, service), number=0, written_by=by.name)

    def _write(self, text: str, enabled: bool | None, by: Actor, *, widens: bool = False) -> dict[str, Any]:
        """The facts. `widens`: whoever may set the policies of the keys lets them go where this text sends them."""
        text = normal(text)
        seen = type(self).review(self.plugin, self.service, text, by=by)
        if not seen.passes:
            raise RuleRefused(seen.faults)
        if text != self.text and any(not mention.inbound for mention in seen.mentions):
            by.require("key.bind", self)  # another text may send the same keys somewhere else
        released = self._bind(seen.mentions, by)
        if text != self.text or self.number == 0:
            self._keep_revision()
            self.text, self.number = text, self.number + 1
            self.written_at, self.written_by = timezone.now(), by.name
        self.enabled = self.enabled if enabled is None else enabled
        self._save("text", "number", "written_at", "written_by", "enabled")
        self._admit(seen.mentions, by, widens=widens)
        self._check_others()
        keys = sorted({mention.key.audit_name for mention in seen.mentions if mention.key})
        return self._place() | {"revision": self.number, "enabled": self.enabled, "keys": keys, "released": released}

    def _keep_revision(self) -> None:
        if self.number:
            Revision.objects.create(rule=self, number=self.number, text=self.text, at=self.written_at, by_name=self.written_by)
            self.revisions.filter(number__lte=self.number - REVISIONS_KEPT).delete()

    def _bind(self, mentions: tuple[Mention, ...], by: Actor | None) -> list[str]:
        """Make the reference rows those of the text: one for each path and key. The names of keys no longer referred to."""
        places = [Place(mention.path, mention.key.pk, mention.inbound) for mention in mentions if mention.key]
        try:
            rebound = refer(self.audit_kind, self.pk, places, realm=self._realm)
        except Unusable as refused:
            told = [(mention, refused.keys[mention.key.pk]) for mention in mentions if mention.key and mention.key.pk in refused.keys]
            raise RuleRefused(tuple(Fault(one.line, one.column, one.path, why) for one, why in told)) from None
        if by and rebound.bound:
            by.require("key.bind", self)
        return list(rebound.released)

    def _admit(self, mentions: tuple[Mention, ...], by: Actor, *, widens: bool) -> None:
        """May the keys of the text go where it sends them, for every service that it is for? What may not is told where it stands."""
        reach = Reach(self.plugin.instance, also=self.pk)
        to: dict[UUID, list[Destination]] = defaultdict(lambda: [of_rule(self.plugin.instance.ref)])
        for stray in reach.strays if any(not mention.inbound for mention in mentions) else ():
            if stray.rule == self.pk:
                to[stray.key_id].append(stray.to)
        named = {mention.key.pk: mention for mention in reversed(mentions) if mention.key}
        for key in locked(Key.objects.filter(pk__in=named).order_by("pk")):
            mention = named[key.pk]
            try:
                key._admit(to[key.pk], by, widens=widens)
            except OutsidePolicy as refused:
                raise RuleRefused((Fault(mention.line, mention.column, mention.path, refused.errors["key"][0]),)) from None
            self._note(key)

    def _check_others(self) -> None:
        """What this rule does now, or does no more, may send keys of other rules elsewhere: to its script, to a host that it asks, or,
        where the instance's rule takes its place, to its service. Raises Invalid."""
        reach = Reach(self.plugin.instance)
        mine = self._takers()
        for stray in reach.strays:
            if stray.rule != self.pk and (stray.service == self.service_id or stray.to.host in mine):
                raise Invalid({"text": [reach.refusal(stray)]})

    def _takers(self) -> set[str]:
        custom = self.plugin.custom
        script = {script_name(self.plugin.name, custom.source)} if custom else set()
        document, faults = examine(self.plugin.official, self.text, self.level)
        called = () if faults else self.plugin.official.destinations(document.tree)
        return script | {parse_address(address).origin for _path, address in called}

    @property
    def _realm(self) -> str:
        """Each rule looks its callers up in a list of its own."""
        return f"{self.audit_kind} {self.pk}"

    def _switch(self, action: str, enabled: bool, by: Actor) -> None:
        with deed(by, action, self) as entry:
            self._lock()
            if self.enabled == enabled:
                raise Conflict(_("This rule is enabled already.") if enabled else _("This rule is disabled already."))
            seen = type(self).review(self.plugin, self.service, self.text, by=by)
            if enabled and not seen.passes:
                raise RuleRefused(seen.faults)
            self.enabled = enabled
            self._save("enabled")
            if enabled:
                self._admit(seen.mentions, by, widens=False)
            self._check_others()
            entry.stamp(self)
            entry.facts = self._place()

    def _place(self) -> dict[str, Any]:
        return {
            "instance": self.plugin.instance.ref,
            "plugin": self.plugin.name,
            **({"service": self.service.name} if self.service else {}),
        }

    def _as_edited(self) -> dict[str, Any]:
        return {"text": self.text, "enabled": self.enabled}


class Revision(models.Model):
    """A text that a rule had before."""

    rule = models.ForeignKey(Rule, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    at: "models.DateTimeField[datetime, datetime]" = models.DateTimeField()
    by_name = models.CharField(max_length=150)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["rule", "number"], name="revision_number_once")]

    def __str__(self) -> str:
        return f"{self.rule} v{self.number}"


def _name(plugin: Plugin, service: Service | None) -> str:
    return f"{plugin.name} on {service.name}" if service else plugin.name
