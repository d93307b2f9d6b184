from typing import Any, Self, cast
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from gateway.address import Address
from gateway.headers import check_header, check_prefix
from gateway.mcp import SSE, TRANSPORTS, USUAL_MESSAGE_PATH, check_mcp_name, check_message_path, check_path
from gateway.methods import API_KEY
from gateway.models.base import RESERVED_NAMES, check_custom
from gateway.models.credential import CUSTOM, REFERENCE, NewCredential
from gateway.models.instance import Instance
from gateway.models.reach import check_address, leads_here
from gateway.models.reaching import check_reached
from gateway.models.service import MCP, Rights, Service, ServiceQuerySet
from gateway.providers import Shape
from secrets_app.actor import Actor
from secrets_app.errors import Conflict, Invalid
from secrets_app.models import Planned, Reference, deed


class McpService(Service):
    """A server that speaks MCP, proxied as it is (the direct-proxy scenario) at /mcp-servers/<name><path of the back end>.

    Its backend authentication is off until configured, and is the one reference that it can hold.
    """

    KIND = MCP
    audit_kind = "mcp_service"
    methods = (API_KEY,)
    use_path = "backend_auth"
    rights = Rights(
        view="mcp.view",
        create="mcp.create",
        edit="mcp.edit",
        delete="mcp.delete",
        require_authentication="mcp.require_authentication",
        open="mcp.open",
        authorize="mcp.authorize",
        revoke="mcp.revoke",
        test="mcp.test",
    )

    class Meta:
        proxy = True

    @property
    def supplier_label(self) -> str:
        return TRANSPORTS[self.transport]

    @property
    def shape(self) -> Shape:
        return Shape(self.header, self.prefix)

    @property
    def entrance(self) -> str:
        """The endpoint that clients are given: "/mcp-servers/tools/mcp"."""
        return f"{super().entrance}{self.path}"

    @property
    def backend_auth(self) -> Reference | None:
        """The key that the back end is shown in `header` behind `prefix`; None while backend authentication is off."""
        return self.references.first()

    @classmethod
    def visible_to(cls, actor: Actor, instance: Instance) -> "ServiceQuerySet[Self]":
        rows = cls.objects.filter(instance=instance) if actor.may("mcp.view", instance) else cls.objects.none()
        return cast("ServiceQuerySet[Self]", rows)

    @classmethod
    def create(
        cls,
        instance: Instance,
        name: str,
        address: str,
        transport: str,
        path: str,
        message_path: str = "",
        *,
        by: Actor,
        consumer_authentication: bool = True,
        once: UUID | None = None,
    ) -> Self:
        """`address` is the host alone. Raises Invalid (fields name, address, transport, path, message_path), NotAllowed without mcp.open
        for a service that anybody may call."""
        ours = by.may("mcp.create", instance) and leads_here(address)
        planned = Planned(cls.audit_kind, name, instance, {"instance": instance.ref})
        with deed(by, "mcp.create", planned, once=once) as entry:
            instance._lock()
            if not consumer_authentication:
                by.require("mcp.open", instance)
            parsed = _check(_check_name(instance, name), address, ours, transport, path, message_path)
            service = cls(kind=MCP, instance=instance, name=name, created_by=by.name, consumer_authentication=consumer_authentication)
            service._set(**_columns(parsed, transport, path, message_path))
            service.save(force_insert=True)
            check_reached(instance, service.pk)
            entry.target = service
            entry.stamp(service)
            entry.facts = {"instance": instance.ref, **service._told(), "consumer_authentication": consumer_authentication}
        return service

    def edit(self, *, address: str, transport: str, path: str, message_path: str = "", lock_version: int, by: Actor) -> None:
        ours = by.may("mcp.edit", self) and leads_here(address)
        with deed(by, "mcp.edit", self) as entry:
            self._lock(lock_version)
            parsed = _check({}, address, ours, transport, path, message_path)
            columns, was, before = _columns(parsed, transport, path, message_path), self.destination, self._told()
            changed = self._set(**columns)
            entry.compare(before, self._told())
            if self.generation == REFERENCE and changed:
                by.require("key.bind", self)  # the key goes to somebody else
            self._save(*columns)
            self._led_elsewhere(was, by, header="header")
            entry.stamp(self)
            entry.facts = {"instance": self.instance.ref, **self._told(), "changed": changed}
            self._tell_policies(entry)

    def configure_backend_auth(
        self,
        header: str,
        credential: NewCredential | None = None,
        prefix: str = "",
        *,
        lock_version: int,
        by: Actor,
    ) -> None:
        """Turn it on, or change it. A new credential takes the old one's place; None keeps the one that is configured.

        Raises Invalid (fields header, prefix, generation, key, value), NotAllowed without key.bind for a reference.
        """
        with deed(by, "mcp.configure_backend_auth", self) as entry:
            self._lock(lock_version)
            header = header.strip().lower()
            errors = check_header(header) | check_prefix(prefix)
            if credential is None and not self.generation:
                errors |= {"generation": [str(_("Choose one of the generation methods listed."))]}
            if errors:
                raise Invalid(errors)
            was = self.destination
            self._set(header=header, prefix=prefix)
            facts: dict[str, Any] = {"instance": self.instance.ref, "header": header, "prefix": prefix.strip()}
            if credential is not None:
                facts |= {"released": self._release(), "key": credential.key_name, "trimmed": credential.trimmed}
                self.generation = credential.generation
                self._bind_backend(credential, by)
            self._save("header", "prefix", "generation")
            self._led_elsewhere(was, by, header="header")
            entry.stamp(self)
            entry.facts = facts | {"generation": self.generation}
            self._tell_policies(entry)

    def remove_backend_auth(self, *, by: Actor) -> None:
        """Turn it off: the back end is shown no key, and the reference is released."""
        with deed(by, "mcp.remove_backend_auth", self) as entry:
            self._lock()
            if not self.generation:
                raise Conflict(_("Backend authentication is off already."))
            released = self._release()
            self.header = self.prefix = self.generation = ""
            self._save("header", "prefix", "generation")
            entry.stamp(self)
            entry.facts = {"instance": self.instance.ref, "released": released}

    # Below the verbs

    def _bind_backend(self, credential: NewCredential, by: Actor) -> None:
        if credential.generation == REFERENCE:
            by.require("key.bind", self)
            self.instance.require_references()
            self._bind_one(credential.key_name, self.use_path, "key", by)
        elif credential.generation == CUSTOM and credential.value is not None:
            if errors := check_custom(credential.value, "value"):
                raise Invalid(errors)
            self._bind_one(credential.value, self.use_path, "value", by)
        else:
            raise Invalid({"generation": [str(_("Choose one of the generation methods listed."))]})

    def _told(self) -> dict[str, Any]:
        told = {"address": self.address, "transport": self.transport, "path": self.path}
        return told | ({"message_path": self.message_path} if self.message_path else {})

    def _as_edited(self) -> dict[str, Any]:
        return {
            "address": self.address,
            "transport": TRANSPORTS[self.transport],
            "path": self.path,
            "message_path": self.message_path,
            "header": self.header,
            "prefix": self.prefix,
            "generation": self.generation,
        }


def _check_name(instance: Instance, name: str) -> dict[str, list[str]]:
    if wrong := check_mcp_name(name):
        return wrong
    if name in RESERVED_NAMES:
        return {"name": [str(_("This word is an address of the console. Choose another name."))]}
    taken = McpService.objects.filter(instance=instance, name=name).exists()
    return {"name": [str(_("This name is taken. Choose another."))]} if taken else {}


def _check(errors: dict[str, list[str]], address: str, ours: bool, transport: str, path: str, message_path: str) -> Address:
    errors = errors | check_path(path, "path")
    if transport not in TRANSPORTS:
        errors |= {"transport": [str(_("Choose one of the transports listed."))]}
    elif transport == SSE and message_path:
        errors |= check_message_path(message_path)
    parsed = check_address(address, ours, errors)
    if parsed.path:
        raise Invalid({"address": [str(_("Leave out the path: the endpoint's has a field of its own."))]})
    return parsed


def _columns(address: Address, transport: str, path: str, message_path: str) -> dict[str, str]:
    messages = (message_path or USUAL_MESSAGE_PATH).rstrip("/") if transport == SSE else ""
    return {"address": str(address), "transport": transport, "path": path, "message_path": messages}
