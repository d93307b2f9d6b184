from collections import defaultdict
from collections.abc import Sequence
from typing import Any, ClassVar, Self
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from gateway.methods import API_KEY, JWT
from gateway.models.base import Noun, check_custom, check_description, check_name, refuse, searched
from gateway.models.credential import CREDENTIALS_A_CONSUMER, REFERENCE, SYSTEM, Credential, NewCredential, path
from gateway.models.fields import LONGEST_SOURCES, SourcesField, bearer
from gateway.models.jwt import Jwt, NewJwt, told_jwt
from gateway.models.presented import Presented, check_presented, leads_to_us, told
from gateway.names import JWKS_PATH
from gateway.sources import BEARER, Source, in_words
from secrets_app.actor import Actor
from secrets_app.errors import Conflict, Invalid, NotFound
from secrets_app.models import KeyVersion, Planned, Reference, Region, deed
from secrets_app.models.region import OfRegion
from secrets_app.plaintext import Plaintext


class ConsumerQuerySet(models.QuerySet["Consumer"]):
    def find(self, name: str) -> "Consumer":
        if (consumer := self.filter(name=name).first()) is None:
            raise NotFound()
        return consumer

    def matching(self, typed: str) -> Self:
        """Whose name or description holds these characters, whatever their case."""
        typed = searched(typed)
        return self.filter(Q(name__icontains=typed) | Q(description__icontains=typed)) if typed else self.all()


class Consumer(OfRegion, Noun):
    """A caller of the gateways of a region, what it may present, and where it puts that."""

    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="consumers")
    name = models.CharField(max_length=63)
    description = models.CharField(max_length=500, blank=True)
    enabled = models.BooleanField(default=True)
    method = models.CharField(max_length=8, default=API_KEY)  # of METHODS
    sources = SourcesField(max_length=LONGEST_SOURCES, default=bearer)  # of tokens: the one place
    credentials_made = models.PositiveIntegerField(default=0)  # ever: the next one's number
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=150)

    objects = ConsumerQuerySet.as_manager()
    audit_kind = "consumer"

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["region", "name"], name="consumer_name_once_a_region")]
        indexes: ClassVar = [models.Index(fields=["region", "sources"])]

    @property
    def sources_text(self) -> str:
        return in_words(self.sources)

    @property
    def takes_tokens(self) -> bool:
        return self.method == JWT

    @property
    def references(self) -> "models.QuerySet[Reference]":
        return Reference.objects.filter(holder_kind=self.audit_kind, holder_id=self.pk).select_related("key")

    def credential(self, number: int) -> Credential:
        """Raises NotFound."""
        if (credential := self.credentials.filter(number=number).first()) is None:
            raise NotFound()
        return credential

    def other_sources(self) -> list[tuple[Source, list[str]]]:
        """Where its keys are accepted beside its own sources, by which services: each looks wherever one of its consumers puts a key."""
        if self.takes_tokens:
            return []
        siblings = Consumer.objects.filter(
            enabled=True,
            method=API_KEY,
            authorizations__service__authorizations__consumer=self,
            authorizations__service__authentication_method=API_KEY,
        )
        rows = siblings.values_list("sources", "authorizations__service__name").distinct()
        services: dict[Source, set[str]] = defaultdict(set)
        for sources, service in rows:
            for source in sources:
                services[source].add(service)
        found = sorted(services.items(), key=lambda item: (item[0].kind, item[0].name))
        return [(source, sorted(names)) for source, names in found if source not in self.sources]

    @classmethod
    def visible_to(cls, actor: Actor, region: Region) -> ConsumerQuerySet:
        return cls.objects.filter(region=region) if actor.may("consumer.view", region) else cls.objects.none()

    @classmethod
    def create(
        cls,
        region: Region,
        name: str,
        credential: Presented,
        sources: Sequence[Source] = (BEARER,),
        *,
        by: Actor,
        description: str = "",
        enabled: bool = True,
        once: UUID | None = None,
    ) -> "Consumer":
        """`sources` count for credentials; a token says itself where it stands. Raises Invalid (fields name, description, source_kind,
        source_<i>, key, value, and those of Jwt), NotAllowed without key.bind for a reference."""
        ours = by.may("consumer.create", region) and leads_to_us(credential)
        with deed(by, "consumer.create", Planned("consumer", name, region), once=once) as entry:
            refuse(
                check_name(name, cls.objects.filter(region=region, name=name).exists),
                check_description(description),
                check_presented(region, credential, sources, ours),
            )
            consumer = cls.objects.create(region=region, name=name, description=description, enabled=enabled, created_by=by.name)
            consumer._take(credential, sources, by)
            consumer.save(update_fields=["method", "sources"])
            entry.target = consumer
            entry.stamp(consumer)
            entry.facts = {"source": in_words(sources), "enabled": enabled, **told(credential)}
            consumer._tell_policies(entry)
        return consumer

    def edit(self, *, description: str, sources: Sequence[Source] = (), jwt: NewJwt | None = None, lock_version: int, by: Actor) -> None:
        """Of one with tokens all that says what they are, of any other where its callers put what they present."""
        ours = jwt is not None and by.may("consumer.edit", self) and leads_to_us(jwt)
        with deed(by, "consumer.edit", self) as entry:
            self._lock(lock_version)
            if self.takes_tokens != isinstance(jwt, NewJwt):
                raise Conflict(_("The authentication method of this consumer was switched meanwhile. Open the form again."))
            places = (jwt.place,) if jwt else tuple(sources)
            moved = places != self.sources
            wrong = check_presented(self.region, jwt, places, ours, self) if jwt or moved else {}
            refuse(check_description(description), wrong)
            changed = {"description": description != self.description, "credential source": moved}
            if jwt:
                changed["tokens"] = Jwt._write(self, jwt, by)
            entry.facts = {"source": in_words(places), "changed": [name for name, differs in changed.items() if differs]}
            entry.facts |= told_jwt(jwt) if jwt else {}
            before = {"description": self.description, "source": in_words(self.sources), "tokens": None}
            after = {"description": description, "source": in_words(places), "tokens": changed.get("tokens") or None}
            entry.compare(before, after)
            self.description, self.sources = description, places
            self._save("description", "sources")
            entry.stamp(self)

    def switch_method(self, to: Presented, sources: Sequence[Source] = (BEARER,), *, lock_version: int, by: Actor) -> None:
        """From credentials to tokens or back. What callers presented until now is refused at once, and every reference released."""
        ours = by.may("consumer.switch_method", self) and leads_to_us(to)
        with deed(by, "consumer.switch_method", self) as entry:
            self._lock(lock_version)
            if self.takes_tokens == isinstance(to, NewJwt):
                raise Conflict(_("This consumer authenticates in this way already."))
            refuse(check_presented(self.region, to, sources, ours, self))
            released = self._release()
            Jwt.objects.filter(consumer=self).delete()
            self._take(to, sources, by)
            self._save("method", "sources")
            entry.stamp(self)
            entry.facts = {"source": self.sources_text, "released": released, **told(to)}
            self._tell_policies(entry)

    def rotate_jwt(self, value: Plaintext, overlap_hours: int = 0, *, by: Actor, once: UUID | None = None) -> KeyVersion:
        """A new shared secret, as shared_keys() makes it. Tokens signed with the previous one stay valid for the overlap."""
        with deed(by, "consumer.rotate_jwt", self, once=once) as entry:
            self._lock()
            reference = self.references.filter(path=JWKS_PATH).first()
            if reference is None:
                raise Conflict(_("This consumer has no shared secret: new keys come from whoever signs its tokens."))
            version = reference.key._rotate(value, overlap_hours, by)
            entry.stamp(self)
            entry.facts = {"version": version.number, "overlap_hours": overlap_hours}
        return version

    def add_credential(self, credential: NewCredential, *, by: Actor, once: UUID | None = None) -> Credential:
        """Callers may present it beside the others. Raises Conflict where there are as many as a consumer takes."""
        with deed(by, "consumer.add_credential", self, once=once) as entry:
            self._lock()
            if self.takes_tokens:
                raise Conflict(_("This consumer presents tokens. Switch its authentication method to API Key first."))
            if self.credentials.count() >= CREDENTIALS_A_CONSUMER:
                text = _("A consumer has at most %(most)d credentials. Remove one that is no longer presented.")
                raise Conflict(text % {"most": CREDENTIALS_A_CONSUMER})
            added = self._add(credential, by)
            self._save()
            entry.stamp(self)
            entry.facts = {"credential": added.path, **told(credential)}
            self._tell_policies(entry)
        return added

    def edit_credential(self, number: int, credential: NewCredential, *, lock_version: int, by: Actor) -> None:
        """The new one takes the old one's place at once, and the old one's reference is released."""
        with deed(by, "consumer.edit_credential", self, facts={"credential": path(number)}) as entry:
            self._lock(lock_version)
            row = self.credential(number)
            released = row._release()
            row.generation = credential.generation
            row._bind(credential, by)
            row.save(update_fields=["generation"])
            self._save()
            entry.stamp(self)
            entry.facts |= {"released": released, **told(credential)}
            self._tell_policies(entry)

    def remove_credential(self, number: int, *, by: Actor) -> None:
        """Whoever presents it is refused at once. Raises Conflict for the only one."""
        with deed(by, "consumer.remove_credential", self, facts={"credential": path(number)}) as entry:
            self._lock()
            row = self.credential(number)
            if self.credentials.count() == 1:
                raise Conflict(_("This is the consumer's only credential. Add another one first, or disable or delete the consumer."))
            entry.facts |= {"generation": row.generation, "released": row._release()}
            row.delete()
            self._save()
            entry.stamp(self)

    def rotate(
        self,
        number: int,
        value: Plaintext,
        overlap_hours: int = 0,
        *,
        by: Actor,
        once: UUID | None = None,
        trimmed: bool = False,
    ) -> KeyVersion:
        """A new value for a credential of the consumer's own. A referenced key is rotated as a key, for all its holders."""
        with deed(by, "consumer.rotate", self, once=once, facts={"credential": path(number)}) as entry:
            self._lock()
            row = self.credential(number)
            if row.generation == REFERENCE:
                raise Conflict(_("This credential refers to a key. Rotate the key itself: every holder then uses the new value."))
            refuse(check_custom(value, "value"))
            try:
                version = row.reference.key._rotate(value, overlap_hours, by)
            except Invalid as refused:
                raise Invalid({"value" if field == "key" else field: texts for field, texts in refused.errors.items()}) from None
            entry.stamp(self)
            entry.facts |= {
                "version": version.number,
                "generated": row.generation == SYSTEM,
                "overlap_hours": overlap_hours,
                "trimmed": trimmed,
            }
        return version

    def disable(self, *, by: Actor) -> None:
        self._switch("consumer.disable", False, by)

    def enable(self, *, by: Actor) -> None:
        self._switch("consumer.enable", True, by)

    def delete(self, *, by: Actor) -> None:  # type: ignore[override]
        """Its references are released and its authorizations end with it."""
        with deed(by, "consumer.delete", self) as entry:
            self._lock()
            services = [authorization.service for authorization in self.authorizations.select_related("service")]
            self.authorizations.all().delete()
            entry.facts = {"released": self._release(), "services": sorted(s.name for s in services)}
            entry.stamp(*services)  # their lists of authorized consumers are others now
            type(self).objects.filter(pk=self.pk).delete()

    # Below the verbs

    def _take(self, to: Presented, sources: Sequence[Source], by: Actor) -> None:
        """From now on callers present this. The caller saves method and sources."""
        if isinstance(to, NewJwt):
            self.method, self.sources = JWT, (to.place,)
            Jwt._write(self, to, by)
        else:
            self.method, self.sources = API_KEY, tuple(sources)
            self._add(to, by)

    def _add(self, new: NewCredential, by: Actor) -> Credential:
        row = Credential.objects.create(consumer=self, number=self.credentials_made, generation=new.generation)
        row._bind(new, by)
        self.credentials_made += 1
        self.save(update_fields=["credentials_made"])
        return row

    def _release(self) -> list[str]:
        """Every credential ends; the names of the keys that they referred to, which live on."""
        references = list(self.references.order_by("key_id"))
        for reference in references:
            reference.key._unbind(reference)
        self.credentials.all().delete()
        return sorted(reference.key.name for reference in references if reference.key.name)

    def _switch(self, action: str, enabled: bool, by: Actor) -> None:
        with deed(by, action, self) as entry:
            self._lock()
            if self.enabled == enabled:
                raise Conflict(_("This consumer is enabled already.") if enabled else _("This consumer is disabled already."))
            self.enabled = enabled
            self._save("enabled")
            entry.stamp(self)

    def _as_edited(self) -> dict[str, Any]:
        return {"description": self.description, "source": self.sources_text} | (self.jwt._as_edited() if self.takes_tokens else {})
