"""A node's incremental ADS stream without any input or output of its own: requests go in, responses come out.

"The protocol" is https://www.envoyproxy.io/docs/envoy/v1.40.0/api-docs/xds_protocol; each rule names its section.
Two habits of ours go beyond it:
  - At most one response of a kind is under way. The next one waits for the answer, and holds all that changed meanwhile.
  - A refused response is sent again in halves, so that a refusal ends at the one resource that earned it.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from envoy.service.discovery.v3.discovery_pb2 import Resource as Delivery

from gateway.snapshot import Resource, Snapshot, empty_secret
from gateway.type_urls import CLUSTER, LISTENER, ORDER, ROUTE, SECRET

EVERYTHING = "*"
_UNCERTAIN = ""  # the version of what a node has, when it cannot be known
_WILDCARD_KINDS = frozenset({CLUSTER, LISTENER})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A node will not have this resource. Its `text` may quote a key: classify it, and let it go no further."""

    type_url: str
    name: str
    code: int
    text: str = field(repr=False)


class Stream:
    """What the node has subscribed to, what it holds, and what it is still to be told."""

    def __init__(self) -> None:
        self._kinds: dict[str, _Subscription] = {}
        self._nonce = 0

    def receive(self, request: DeltaDiscoveryRequest) -> Refusal | None:
        """Raises nothing, whatever a node sends. Kinds that this control plane does not have are left unanswered."""
        kind = request.type_url
        if kind not in ORDER:
            return None
        first = kind not in self._kinds
        subscription = self._kinds.setdefault(kind, _Subscription(kind))
        # "The server must honor changes to the subscription state even if the nonce is stale" (Incremental xDS).
        subscription.change(request, first=first)
        return subscription.answer(request)

    def due(self, snapshot: Snapshot, *, patient: bool = True) -> list[DeltaDiscoveryResponse]:
        """What can be sent now. Call it after every request and for every new snapshot."""
        responses = []
        for kind, subscription in self._in_order():
            subscription.compare(snapshot[kind])
            # Envoy keeps its ACK of clusters back until they are warm. A route that leads to a cold one would answer 503.
            if kind != ROUTE or not (patient and self._in_flight(CLUSTER)):
                additions = subscription.additions()
                if additions or (subscription.unanswered and not subscription.flight):
                    responses.append(self._response(subscription, additions))
        for kind, subscription in reversed(self._in_order()):
            # "Stale CDS clusters ... can then be removed" (Eventual consistency considerations): once nothing can refer to them.
            if any(not later.settled for other, later in self._in_order() if ORDER.index(other) > ORDER.index(kind)):
                break
            if removals := subscription.removals():
                responses.append(self._response(subscription, removals))
        return responses

    @property
    def holding(self) -> bool:
        """Routes wait for clusters to warm up. The caller sets the limit: after it, due(patient=False)."""
        routes = self._kinds.get(ROUTE)
        return bool(routes and self._in_flight(CLUSTER) and not routes.flight and routes.additions())

    def in_effect(self, snapshot: Snapshot) -> bool:
        """The node has acknowledged every resource of the snapshot, and nothing it sends or takes away is left."""
        return all(subscription.settled for subscription in self._kinds.values()) and all(
            kind in self._kinds and self._kinds[kind].holds(snapshot[kind]) for kind in snapshot if snapshot[kind]
        )

    def _in_order(self) -> list[tuple[str, "_Subscription"]]:
        return [(kind, self._kinds[kind]) for kind in ORDER if kind in self._kinds]

    def _in_flight(self, kind: str) -> bool:
        return kind in self._kinds and self._kinds[kind].flight is not None

    def _response(self, subscription: "_Subscription", changes: Mapping[str, Resource | None]) -> DeltaDiscoveryResponse:
        self._nonce += 1
        nonce = str(self._nonce)
        subscription.fly(_Flight(nonce, changes))
        return DeltaDiscoveryResponse(
            type_url=subscription.kind,
            nonce=nonce,
            resources=[Delivery(name=name, version=found.version, resource=found.body) for name, found in changes.items() if found],
            removed_resources=[name for name, found in changes.items() if not found],
        )


@dataclass(frozen=True, slots=True)
class _Flight:
    """A response that the node has not answered yet. None: told that it does not exist."""

    nonce: str
    changes: Mapping[str, Resource | None]


class _Subscription:
    """One kind of resource on one stream."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.flight: _Flight | None = None
        self.unanswered = False  # a wildcard is answered even with nothing, because the client's start waits for that
        self._wildcard = False
        self._names: set[str] = set()
        self._held: dict[str, str] = {}  # name -> version that the node acknowledged, or said it had
        self._refused: dict[str, str] = {}  # name -> version that the node would not have
        self._owed: set[str] = set()  # to be answered even where nothing seems to have changed
        self._doubtful: set[str] = set()  # to be compared; every other name is known to be as it should
        self._halves: deque[list[str]] = deque()
        self._resources: Mapping[str, Resource] = {}

    def change(self, request: DeltaDiscoveryRequest, *, first: bool) -> None:
        if first:
            # "On reconnect the client may tell the server of its known resources to avoid resending them" (Incremental xDS).
            self._held.update(request.initial_resource_versions)
            self._doubtful.update(self._held)
            # No name at all means everything, "for historical reasons" (How the client specifies what resources to return).
            if not request.resource_names_subscribe and not request.resource_names_unsubscribe:
                self._follow_all()
        for name in request.resource_names_subscribe:
            if name == EVERYTHING:
                self._follow_all()
            else:
                self._subscribe(name, known=first and name in self._held)
        for name in request.resource_names_unsubscribe:
            if name == EVERYTHING:
                self._wildcard = False
                for held in self._held.keys() - self._names:
                    self._forget(held)
            else:
                self._unsubscribe(name)

    def answer(self, request: DeltaDiscoveryRequest) -> Refusal | None:
        flight = self.flight
        if flight is None or request.response_nonce != flight.nonce:
            return None  # no answer, or one to a response of another time: the nonce only pairs the two (Incremental xDS)
        self.flight = None
        if request.HasField("error_detail"):
            return self._refuse(flight, request.error_detail.code, request.error_detail.message)
        for name, resource in flight.changes.items():
            self._forget(name)
            if resource:
                self._held[name] = resource.version
        return None

    def compare(self, resources: Mapping[str, Resource]) -> None:
        if resources is self._resources:
            return
        self._resources = resources
        self._doubtful |= (resources.keys() | self._held.keys()) if self._wildcard else self._names

    def additions(self) -> Mapping[str, Resource | None]:
        """New, changed, or asked for. None where the node asked for something that does not exist."""
        if self.flight:
            return {}
        additions, _ = self._pending()
        while self._halves:
            if half := {name: additions[name] for name in self._halves[0] if name in additions}:
                return half
            self._halves.popleft()
        return additions

    def removals(self) -> Mapping[str, Resource | None]:
        """Gone. For a secret that is an empty one: Envoy would keep using the last value of a secret that is removed."""
        if self.flight:
            return {}
        additions, removals = self._pending()
        return {} if additions else removals

    def fly(self, flight: _Flight) -> None:
        self.flight = flight
        self.unanswered = False
        self._owed -= flight.changes.keys()
        if self._halves:
            self._halves.popleft()

    @property
    def settled(self) -> bool:
        return not self.flight and not self._refused and not any(self._pending())

    def holds(self, resources: Mapping[str, Resource]) -> bool:
        return all(self._held.get(name) == resource.version for name, resource in resources.items())

    def _follow_all(self) -> None:
        if self.kind in _WILDCARD_KINDS and not self._wildcard:
            self._wildcard = self.unanswered = True
            self._doubtful.update(self._resources)

    def _subscribe(self, name: str, *, known: bool) -> None:
        self._names.add(name)
        self._doubtful.add(name)
        if not known:
            # "The server must still provide those resources", even those it thinks the client has (Subscribing to Resources).
            self._forget(name)
            self._owed.add(name)

    def _unsubscribe(self, name: str) -> None:
        if name not in self._names:
            return  # "it can simply ignore these phantom unsubscriptions" (Unsubscribing from Resources)
        self._names.discard(name)
        self._owed.discard(name)
        self._forget(name)
        if self._wildcard:
            # It cannot know whether the wildcard still covers the name, so "the server must send a response" (same section).
            self._owed.add(name)

    def _pending(self) -> tuple[dict[str, Resource | None], dict[str, Resource | None]]:
        """Additions and removals. Afterwards only their names are doubtful."""
        additions: dict[str, Resource | None] = {}
        removals: dict[str, Resource | None] = {}
        for name in sorted(self._doubtful | self._owed):
            owed = name in self._owed
            if not owed and not self._follows(name):
                self._forget(name)
                continue
            resource = self._resources.get(name) or (empty_secret(name) if self.kind == SECRET else None)
            if owed:
                additions[name] = resource
            elif name in self._resources:
                if resource and resource.version not in (self._held.get(name), self._refused.get(name)):
                    additions[name] = resource
            elif name in self._held and (resource is None or resource.version != self._held[name]):
                removals[name] = resource
        self._doubtful = {*additions, *removals}
        return additions, removals

    def _refuse(self, flight: _Flight, code: int, text: str) -> Refusal | None:
        """It is not sent again until it changes.

        What the node now has of it is uncertain. It should be what it held before (ACK and NACK semantics), but Envoy takes the
        good clusters of a response that it refuses, and starts its next listener with the extension that it refused.
        """
        sent = [name for name, resource in flight.changes.items() if resource]
        names = [name for name in sent if self._follows(name)]  # one that it left meanwhile may have earned the refusal
        self._held.update(dict.fromkeys(names, _UNCERTAIN))
        if len(sent) != 1 or not names:
            middle = len(names) // 2
            self._halves.extend(half for half in (names[:middle], names[middle:]) if half)
            return None
        (name,) = names
        resource = flight.changes[name]
        assert resource
        self._refused[name] = resource.version
        return Refusal(self.kind, name, code, text)

    def _follows(self, name: str) -> bool:
        return self._wildcard or name in self._names

    def _forget(self, name: str) -> None:
        self._held.pop(name, None)
        self._refused.pop(name, None)
