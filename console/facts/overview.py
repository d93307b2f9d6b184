"""What the overview of a region shows, as values: what to do first, what its gateways do, and what needs a look."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Self

from django.conf import settings
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from console.commands import run_gateway, run_xds
from console.facts.landing import field_of, service_page, to
from gateway.attention import Attention
from gateway.delivery import Delivery, Effect, newest_change
from gateway.example import AUTHORIZATION, Example
from gateway.models import Consumer, Instance, Node, Publication, Service
from secrets_app.actor import Actor
from secrets_app.models import Key, Region
from secrets_app.models.second import Request

INSTANCES_SHOWN = 12

_REASONS: dict[str, Promise] = {
    "unreadable": _("The value of its key cannot be opened. Rotate the key, or restore the keyring from your backup."),
    "duplicate": _("Another consumer presents the same value, so nobody could tell the two apart. Rotate the key."),
    "charset": _("The value of its key cannot travel in a header. Rotate the key."),
    "missing": _("It names a key that does not exist, so its requests are answered 503. Create the key, or name another."),
    "text": _("Its text does not pass any more, so its requests are answered 503. Open the rule to see why."),
}


@dataclass(frozen=True, slots=True)
class Figure:
    label: str
    number: int
    text: str
    url: str


def figures(region: Region, actor: Actor) -> list[Figure]:
    keys, consumers = Key.visible_to(actor, region), Consumer.visible_to(actor, region)
    visible = Instance.visible_to(actor, region)
    services, nodes = Service.objects.filter(instance__in=visible), Node.objects.filter(instance__in=visible)
    off, instances = consumers.filter(enabled=False).count(), visible.count()
    across = ngettext("on %(n)d instance", "on %(n)d instances", instances) % {"n": instances}
    return [
        Figure(
            now("Keys"), keys.count(), now("%(n)d referenced") % {"n": keys.filter(reference_count__gt=0).count()}, to("key-list", region)
        ),
        Figure(now("Consumers"), consumers.count(), now("%(n)d disabled") % {"n": off}, to("consumer-list", region)),
        Figure(now("Services"), services.count(), across, to("instance-list", region)),
        Figure(
            now("Nodes"), nodes.count(), now("%(n)d connected") % {"n": nodes.filter(connected=True).count()}, to("instance-list", region)
        ),
    ]


@dataclass(frozen=True, slots=True)
class Start:
    """The three steps. `done` counts how many are behind; with all three the page keeps the call alone."""

    key: bool
    consumer: bool
    example: Example
    curl: str
    region: Region
    only: Instance | None  # the instance, where there is no other to choose

    @classmethod
    def of(cls, region: Region, actor: Actor, host: str) -> Self:
        example, instances = Example.of(region), Instance.visible_to(actor, region)[:2]
        return cls(
            key=Key.visible_to(actor, region).exists(),
            consumer=Consumer.visible_to(actor, region).exists(),
            example=example,
            curl=example.curl(host),
            region=region,
            only=instances[0] if len(instances) == 1 else None,
        )

    @property
    def finished(self) -> bool:
        return self.key and self.consumer and not self.example.missing

    @property
    def current(self) -> int:
        return 1 if not self.key else 2 if not self.consumer else 3

    @property
    def next_url(self) -> str:
        """Where the first thing missing for a call is made."""
        service = self.example.service
        if service is None:
            return to("service-list", self.region, ref=self.only.ref) if self.only else to("instance-list", self.region)
        if self.example.missing == AUTHORIZATION:
            return to("service-detail", self.region, ref=service.instance.ref, name=service.name)
        return to("instance-detail", self.region, ref=service.instance.ref)


@dataclass(frozen=True, slots=True)
class InstanceState:
    instance: Instance
    nodes: tuple[Node, ...]
    effect: Effect
    url: str
    command: str  # the line that starts a first node, where there is none

    @property
    def refusing(self) -> list[Node]:
        return [node for node in self.nodes if node.name in self.effect.refused]

    @property
    def away(self) -> int:
        return sum(not node.connected for node in self.nodes)


@dataclass(frozen=True, slots=True)
class Gateways:
    """What each instance's nodes have in effect, against the last change that they have to follow."""

    up: bool
    states: tuple[InstanceState, ...]
    more: int
    refused: str  # why the control plane keeps the last good state, or ""
    nodes: tuple[Node, ...]

    @property
    def down(self) -> bool:
        return not self.up

    @classmethod
    def of(cls, region: Region, actor: Actor) -> Self:
        delivery, newest = Delivery.of(region), newest_change(region)
        instances = list(Instance.visible_to(actor, region).order_by("name"))
        seen = {one.pk for one in instances}
        ports = _free_ports()
        states = tuple(
            InstanceState(
                one,
                nodes := delivery.by_instance.get(one.pk, ()),
                delivery.effect(newest, [one.pk]),
                to("instance-detail", region, ref=one.ref),
                "" if nodes else run_gateway(one.ref, "node-1", next(ports)),
            )
            for one in instances[:INSTANCES_SHOWN]
        )
        nodes_seen = tuple(node for node in delivery.nodes if node.instance_id in seen)
        publication = Publication.objects.filter(region=region).first()
        refused = publication.refused_reason if publication and publication.refused_seq > publication.seq else ""
        return cls(delivery.control_plane_up, states, max(0, len(instances) - INSTANCES_SHOWN), refused, nodes_seen)

    @property
    def start(self) -> str:
        """The line that starts a control plane."""
        return run_xds()

    @property
    def away(self) -> dict[Instance, list[str]]:
        """The nodes that a control plane that is there has no stream to, by instance."""
        found: dict[Instance, list[str]] = {}
        for node in self.nodes if self.up else ():
            if not node.connected:
                found.setdefault(node.instance, []).append(node.name)
        return found


def _free_ports() -> Iterator[int]:
    taken = Node.listen_ports()
    return (port for port in count(settings.GATEWAY_PORT) if port not in taken)


@dataclass(frozen=True, slots=True)
class Concern:
    """One line of "Needs attention", with where to mend it."""

    tone: str
    icon: str
    title: str
    text: str
    url: str


def reveal_concerns(region: Region, actor: Actor) -> Iterator[Concern]:
    """Who waits for this person to approve."""
    for one in Request.waiting_for(actor, region):
        title = now("%(who)s asks to be shown the value of %(key)s") % {"who": one.asked.actor, "key": one.asked.target}
        text = now("Approve or deny it within 15 minutes: %(reason)s") % {"reason": one.asked.facts.get("reason", "")}
        url = reverse("key-approve-reveal", kwargs={"region": region.name, "name": one.asked.target, "asked": one.id})
        yield Concern("warn", "user-round-check", title, text, url)


def gateway_concerns(region: Region, gateways: Gateways) -> Iterator[Concern]:
    """What keeps changes from being in effect; the card of the gateways holds the details."""
    if gateways.down:
        text = now("Gateways that run keep serving what they have; changes wait.")
        yield Concern("warn", "clock-alert", now("The control plane is down"), text, "#gateways")
    if gateways.refused:
        yield Concern("bad", "circle-alert", now("The last change was refused"), now("The last good state is served."), "#gateways")
    for node in gateways.nodes:
        if node.refused_seq > node.in_effect_seq:
            title = now("%(node)s of %(instance)s refused a change") % {"node": node.name, "instance": node.instance.name}
            yield Concern("bad", "circle-alert", title, node.refused_reason, to("node-list", region, ref=node.instance.ref))
    for instance, names in gateways.away.items():
        title = ngettext("%(n)d node of %(instance)s is not connected", "%(n)d nodes of %(instance)s are not connected", len(names)) % {
            "n": len(names),
            "instance": instance.name,
        }
        text = now("%(names)s: no change reaches it. Start it again, or look whether it reaches the control plane.")
        shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        yield Concern("warn", "unplug", title, text % {"names": shown}, to("node-list", region, ref=instance.ref))


def concerns(region: Region, found: Attention, actor: Actor) -> Iterator[Concern]:
    for unserved in found.unserved:
        reason = str(_REASONS.get(unserved.reason, unserved.reason))
        title = now("%(name)s is not served") % {"name": unserved.holder.name}
        yield Concern("bad", "circle-alert", title, f"{unserved.holder.place}: {reason}", field_of(region, unserved.holder, actor))
    for key in found.disabled_keys:
        one, many = (
            "%(n)d holder refers to it and is refused until it is enabled.",
            "%(n)d holders refer to it and are refused until it is enabled.",
        )
        text = ngettext(one, many, key.reference_count) % {"n": key.reference_count}
        title = now("Key %(name)s is disabled and in use") % {"name": key}
        yield Concern("warn", "key-round", title, text, to("key-detail", region, name=key.audit_name))
    for service in found.open_services:
        title = now("Anybody may call %(name)s") % {"name": service.name}
        text = now("Consumer authentication is off: whoever reaches the gateway uses your keys.")
        yield Concern("warn", "lock-open", title, text, service_page(region, service.audit_kind, service.instance.ref, service.name))
    for service in found.unauthorized_services:
        title = now("Nobody may call %(name)s yet") % {"name": service.name}
        text = now("It answers 403 until a consumer is authorized.")
        yield Concern("info", "user-round-x", title, text, service_page(region, service.audit_kind, service.instance.ref, service.name))
