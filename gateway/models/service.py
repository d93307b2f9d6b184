from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from gateway.address import Address, is_ours, parse_address
from gateway.models.base import Noun, check_custom, check_name, refuse, searched
from gateway.models.consumer import CUSTOM, REFERENCE, Consumer, ConsumerQuerySet, find_key_to_bind
from gateway.models.instance import Instance
from gateway.models.node import Node
from gateway.providers import SUPPLIERS, Shape, Supplier
from secrets_app.actor import Actor
from secrets_app.errors import Conflict, Invalid, NotFound
from secrets_app.models import Key, Planned, Reference, deed
from secrets_app.plaintext import Plaintext

KEYS_A_SERVICE = 20


@dataclass(frozen=True, slots=True)
class NewKeys:
    """The API keys of a service: values of its own, or names of keys to refer to. The two cannot be mixed (as documented)."""

    generation: str
    values: Sequence[Plaintext] = ()
    key_names: Sequence[str] = ()
    trimmed: bool = False


class ServiceQuerySet(models.QuerySet["Service"]):
    def find(self, name: str) -> "Service":
        if (service := self.filter(name=name).first()) is None:
            raise NotFound()
        return service

    def matching(self, typed: str) -> Self:
        """Whose name or address holds these characters, whatever their case."""
        typed = searched(typed)
        return self.filter(Q(name__icontains=typed) | Q(address__icontains=typed)) if typed else self.all()


class Service(Noun):
    """An AI service: a supplier's address behind the gateway, called at /ai/<name>/ and shown the keys it refers to."""

    instance = models.ForeignKey(Instance, on_delete=models.PROTECT, related_name="services")
    name = models.CharField(max_length=63)
    supplier = models.CharField(max_length=32)
    protocol = models.CharField(max_length=32)
    address = models.CharField(max_length=500)  # as Address prints it
    generation = models.CharField(max_length=16)
    consumer_authentication = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=150)

    objects = ServiceQuerySet.as_manager()
    audit_kind = "ai_service"

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["instance", "name"], name="service_name_once_an_instance")]

    def __str__(self) -> str:
        return self.name

    @property
    def audit_name(self) -> str:
        return self.name

    @property
    def audit_region(self) -> tuple[UUID, str]:
        return self.instance.audit_region

    @property
    def shape(self) -> Shape:
        return SUPPLIERS[self.supplier].protocols[self.protocol]

    @property
    def supplier_label(self) -> str:
        return str(SUPPLIERS[self.supplier].label)

    @property
    def in_clear(self) -> bool:
        return parse_address(self.address).in_clear

    @property
    def references(self) -> "models.QuerySet[Reference]":
        return Reference.objects.filter(holder_kind=self.audit_kind, holder_id=self.pk).select_related("key").order_by("path")

    @property
    def uses(self) -> list[Reference]:
        """In the order of the form; sorted as text, "api_keys[10]" would stand before "api_keys[2]"."""
        return sorted(self.references, key=lambda reference: (len(reference.path), reference.path))

    @property
    def consumers(self) -> ConsumerQuerySet:
        return Consumer.objects.filter(authorizations__service=self)

    @classmethod
    def visible_to(cls, actor: Actor, instance: Instance) -> ServiceQuerySet:
        return cls.objects.filter(instance=instance) if actor.may("service.view") else cls.objects.none()

    @classmethod
    def create(
        cls,
        instance: Instance,
        name: str,
        supplier: str,
        protocol: str,
        address: str,
        keys: NewKeys,
        *,
        by: Actor,
        once: UUID | None = None,
    ) -> Self:
        """Raises Invalid (fields name, supplier, protocol, address, generation, key_<i>), NotAllowed without key.bind for references."""
        ours = by.may("service.create") and _leads_here(address)
        planned = Planned("ai_service", name, instance.audit_region, {"instance": instance.ref})
        with deed(by, "service.create", planned, once=once) as entry:
            instance._lock()
            taken = cls.objects.filter(instance=instance, name=name).exists()
            parsed = _check(check_name(name, taken), supplier, protocol, address, ours)
            service = cls.objects.create(
                instance=instance,
                name=name,
                supplier=supplier,
                protocol=protocol,
                address=str(parsed),
                generation=keys.generation,
                created_by=by.name,
            )
            service._bind(keys, by)
            entry.target = service
            entry.stamp(service)
            entry.facts = {"instance": instance.ref, **_told(supplier, str(parsed), keys)}
        return service

    def edit(
        self,
        *,
        supplier: str,
        protocol: str,
        address: str,
        lock_version: int,
        by: Actor,
        keys: NewKeys | None = None,
    ) -> None:
        """`keys` None leaves them as they are. New ones take the place of all: the old references are released."""
        ours = by.may("service.edit") and _leads_here(address)
        with deed(by, "service.edit", self) as entry:
            self._lock(lock_version)
            parsed = _check({}, supplier, protocol, address, ours)
            if str(parsed) != self.address and self.generation == REFERENCE:
                by.require("key.bind")  # another address: the keys go to somebody else
            if keys is None and SUPPLIERS[supplier].one_key and self.references.count() > 1:
                raise Invalid({"supplier": [str(_("This supplier takes exactly one API key; this service has several."))]})
            changed = [
                name
                for name, old, new in (
                    ("supplier", self.supplier, supplier),
                    ("protocol", self.protocol, protocol),
                    ("address", self.address, str(parsed)),
                )
                if old != new
            ]
            self.supplier, self.protocol, self.address = supplier, protocol, str(parsed)
            facts: dict[str, Any] = {"instance": self.instance.ref, "supplier": supplier, "address": str(parsed)}
            if keys is not None:
                released = self._release()
                self.generation = keys.generation
                self._bind(keys, by)
                changed.append("API keys")
                facts |= {**_told(supplier, str(parsed), keys), "released": released}
            self._save("supplier", "protocol", "address", "generation")
            entry.stamp(self)
            entry.facts = facts | {"changed": changed}

    def delete(self, *, by: Actor) -> None:  # type: ignore[override]
        with deed(by, "service.delete", self) as entry:
            self._lock()
            consumers = self.authorizations.count()
            self.authorizations.all().delete()
            entry.facts = {"instance": self.instance.ref, "released": self._release(), "consumers": consumers}
            type(self).objects.filter(pk=self.pk).delete()

    def require_authentication(self, *, by: Actor) -> None:
        self._switch("service.require_authentication", True, by)

    def open(self, *, by: Actor) -> None:
        """Turn consumer authentication off: anybody who reaches the gateway may call this service on our keys."""
        self._switch("service.open", False, by)

    def authorize(self, consumer_names: Sequence[str], *, by: Actor) -> None:
        """Raises Conflict when one of them is authorized already, Invalid (field "consumers") for an unknown one."""
        with deed(by, "service.authorize", self) as entry:
            self._lock()
            names = sorted(set(consumer_names))
            if not names:
                raise Invalid({"consumers": [str(_("Choose at least one consumer."))]})
            found = {c.name: c for c in Consumer.visible_to(by, self.instance.region).filter(name__in=names)}
            if unknown := [name for name in names if name not in found]:
                text = _("No consumer is named “%(name)s” in this region.") % {"name": unknown[0][:63]}
                raise Invalid({"consumers": [str(text)]})
            if already := self.consumers.filter(name__in=names).values_list("name", flat=True).first():
                raise Conflict(_("%(name)s is authorized on this service already.") % {"name": already})
            Authorization.objects.bulk_create(Authorization(service=self, consumer=found[name]) for name in names)
            entry.stamp(self)
            entry.facts = {"instance": self.instance.ref, "consumers": names}

    def revoke(self, consumer: Consumer, *, by: Actor) -> None:
        with deed(by, "service.revoke", self) as entry:
            self._lock()
            gone, _rows = Authorization.objects.filter(service=self, consumer=consumer).delete()
            if not gone:
                raise Conflict(_("%(name)s is not authorized on this service.") % {"name": consumer.name})
            entry.stamp(self)
            entry.facts = {"instance": self.instance.ref, "consumers": [consumer.name]}

    # Below the verbs

    def _bind(self, keys: NewKeys, by: Actor) -> None:
        if keys.generation == REFERENCE:
            by.require("key.bind")
            self.instance.require_references()
            found = self._each(lambda name: find_key_to_bind(self.instance.region, name, by), keys.key_names)
            self._check_number(found)
            for index, key in enumerate(found):
                if key in found[:index]:
                    raise Invalid({f"key_{index}": [str(_("This key is chosen twice. Each one is enough once."))]})
        elif keys.generation == CUSTOM:
            self._check_number(keys.values)
            refuse(*(check_custom(value, f"key_{index}") for index, value in enumerate(keys.values)))
            found = [Key._new_inline(self.instance.region, value, by) for value in keys.values]
        else:
            raise Invalid({"generation": [str(_("Choose one of the generation methods listed."))]})
        places = iter(range(len(found)))
        self._each(lambda key: key._bind(self.audit_kind, self.pk, f"api_keys[{next(places)}]", inbound=False), found)

    def _each(self, act: Any, things: Sequence[Any]) -> list[Any]:
        """Act on each; a refusal names the field of the one it was about."""
        results = []
        for index, thing in enumerate(things):
            try:
                results.append(act(thing))
            except Invalid as refused:
                raise Invalid({f"key_{index}": refused.errors["key"]}) from None
        return results

    def _check_number(self, keys: Sequence[object]) -> None:
        most = 1 if SUPPLIERS[self.supplier].one_key else KEYS_A_SERVICE
        if not keys:
            raise Invalid({"key_0": [str(_("Enter or choose at least one API key."))]})
        if len(keys) > most:
            text = ngettext("%(supplier)s takes exactly %(most)d API key.", "%(supplier)s takes at most %(most)d API keys.", most)
            raise Invalid({"key_0": [text % {"supplier": self.supplier_label, "most": most}]})

    def _release(self) -> list[str]:
        """Unbind every key; the names of the shared ones, which live on."""
        references = list(self.references.order_by("key_id"))
        for reference in references:
            reference.key._unbind(reference)
        return sorted(reference.key.name for reference in references if reference.key.name)

    def _switch(self, action: str, required: bool, by: Actor) -> None:
        with deed(by, action, self) as entry:
            self._lock()
            if self.consumer_authentication == required:
                raise Conflict(_("Consumer authentication is on already.") if required else _("Consumer authentication is off already."))
            self.consumer_authentication = required
            self._save("consumer_authentication")
            entry.stamp(self)
            entry.facts = {"instance": self.instance.ref}

    def _as_edited(self) -> dict[str, Any]:
        return {"supplier": self.supplier_label, "protocol": self.protocol, "address": self.address, "generation": self.generation}


class Authorization(models.Model):
    """This consumer may call this service."""

    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="authorizations")
    consumer = models.ForeignKey(Consumer, on_delete=models.PROTECT, related_name="authorizations")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["service", "consumer"], name="authorized_once")]


def _leads_here(address: str) -> bool:
    """Asked before a deed begins: it may wait for a name server."""
    try:
        return is_ours(parse_address(address), {settings.WEB_PORT, settings.XDS_PORT, *Node.listen_ports()})
    except Invalid:
        return False  # refused for what it is, with everything else that is wrong


def _check(errors: dict[str, list[str]], supplier: str, protocol: str, address: str, ours: bool) -> Address:
    row: Supplier | None = SUPPLIERS.get(supplier)
    if row is None:
        errors = errors | {"supplier": [str(_("Choose one of the suppliers listed."))]}
    elif protocol not in row.protocols:
        errors = errors | {"protocol": [str(_("This supplier does not speak the chosen protocol. Choose one of those listed."))]}
    if ours:
        errors = errors | {"address": [str(_("This is the console's, the control plane's or a gateway's own address."))]}
    try:
        parsed = parse_address(address)
    except Invalid as refused:
        errors = errors | refused.errors
    refuse(errors)
    return parsed


def _told(supplier: str, address: str, keys: NewKeys) -> dict[str, Any]:
    return {
        "supplier": supplier,
        "address": address,
        "generation": keys.generation,
        "keys": list(keys.key_names) if keys.generation == REFERENCE else len(keys.values),
        "trimmed": keys.trimmed,
    }
