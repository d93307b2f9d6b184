"""What every service has, whatever its kind: a place on an instance, an address behind it, keys that are shown there, and who may call it.

One table for all kinds. A row always comes as the class of its kind (AiService, AgentService, McpService), by whichever manager or
relation it is read; what differs between them lives in a module a kind.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar, cast
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from gateway.address import parse_address
from gateway.destinations import of_service
from gateway.methods import API_KEY, JWT
from gateway.models.base import Noun, check_custom, refuse, searched
from gateway.models.consumer import Consumer, ConsumerQuerySet
from gateway.models.credential import CUSTOM, REFERENCE, find_key_to_bind
from gateway.models.instance import Instance, OfInstance
from gateway.models.reaching import check_reached
from gateway.models.trial import Trial, tested
from gateway.names import ENTRANCES
from gateway.providers import Shape
from secrets_app.actor import Actor
from secrets_app.errors import Conflict, Invalid, NotFound
from secrets_app.models import Key, Reference, deed
from secrets_app.models.policy import Destination
from secrets_app.plaintext import Plaintext

AI, AGENT, MCP = "ai", "agent", "mcp"
SERVICE_HOLDERS = ("ai_service", "agent_service", "mcp_service")  # their ids are of one table: no two are equal
KEYS_A_SERVICE = 20


@dataclass(frozen=True, slots=True)
class NewKeys:
    """The API keys of a service: values of its own, or names of keys to refer to. The two cannot be mixed (as documented).

    `app_ids`: of an agent with apps, the App ID of each. In an edit of such an agent the value None keeps what the App ID has.
    """

    generation: str
    values: Sequence[Plaintext | None] = ()
    key_names: Sequence[str] = ()
    trimmed: bool = False
    app_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Rights:
    """Permissions, and names of audit actions, of one sort of service."""

    view: str
    create: str
    edit: str
    delete: str
    require_authentication: str
    open: str
    authorize: str
    revoke: str
    test: str


S = TypeVar("S", bound="Service", covariant=True)


class ServiceQuerySet(models.QuerySet[S], Generic[S]):
    def find(self, name: str) -> S:
        if (service := self.filter(name=name).first()) is None:
            raise NotFound()
        return service

    def matching(self, typed: str) -> Self:
        """Whose name or address holds these characters, whatever their case."""
        typed = searched(typed)
        return self.filter(Q(name__icontains=typed) | Q(address__icontains=typed)) if typed else self.all()


class _OfKind(models.Manager["Service"]):
    """Of a class of one kind, the rows of that kind."""

    def get_queryset(self) -> ServiceQuerySet["Service"]:
        rows: ServiceQuerySet[Service] = ServiceQuerySet(self.model, using=self._db)
        return rows.filter(kind=self.model.KIND) if self.model.KIND else rows


class Service(OfInstance, Noun):
    KIND: ClassVar = ""  # of the class; this one stands for all kinds
    rights: ClassVar[Rights]
    methods: ClassVar[tuple[str, ...]] = (API_KEY, JWT)  # by which its callers may be asked who they are

    kind = models.CharField(max_length=8)
    instance = models.ForeignKey(Instance, on_delete=models.PROTECT, related_name="services")
    name = models.CharField(max_length=64)
    address = models.CharField(max_length=500)  # as Address prints it
    generation = models.CharField(max_length=16, blank=True)  # empty: it shows no key
    consumer_authentication = models.BooleanField(default=True)
    authentication_method = models.CharField(max_length=8, default=API_KEY)  # of METHODS; of consumers of another the grants wait
    supplier = models.CharField(max_length=32, blank=True)  # of SUPPLIERS (ai), of AGENTS (agent)
    protocol = models.CharField(max_length=32, blank=True)  # ai
    bot_type = models.CharField(max_length=16, blank=True)  # agent: of BOT_TYPES
    header = models.CharField(max_length=64, blank=True)  # agent: in place of Authorization; mcp: of the backend authentication
    prefix = models.CharField(max_length=17, blank=True)  # mcp: stands before the key
    transport = models.CharField(max_length=16, blank=True)  # mcp: of TRANSPORTS
    path = models.CharField(max_length=200, blank=True)  # mcp: of the back end's endpoint
    message_path = models.CharField(max_length=200, blank=True)  # mcp over SSE: where clients post
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=150)

    objects = _OfKind()

    class Meta:
        constraints: ClassVar = [
            # An AI and an Agent service share the console's address /services/<name>/, an MCP service has one of its own.
            models.UniqueConstraint(fields=["instance", "name"], condition=~Q(kind="mcp"), name="service_name_once_an_instance"),
            models.UniqueConstraint(fields=["instance", "name"], condition=Q(kind="mcp"), name="mcp_name_once_an_instance"),
        ]

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **more: Any) -> Self:
        kind = dict(zip(field_names, values, strict=False)).get("kind")
        of_kind = next((one for one in Service.__subclasses__() if kind == one.KIND), cls)
        return cast(Self, super(Service, of_kind).from_db(db, field_names, values, **more))

    @property
    def stem(self) -> str:
        """Of its permissions and of its pages' names: "service" or "mcp"."""
        return self.rights.view.partition(".")[0]

    @property
    def supplier_label(self) -> str:
        """What it leads to, in a word or two."""
        raise NotImplementedError

    @property
    def shape(self) -> Shape:
        """How its back end wants to be shown a key."""
        raise NotImplementedError

    @property
    def entrance(self) -> str:
        """Its path on the gateway: "/ai/chat"."""
        return f"{ENTRANCES[self.kind]}{self.name}"

    @property
    def destination(self) -> Destination:
        """Where its keys go."""
        return of_service(self.kind, parse_address(self.address).origin, self.shape.header, self.instance.ref)

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

    @property
    def admitted(self) -> ConsumerQuerySet:
        """Those whose authorization counts: they authenticate in the way that this service asks for."""
        return self.consumers.filter(method=self.authentication_method)

    @classmethod
    def visible_to(cls, actor: Actor, instance: Instance) -> "ServiceQuerySet[Self]":
        """What the console calls services: AI and Agent. MCP services have a list and rights of their own."""
        rows = cls.objects.filter(instance=instance, kind__in=(AI, AGENT)) if actor.may("service.view", instance) else cls.objects.none()
        return cast("ServiceQuerySet[Self]", rows)

    def delete(self, *, by: Actor) -> None:  # type: ignore[override]
        with deed(by, self.rights.delete, self) as entry:
            self._lock()
            consumers = self.authorizations.count()
            self.authorizations.all().delete()
            rules = list(self.rules.order_by("pk"))
            released = [*self._release(), *(name for rule in rules for name in rule._remove())]
            entry.facts = {"instance": self.instance.ref, "released": sorted(released), "consumers": consumers}
            entry.facts |= {"rules": len(rules)} if rules else {}
            type(self).objects.filter(pk=self.pk).delete()

    def require_authentication(self, method: str = API_KEY, *, by: Actor) -> None:
        """Callers have to show who they are, and how; whoever does it in another way is refused from now on."""
        with deed(by, self.rights.require_authentication, self) as entry:
            self._lock()
            if method not in self.methods:
                raise Invalid({"method": [str(_("Choose one of the methods listed."))]})
            if self.consumer_authentication and self.authentication_method == method:
                raise Conflict(_("Consumer authentication is on already, with this method."))
            self.consumer_authentication, self.authentication_method = True, method
            self._save("consumer_authentication", "authentication_method")
            entry.stamp(self)
            entry.facts = {"instance": self.instance.ref, "method": method}

    def open(self, *, by: Actor) -> None:
        """Turn consumer authentication off: anybody who reaches the gateway may call this service on our keys."""
        with deed(by, self.rights.open, self) as entry:
            self._lock()
            if not self.consumer_authentication:
                raise Conflict(_("Consumer authentication is off already."))
            self.consumer_authentication = False
            self._save("consumer_authentication")
            entry.stamp(self)
            entry.facts = {"instance": self.instance.ref}

    def authorize(self, consumer_names: Sequence[str], *, by: Actor) -> None:
        """Raises Conflict when one of them is authorized already, Invalid (field "consumers") for an unknown one."""
        with deed(by, self.rights.authorize, self) as entry:
            self._lock()
            names = sorted(set(consumer_names))
            if not names:
                raise Invalid({"consumers": [str(_("Choose at least one consumer."))]})
            found = {c.name: c for c in Consumer.visible_to(by, self.instance.region).filter(name__in=names)}
            if unknown := [name for name in names if name not in found]:
                text = _("No consumer is named “%(name)s” in this region.") % {"name": unknown[0][:63]}
                raise Invalid({"consumers": [str(text)]})
            if already := self.consumers.filter(name__in=names).values_list("name", flat=True).first():
                raise Conflict(_("%(name)s is authorized on %(service)s already.") % {"name": already, "service": self.name})
            Authorization.objects.bulk_create(Authorization(service=self, consumer=found[name]) for name in names)
            entry.stamp(self)
            entry.facts = {"instance": self.instance.ref, "consumers": names}

    def revoke(self, consumer: Consumer, *, by: Actor) -> None:
        with deed(by, self.rights.revoke, self) as entry:
            self._lock()
            gone, _rows = Authorization.objects.filter(service=self, consumer=consumer).delete()
            if not gone:
                raise Conflict(_("%(name)s is not authorized on %(service)s.") % {"name": consumer.name, "service": self.name})
            entry.stamp(self)
            entry.facts = {"instance": self.instance.ref, "consumers": [consumer.name]}

    def test(self, path: str, *, by: Actor, once: UUID) -> Trial:
        """One call to the back end, with the key at this path. See tested()."""
        return tested(self, path, by, once)

    # Below the verbs

    def _bind(self, keys: NewKeys, paths: Sequence[str], by: Actor) -> None:
        """A key at each path. What is wrong with one is told at its own field, key_<i>."""
        given: Sequence[Any]
        if keys.generation == REFERENCE:
            by.require("key.bind", self)
            self.instance.require_references()
            given = keys.key_names
        elif keys.generation == CUSTOM:
            refuse(*(check_custom(value, f"key_{index}") for index, value in enumerate(keys.values) if value is not None))
            given = keys.values
        else:
            raise Invalid({"generation": [str(_("Choose one of the generation methods listed."))]})
        for index, (one, path) in enumerate(zip(given, paths, strict=True)):
            if one is not None:
                self._bind_one(one, path, f"key_{index}", by)

    def _bind_one(self, given: str | Plaintext, path: str, field: str, by: Actor) -> None:
        """The key of that name, or a new one that holds the value. What is wrong with it is told at the field."""
        region, to = self.instance.region, self.destination
        try:
            key = find_key_to_bind(region, given, by) if isinstance(given, str) else Key._new_inline(region, given, by, to=to)
            key._bind(self.audit_kind, self.pk, path, to=to, by=by, inbound=False)
        except Invalid as refused:
            raise Invalid({field: refused.errors["key"]}) from None
        self._note(key)

    def _led_elsewhere(self, was: Destination, by: Actor, header: str) -> None:
        """After an edit: may the keys that stayed go where they go now, and those of the instance's rules? Raises Invalid (fields address,
        or `header` where it is that alone which changed)."""
        to = self.destination
        if to == was:
            return
        for reference in self.references.order_by("key_id"):
            key = reference.key
            key._lock()
            try:
                key._admit([to], by)
            except Invalid as refused:
                raise Invalid({"address" if to.host != was.host else header: refused.errors["key"]}) from None
            self._note(key)
        if to.host != was.host:
            check_reached(self.instance, self.pk)

    def _release(self, keep: Collection[str] = ()) -> list[str]:
        """Unbind every key, except those at the paths to keep; the names of the shared ones, which live on."""
        references = [reference for reference in self.references.order_by("key_id") if reference.path not in keep]
        for reference in references:
            reference.key._unbind(reference)
        return sorted(reference.key.name for reference in references if reference.key.name)

    def _set(self, **columns: str) -> list[str]:
        """The names of those that change."""
        changed = [name for name, new in columns.items() if getattr(self, name) != new]
        for name, new in columns.items():
            setattr(self, name, new)
        return changed


class Authorization(models.Model):
    """This consumer may call this service."""

    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="authorizations")
    consumer = models.ForeignKey(Consumer, on_delete=models.PROTECT, related_name="authorizations")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["service", "consumer"], name="authorized_once")]


def told_keys(keys: NewKeys) -> dict[str, Any]:
    """For the audit log: names of keys, and of values only how many."""
    return {
        "generation": keys.generation,
        "keys": list(keys.key_names) if keys.generation == REFERENCE else sum(value is not None for value in keys.values),
        "trimmed": keys.trimmed,
    }
