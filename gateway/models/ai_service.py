from collections.abc import Sequence
from typing import Any, Self
from uuid import UUID

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from gateway.address import Address
from gateway.models.base import check_name
from gateway.models.credential import REFERENCE
from gateway.models.instance import Instance
from gateway.models.reach import check_address, leads_here
from gateway.models.reaching import check_reached
from gateway.models.service import AI, KEYS_A_SERVICE, MCP, NewKeys, Rights, Service, told_keys
from gateway.providers import SUPPLIERS, Shape, Supplier
from secrets_app.actor import Actor
from secrets_app.errors import Invalid
from secrets_app.models import Planned, deed

NO_KEY = _("Enter or choose at least one API key.")
SERVICE_RIGHTS = Rights(
    view="service.view",
    create="service.create",
    edit="service.edit",
    delete="service.delete",
    require_authentication="service.require_authentication",
    open="service.open",
    authorize="service.authorize",
    revoke="service.revoke",
    test="service.test",
)


class AiService(Service):
    """A supplier's address behind the gateway, called at /ai/<name>/ and shown the keys it refers to, in turn."""

    KIND = AI
    audit_kind = "ai_service"
    rights = SERVICE_RIGHTS

    class Meta:
        proxy = True

    @property
    def shape(self) -> Shape:
        return SUPPLIERS[self.supplier].protocols[self.protocol]

    @property
    def supplier_label(self) -> str:
        return str(SUPPLIERS[self.supplier].label)

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
        ours = by.may("service.create", instance) and leads_here(address)
        planned = Planned(cls.audit_kind, name, instance, {"instance": instance.ref})
        with deed(by, "service.create", planned, once=once) as entry:
            instance._lock()
            parsed = _check(check_service_name(instance, name), supplier, protocol, address, ours)
            service = cls(
                kind=AI,
                instance=instance,
                name=name,
                supplier=supplier,
                protocol=protocol,
                address=str(parsed),
                generation=keys.generation,
                created_by=by.name,
            )
            service.save(force_insert=True)
            service._bind_all(keys, by)
            check_reached(instance, service.pk)
            entry.target = service
            entry.stamp(service)
            entry.facts = {"instance": instance.ref, "supplier": supplier, "address": str(parsed), **told_keys(keys)}
            service._tell_policies(entry)
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
        ours = by.may("service.edit", self) and leads_here(address)
        with deed(by, "service.edit", self) as entry:
            self._lock(lock_version)
            parsed = _check({}, supplier, protocol, address, ours)
            if str(parsed) != self.address and self.generation == REFERENCE:
                by.require("key.bind", self)  # another address: the keys go to somebody else
            if keys is None and SUPPLIERS[supplier].one_key and self.references.count() > 1:
                raise Invalid({"supplier": [str(_("This supplier takes exactly one API key; this service has several."))]})
            was = self.destination
            columns = {"supplier": supplier, "protocol": protocol, "address": str(parsed)}
            before = {name: getattr(self, name) for name in columns}
            changed = self._set(**columns)
            entry.compare(before, columns | ({"keys": True} if keys is not None else {}))
            facts: dict[str, Any] = {"instance": self.instance.ref, "supplier": supplier, "address": str(parsed)}
            if keys is not None:
                released = self._release()
                self.generation = keys.generation
                self._bind_all(keys, by)
                changed.append("API keys")
                facts |= {**told_keys(keys), "released": released}
            self._save("supplier", "protocol", "address", "generation")
            self._led_elsewhere(was, by, header="supplier")
            entry.stamp(self)
            entry.facts = facts | {"changed": changed}
            self._tell_policies(entry)

    # Below the verbs

    def _bind_all(self, keys: NewKeys, by: Actor) -> None:
        given: Sequence[object] = keys.key_names if keys.generation == REFERENCE else keys.values
        self._check_number(given)
        names = [name.lower() for name in keys.key_names]
        for index, name in enumerate(names):
            if name and name in names[:index]:
                raise Invalid({f"key_{index}": [str(_("This key is chosen twice. Each one is enough once."))]})
        self._bind(keys, [f"api_keys[{place}]" for place in range(len(given))], by)

    def _check_number(self, keys: Sequence[object]) -> None:
        most = 1 if SUPPLIERS[self.supplier].one_key else KEYS_A_SERVICE
        if not keys:
            raise Invalid({"key_0": [str(NO_KEY)]})
        if len(keys) > most:
            text = ngettext("%(supplier)s takes exactly %(most)d API key.", "%(supplier)s takes at most %(most)d API keys.", most)
            raise Invalid({"key_0": [text % {"supplier": self.supplier_label, "most": most}]})

    def _as_edited(self) -> dict[str, Any]:
        return {"supplier": self.supplier_label, "protocol": self.protocol, "address": self.address, "generation": self.generation}


def check_service_name(instance: Instance, name: str) -> dict[str, list[str]]:
    """AI and Agent services of an instance share their names."""
    return check_name(name, Service.objects.filter(instance=instance, name=name).exclude(kind=MCP).exists)


def _check(errors: dict[str, list[str]], supplier: str, protocol: str, address: str, ours: bool) -> Address:
    row: Supplier | None = SUPPLIERS.get(supplier)
    if row is None:
        errors = errors | {"supplier": [str(_("Choose one of the suppliers listed."))]}
    elif protocol not in row.protocols:
        errors = errors | {"protocol": [str(_("This supplier does not speak the chosen protocol. Choose one of those listed."))]}
    return check_address(address, ours, errors)
