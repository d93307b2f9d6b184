"""What the consumer pages show of a consumer, as values."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from django.db.models import Case, Count, When

from gateway.call import Call, call, shown_by
from gateway.delivery import Delivery, Effect
from gateway.holders import senders_of
from gateway.methods import KEY_TYPES
from gateway.models import Authorization, Consumer, Credential, Instance, Jwt, Node, Problem, Service
from gateway.models.service import AGENT, AI
from gateway.sources import Source
from secrets_app.actor import Actor
from secrets_app.models import Key, KeyVersion, Reference, Region


@dataclass(frozen=True, slots=True)
class Held:
    """A credential and the key behind it, its own or a shared one."""

    credential: Credential
    key: Key


def held(consumers: Sequence[Consumer]) -> dict[int, list[Held]]:
    """By consumer, in the order of their numbers. Two queries, however many there are."""
    ids = [consumer.pk for consumer in consumers]
    references = Reference.objects.filter(holder_kind=Consumer.audit_kind, holder_id__in=ids).select_related("key")
    keys = {(reference.holder_id, reference.path): reference.key for reference in references}
    found: dict[int, list[Held]] = defaultdict(list)
    for credential in Credential.objects.filter(consumer__in=ids).order_by("consumer_id", "number"):
        if key := keys.get((credential.consumer_id, credential.path)):  # else removed between the two queries
            found[credential.consumer_id].append(Held(credential, key))
    return found


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list."""

    consumer: Consumer
    held: list[Held]
    services: int  # that the actor may see
    effect: Effect

    @property
    def sole(self) -> Held | None:
        """The one credential of a consumer that has no more."""
        return self.held[0] if len(self.held) == 1 else None

    @property
    def key_type(self) -> str:
        """Of a consumer with tokens: whose signature counts."""
        return str(KEY_TYPES[self.consumer.jwt.key_type])


def rows(consumers: Sequence[Consumer], region: Region, actor: Actor, delivery: Delivery) -> list[Row]:
    """Three queries, however many there are."""
    granted = Authorization.objects.filter(
        consumer__in=[one.pk for one in consumers], service__instance__in=Instance.visible_to(actor, region)
    )
    services: dict[int, int] = dict(granted.order_by().values_list("consumer").annotate(Count("pk")))
    found = held(consumers)
    return [
        Row(one, found[one.pk], services.get(one.pk, 0), _effect(one, (each.key for each in found[one.pk]), delivery)) for one in consumers
    ]


@dataclass(frozen=True, slots=True)
class Presented:
    """One credential as the consumer's page shows it."""

    credential: Credential
    key: Key
    versions: tuple[KeyVersion, ...]  # accepted now, newest first
    effect: Effect
    problem: str  # why it is not served, as in Problem; "" when it is
    senders: int

    @property
    def previous(self) -> KeyVersion | None:
        return next((version for version in self.versions if version.stage == KeyVersion.PREVIOUS), None)


@dataclass(frozen=True, slots=True)
class Facts:
    """One consumer: what it presents, where, which services take it, and how far that has got."""

    credentials: tuple[Presented, ...]
    tokens: "Tokens | None"  # of a consumer that presents tokens, in place of credentials
    effect: Effect
    down: bool  # the control plane: nothing is on its way
    service_count: int  # of those that the actor may see
    elsewhere: tuple[tuple[Source, list[str]], ...]
    call: Call | None

    @classmethod
    def of(cls, consumer: Consumer, actor: Actor, host: str, kind: str = AI) -> Self:
        """`kind` of service that the page shows how to call, where the consumer may call one. Twelve queries at most."""
        delivery, found = Delivery.of(consumer.region), held([consumer])[consumer.pk]
        seen = Instance.visible_to(actor, consumer.region)
        return cls(
            credentials=tuple(_presented(consumer, found, delivery)),
            tokens=_tokens(consumer) if consumer.takes_tokens else None,
            effect=_effect(consumer, (one.key for one in found), delivery),
            down=not delivery.control_plane_up,
            service_count=consumer.authorizations.filter(service__instance__in=seen).count(),
            elsewhere=tuple(consumer.other_sources()),
            call=_call(consumer, actor, kind, delivery, host),
        )

    @property
    def moving(self) -> bool:
        """Worth another look in a moment."""
        return self.effect.total > 0 and not self.effect.everywhere and not self.down

    @property
    def sole(self) -> Presented | None:
        """The one credential of a consumer that has no more."""
        return self.credentials[0] if len(self.credentials) == 1 else None


def _presented(consumer: Consumer, found: Sequence[Held], delivery: Delivery) -> Iterable[Presented]:
    """Three queries."""
    keys = [one.key for one in found]
    versions: dict[object, list[KeyVersion]] = defaultdict(list)
    accepted = KeyVersion.accepted().filter(key__in=keys).defer("body", "wrapped", "fingerprint").order_by("-number")
    for version in accepted:
        versions[version.key_id].append(version)
    problems = Problem.objects.filter(holder_kind=consumer.audit_kind, holder_id=consumer.pk)
    reasons: dict[str, str] = dict(problems.values_list("path", "reason"))
    senders = senders_of(keys)
    for one in found:
        effect, key = _effect(consumer, [one.key], delivery), one.key
        reason = reasons.get(one.credential.path, "")
        yield Presented(one.credential, key, tuple(versions[key.pk]), effect, reason, senders.get(key.pk, 0))


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the tokens of a consumer are, as its page shows it. `versions` are of a shared secret: accepted now, newest first."""

    jwt: Jwt
    versions: tuple[KeyVersion, ...]
    problem: str  # why a shared secret is not served, as in Problem; "" when it is

    @property
    def kind(self) -> str:
        return str(KEY_TYPES[self.jwt.key_type])

    @property
    def previous(self) -> KeyVersion | None:
        return next((version for version in self.versions if version.stage == KeyVersion.PREVIOUS), None)


def _tokens(consumer: Consumer) -> Tokens:
    """Three queries."""
    own = KeyVersion.accepted().filter(key__references__holder_kind=consumer.audit_kind, key__references__holder_id=consumer.pk)
    versions = own.defer("body", "wrapped", "fingerprint").order_by("-number")
    problems = Problem.objects.filter(holder_kind=consumer.audit_kind, holder_id=consumer.pk)
    return Tokens(consumer.jwt, tuple(versions), problems.values_list("reason", flat=True).first() or "")


def _effect(consumer: Consumer, keys: Iterable[Key], delivery: Delivery) -> Effect:
    return delivery.effect(max([consumer.changed_seq, *(key.changed_seq for key in keys)]))


def _call(consumer: Consumer, actor: Actor, kind: str, delivery: Delivery, host: str) -> Call | None:
    """Of a service that the actor may see: of this kind where there is one, else of a model before an agent or tools; and of one that a
    node serves."""
    nodes: dict[object, Node] = {pk: nodes[0] for pk, nodes in delivery.by_instance.items()}
    served = Case(When(instance__in=list(nodes), then=0), default=1)
    sort = Case(When(kind=kind, then=0), When(kind=AI, then=1), When(kind=AGENT, then=2), default=3)
    seen = Instance.visible_to(actor, consumer.region)
    counting = Service.objects.filter(authorizations__consumer=consumer, authentication_method=consumer.method, instance__in=seen)
    service = counting.select_related("instance").order_by(sort, served, "name").first()
    return call(service, nodes.get(service.instance_id), host, shown_by(consumer)) if service else None
