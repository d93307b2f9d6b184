"""The real control plane on a loop of its own thread, driven from tests that are plain functions."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from gateway.compile import Memo, compile_region, listener
from gateway.compile.wire import packed
from gateway.names import LISTENER as LISTENER_NAME
from gateway.snapshot import Snapshot
from gateway.type_urls import LISTENER
from gateway.xds.auth import Identity
from gateway.xds.cache import Cache, Published
from gateway.xds.refusals import Refused
from gateway.xds.server import ControlPlane
from tests.dataplane.region import Region
from tests.dataplane.stored import Stored
from tests.processes import eventually

T = TypeVar("T")
VERSION_KEY = b"the versions of tests"


class Tokens:
    """Nodes by token."""

    def __init__(self) -> None:
        self.known: dict[str, Identity] = {}

    async def identify(self, token: str) -> Identity | None:
        return self.known.get(token)


class Notes:
    """A ledger that remembers everything."""

    def __init__(self) -> None:
        self.connects = 0
        self.gone: list[Identity] = []
        self.versions: set[str] = set()
        self.effective: dict[int, int] = {}
        self.refusals: list[Refused] = []

    def connected(self, node: Identity, envoy_version: str) -> None:
        self.connects += 1
        self.versions.add(envoy_version)

    def disconnected(self, node: Identity) -> None:
        self.gone.append(node)

    def in_effect(self, node: Identity, seq: int) -> None:
        self.effective[node.node_id] = seq

    def refused(self, node: Identity, refused: Refused) -> None:
        self.refusals.append(refused)


class Plane:
    """`publish` compiles a region, puts it before the nodes, and returns when all of it is acknowledged."""

    def __init__(self) -> None:
        self.tokens, self.notes = Tokens(), Notes()
        self.port = 0
        self.snapshots: dict[int, Snapshot] = {}
        self._memo = Memo()
        self._seq = 0
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.start()

    def start(self) -> None:
        """On the same port again, if it ran before."""
        self.port = self.run(self._start())

    def stop(self) -> None:
        self.run(self.server.stop())

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)

    def join(self, node_id: int, token: str) -> None:
        self.tokens.known[token] = Identity(node_id, f"node-{node_id}")

    def publish(self, region: Region | Stored, *, node: int = 1, wait: bool = True, host: str = "127.0.0.1", port: int = 0) -> Snapshot:
        compiled = compile_region(region.inventory, region.values, self._memo)
        (instance,) = compiled.values()
        resources = {**instance.resources, LISTENER: {LISTENER_NAME: packed(listener(host, port, "access.log"))}}
        snapshot = Snapshot.of(resources, VERSION_KEY, self.snapshots.get(node))
        snapshot.check(self.snapshots.get(node))
        self.put(snapshot, node=node)
        if wait:
            self.settle(node)
        return snapshot

    def put(self, snapshot: Snapshot, *, node: int = 1) -> None:
        self.snapshots[node] = snapshot
        self._seq += 1
        self._call(lambda: self._cache.put(node, Published(snapshot, self._seq)))

    def settle(self, node: int = 1, within: float = 10.0) -> None:
        eventually(lambda: self.notes.effective.get(node) == self._seq, within=within, every=0.002)

    def drop(self, node: int) -> None:
        self._call(lambda: self.server.drop(node))

    def _call(self, action: Callable[[], None]) -> None:
        async def act() -> None:
            action()

        self.run(act())

    async def _start(self) -> int:
        self._cache = Cache()  # empty, as after a restart
        for node, snapshot in self.snapshots.items():
            self._cache.put(node, Published(snapshot, self._seq))
        self.server = ControlPlane(self._cache, self.tokens, self.notes)
        return await self.server.start("127.0.0.1", self.port)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """On the one loop there is: grpc.aio does not like two in a process."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)
