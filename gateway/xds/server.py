"""The control plane's door: one incremental ADS stream per node, and nothing else.

Aggregated state-of-the-world streams, services of a single kind and unary Fetch calls are not served: with one way in there is one
place that decides who gets what (an unauthenticated Fetch was CVE-2026-53714 of a peer).
"""

import asyncio
import contextlib
import ipaddress
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Protocol

import grpc
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse

from gateway.xds.auth import Gate, Identity, Nodes, caller
from gateway.xds.cache import Cache
from gateway.xds.refusals import Refused, classify
from gateway.xds.stream import Stream

WARM_UP = 1.0  # seconds that new routes wait for their clusters; a back end whose name does not resolve must not hold up a revocation

_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_OPTIONS = [
    ("grpc.max_send_message_length", -1),  # a region's credentials are one resource: 100,000 of them take 8 MB
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),  # nodes ping every 30 s, far below the default tolerance of 5 min
    ("grpc.so_reuseport", 0),  # a second control plane on the port is an error, not a partner
]


class Ledger(Protocol):
    """Where it is noted what nodes have. Called on the event loop, so it must not wait for anything."""

    def connected(self, node: Identity, envoy_version: str) -> None:
        """The node spoke. Its version ("1.40.0") is what it says of itself."""

    def disconnected(self, node: Identity) -> None:
        """Its last stream ended."""

    def in_effect(self, node: Identity, seq: int) -> None:
        """The node acknowledged everything up to this audit entry."""

    def refused(self, node: Identity, refused: Refused) -> None: ...


class ControlPlane:
    """Serves what is in the cache to those whom `nodes` knows."""

    def __init__(self, cache: Cache, nodes: Nodes, ledger: Ledger) -> None:
        self._cache = cache
        self._ledger = ledger
        self._sessions: set[_Session] = set()
        self._server = grpc.aio.server(interceptors=[Gate(nodes)], options=_OPTIONS)
        self._server.add_generic_rpc_handlers([self._handlers()])

    async def start(self, host: str, port: int) -> int:
        """The port, chosen by the system for 0. Raises ValueError off loopback (tokens would travel in the clear), OSError when taken."""
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"The control plane listens on a loopback address only, and {host} is none.")
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound = self._server.add_insecure_port(address)
        except RuntimeError:
            raise OSError(f"{address} is in use, or may not be listened on.") from None
        await self._server.start()
        return int(bound)

    async def stop(self, grace: float = 0.0) -> None:
        await self._server.stop(grace)

    def drop(self, node_id: int) -> None:
        """Ends the node's streams: its right was taken away. It is sent nothing more."""
        self._cache.drop(node_id)
        for session in tuple(self._sessions):
            if session.node.node_id == node_id:
                session.drop()

    def _handlers(self) -> grpc.GenericRpcHandler:
        delta = grpc.stream_stream_rpc_method_handler(
            self._delta,
            request_deserializer=DeltaDiscoveryRequest.FromString,
            response_serializer=DeltaDiscoveryResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(_SERVICE, {"DeltaAggregatedResources": delta})

    async def _delta(self, requests: AsyncIterator[DeltaDiscoveryRequest], context: Any) -> None:
        session = _Session(caller.get(), self._cache, self._ledger)
        self._sessions.add(session)
        try:
            await session.run(requests, context)
        finally:
            self._sessions.discard(session)
            if not any(other.node == session.node for other in self._sessions):
                self._ledger.disconnected(session.node)


class _Session:
    """Moves requests into a Stream and its responses out, each round from the newest snapshot."""

    def __init__(self, node: Identity, cache: Cache, ledger: Ledger) -> None:
        self.node = node
        self._cache = cache
        self._ledger = ledger
        self._stream = Stream()
        self._requests: deque[DeltaDiscoveryRequest] = deque()
        self._bell = asyncio.Event()
        self._heard = self._ended = self._dropped = False
        self._hold_until: float | None = None
        self._in_effect = -1

    async def run(self, requests: AsyncIterator[DeltaDiscoveryRequest], context: Any) -> None:
        reader = asyncio.create_task(self._read(requests))
        unwatch = self._cache.watch(self.node.node_id, self._bell.set)
        try:
            while not self._ended:
                self._bell.clear()
                self._take_requests()
                await self._send(context)
                await self._sleep()
        finally:
            unwatch()
            reader.cancel()

    def drop(self) -> None:
        self._dropped = True
        self._bell.set()

    async def _read(self, requests: AsyncIterator[DeltaDiscoveryRequest]) -> None:
        try:
            async for request in requests:
                self._requests.append(request)
                self._bell.set()
        finally:
            self._ended = True
            self._bell.set()

    def _take_requests(self) -> None:
        while self._requests:
            request = self._requests.popleft()
            if not self._heard:
                self._heard = True
                self._ledger.connected(self.node, _envoy_version(request))
            if refusal := self._stream.receive(request):
                self._ledger.refused(self.node, classify(refusal))

    async def _send(self, context: Any) -> None:
        published = self._cache.get(self.node.node_id)
        if published:
            patient = self._hold_until is None or _now() < self._hold_until
            for response in self._stream.due(published.snapshot, patient=patient):
                await self._stop_if_dropped(context)
                await context.write(response)
            if published.seq != self._in_effect and self._stream.in_effect(published.snapshot):
                self._in_effect = published.seq
                self._ledger.in_effect(self.node, published.seq)
        await self._stop_if_dropped(context)

    async def _sleep(self) -> None:
        """Until a request, a new snapshot, the end, or the moment when routes have waited long enough."""
        if not self._stream.holding:
            self._hold_until = None
        elif self._hold_until is None:
            self._hold_until = _now() + WARM_UP
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._hold_until):
                await self._bell.wait()

    async def _stop_if_dropped(self, context: Any) -> None:
        if self._dropped:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "This node's right was taken away.")


def _now() -> float:
    return asyncio.get_running_loop().time()


def _envoy_version(request: DeltaDiscoveryRequest) -> str:
    version = request.node.user_agent_build_version.version
    return f"{version.major_number}.{version.minor_number}.{version.patch}"
