from collections import defaultdict
from dataclasses import dataclass
from typing import Any, ClassVar, Self
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from gateway.models.base import Noun, check_custom, check_description, check_name, refuse, searched
from gateway.sources import BEARER, SOURCES_A_REGION, Source, check_source
from secrets_app.actor import Actor
from secrets_app.errors import Conflict, Invalid, NotFound
from secrets_app.models import Key, KeyVersion, Planned, Reference, Region, deed
from secrets_app.plaintext import Plaintext

SYSTEM, CUSTOM, REFERENCE = "system", "custom", "reference"


@dataclass(frozen=True, slots=True)
class NewCredential:
    """What a caller shall present: a value of its own (system-generated or custom), or a named key to refer to."""

    generation: str
    value: Plaintext | None = None
    key_name: str = ""
    trimmed: bool = False


class ConsumerQuerySet(models.QuerySet["Consumer"]):
    def find(self, name: str) -> "Consumer":
        if (consumer := self.filter(name=name).first()) is None:
            raise NotFound()
        return consumer

    def matching(self, typed: str) -> Self:
        """Whose name or description holds these characters, whatever their case."""
        typed = searched(typed)
        return self.filter(Q(name__icontains=typed) | Q(description__icontains=typed)) if typed else self.all()


class Consumer(Noun):
    """A caller of the gateways of a region, and where it puts the credential it presents."""

    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="consumers")
    name = models.CharField(max_length=63)
    description = models.CharField(max_length=500, blank=True)
    enabled = models.BooleanField(default=True)
    generation = models.CharField(max_length=16)
    source_kind = models.CharField(max_length=8, default=BEARER.kind)
    source_name = models.CharField(max_length=64, default=BEARER.name)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=150)

    objects = ConsumerQuerySet.as_manager()
    audit_kind = "consumer"
    path = "credentials[0]"

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["region", "name"], name="consumer_name_once_a_region")]
        indexes: ClassVar = [models.Index(fields=["region", "source_kind", "source_name"])]

    def __str__(self) -> str:
        return self.name

    @property
    def audit_name(self) -> str:
        return self.name

    @property
    def audit_region(self) -> tuple[UUID, str]:
        return (self.region_id, self.region.name)

    @property
    def source(self) -> Source:
        return Source(self.source_kind, self.source_name)

    @property
    def reference(self) -> Reference:
        """Raises NotFound: without one the consumer is gone, deleted since it was read."""
        held = Reference.objects.select_related("key").filter(holder_kind=self.audit_kind, holder_id=self.pk, path=self.path)
        if (reference := held.first()) is None:
            raise NotFound()
        return reference

    def other_sources(self) -> list[tuple[Source, list[str]]]:
        """Where its key is accepted beside its own source, and by which services: each looks wherever one of its consumers puts a key."""
        siblings = Consumer.objects.filter(enabled=True, authorizations__service__authorizations__consumer=self)
        rows = siblings.values_list("source_kind", "source_name", "authorizations__service__name").distinct()
        services: dict[Source, list[str]] = defaultdict(list)
        for kind, name, service in rows.order_by("source_kind", "source_name", "authorizations__service__name"):
            services[Source(kind, name)].append(service)
        return [(source, names) for source, names in services.items() if source != self.source]

    @classmethod
    def visible_to(cls, actor: Actor, region: Region) -> ConsumerQuerySet:
        return cls.objects.filter(region=region) if actor.may("consumer.view") else cls.objects.none()

    @classmethod
    def create(
        cls,
        region: Region,
        name: str,
        credential: NewCredential,
        source: Source = BEARER,
        *,
        by: Actor,
        description: str = "",
        enabled: bool = True,
        once: UUID | None = None,
    ) -> Self:
        """Raises Invalid (fields name, description, source_name, key, value), NotAllowed without key.bind for a reference."""
        with deed(by, "consumer.create", Planned("consumer", name, region.audit_region), once=once) as entry:
            taken = cls.objects.filter(region=region, name=name).exists()
            refuse(check_name(name, taken), check_description(description), _check_source(region, source))
            consumer = cls.objects.create(
                region=region,
                name=name,
                description=description,
                enabled=enabled,
                generation=credential.generation,
                source_kind=source.kind,
                source_name=source.name,
                created_by=by.name,
            )
            consumer._bind(credential, by)
            entry.target = consumer
            entry.stamp(consumer)
            entry.facts = {
                "generation": credential.generation,
                "source": str(source),
                "key": credential.key_name,
                "enabled": enabled,
                "trimmed": credential.trimmed,
            }
        return consumer

    def edit(
        self,
        *,
        description: str,
        source: Source,
        lock_version: int,
        by: Actor,
        credential: NewCredential | None = None,
    ) -> None:
        """A new credential takes the old one's place at once, and the old one's reference is released."""
        with deed(by, "consumer.edit", self) as entry:
            self._lock(lock_version)
            refuse(check_description(description), _check_source(self.region, source) if source != self.source else {})
            changed = [name for name, old, new in (
                ("description", self.description, description),
                ("credential source", self.source, source),
            ) if old != new]  # fmt: skip
            self.description, self.source_kind, self.source_name = description, source.kind, source.name
            facts: dict[str, Any] = {"source": str(source)}
            if credential:
                released = self.reference
                released.key._unbind(released)
                self.generation = credential.generation
                self._bind(credential, by)
                changed.append("credential")
                facts |= {
                    "generation": credential.generation,
                    "key": credential.key_name,
                    "released": released.key.audit_name,
                    "trimmed": credential.trimmed,
                }
            self._save("description", "source_kind", "source_name", "generation")
            entry.stamp(self)
            entry.facts = facts | {"changed": changed}

    def rotate(
        self,
        value: Plaintext,
        overlap_hours: int = 0,
        *,
        by: Actor,
        once: UUID | None = None,
        trimmed: bool = False,
    ) -> KeyVersion:
        """A new value for a credential of the consumer's own. A referenced key is rotated as a key, for all its holders."""
        with deed(by, "consumer.rotate", self, once=once) as entry:
            self._lock()
            if self.generation == REFERENCE:
                raise Conflict(_("This consumer refers to a key. Rotate the key itself: every holder then uses the new value."))
            refuse(check_custom(value, "value"))
            try:
                version = self.reference.key._rotate(value, overlap_hours, by)
            except Invalid as refused:
                raise Invalid({"value" if field == "key" else field: texts for field, texts in refused.errors.items()}) from None
            entry.stamp(self)
            entry.facts = {
                "version": version.number,
                "generated": self.generation == SYSTEM,
                "overlap_hours": overlap_hours,
                "trimmed": trimmed,
            }
        return version

    def disable(self, *, by: Actor) -> None:
        self._switch("consumer.disable", False, by)

    def enable(self, *, by: Actor) -> None:
        self._switch("consumer.enable", True, by)

    def delete(self, *, by: Actor) -> None:  # type: ignore[override]
        """Its reference is released and its authorizations end with it."""
        with deed(by, "consumer.delete", self) as entry:
            self._lock()
            reference = self.reference
            services = [authorization.service for authorization in self.authorizations.select_related("service")]
            reference.key._unbind(reference)
            self.authorizations.all().delete()
            entry.facts = {"released": reference.key.audit_name, "services": sorted(s.name for s in services)}
            entry.stamp(*services)  # their lists of authorized consumers are others now
            type(self).objects.filter(pk=self.pk).delete()

    # Below the verbs

    def _bind(self, credential: NewCredential, by: Actor) -> None:
        if credential.generation == REFERENCE:
            by.require("key.bind")
            key = find_key_to_bind(self.region, credential.key_name, by)
        elif credential.generation in (SYSTEM, CUSTOM) and credential.value is not None:
            refuse(check_custom(credential.value, "value"))
            key = Key._new_inline(self.region, credential.value, by)
        else:
            raise Invalid({"generation": [str(_("Choose one of the generation methods listed."))]})
        try:
            key._bind(self.audit_kind, self.pk, self.path, inbound=True)
        except Invalid as refused:
            raise Invalid({"key" if credential.generation == REFERENCE else "value": refused.errors["key"]}) from None

    def _switch(self, action: str, enabled: bool, by: Actor) -> None:
        with deed(by, action, self) as entry:
            self._lock()
            if self.enabled == enabled:
                raise Conflict(_("This consumer is enabled already.") if enabled else _("This consumer is disabled already."))
            self.enabled = enabled
            self._save("enabled")
            entry.stamp(self)

    def _as_edited(self) -> dict[str, Any]:
        return {"description": self.description, "source": str(self.source), "generation": self.generation}


def find_key_to_bind(region: Region, name: str, by: Actor) -> Key:
    """The named key a holder shall refer to; unknown and foreign names are answered alike. Raises Invalid (field "key")."""
    try:
        return Key.visible_to(by, region).find(name)
    except NotFound:
        text = _("No key is named “%(name)s” in this region. Choose one from the list, or create it first.") % {"name": name[:64]}
        raise Invalid({"key": [str(text if name else _("Choose a key."))]}) from None


def _check_source(region: Region, source: Source) -> dict[str, list[str]]:
    if wrong := check_source(source):
        return wrong
    known = set(Consumer.objects.filter(region=region).values_list("source_kind", "source_name").distinct())
    if (source.kind, source.name) not in known and len(known) >= SOURCES_A_REGION:
        text = _("The region uses %(limit)d different sources already. Use one of those.") % {"limit": SOURCES_A_REGION}
        return {"source_name": [str(text)]}
    return {}
