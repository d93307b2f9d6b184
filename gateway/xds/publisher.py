"""From the audit log to the cache: follows the log, and publishes a region anew when an entry says that its gateways may have to change.

The first change goes at once; those of the next 50 ms are joined into one. Whatever fails, the last good snapshot stays,
and only what callers may show is kept in step.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import DatabaseError
from django.utils import timezone

from gateway import stocktaking
from gateway.compile import Compiled, Memo, compile_region, listener
from gateway.compile.wire import packed
from gateway.inventory import Inventory
from gateway.models import Node, Problem, Publication
from gateway.names import LISTENER as LISTENER_NAME
from gateway.snapshot import Snapshot, SnapshotRefused
from gateway.type_urls import LISTENER
from gateway.xds.cache import Cache, Published
from gateway.xds.ledger import DatabaseLedger
from gateway.xds.server import ControlPlane
from gateway.xds.watch import Watch
from gateway.xds.worker import Worker
from secrets_app.access import ACTIONS
from secrets_app.actor import Actor
from secrets_app.errors import VaultError
from secrets_app.models import AuditEntry, AuditHead, Region, deed
from secrets_app.resolver import Resolver

log = logging.getLogger(__name__)

JOIN = 0.05  # seconds in which changes that follow a first one are joined
RETRY = 1.0
LONGEST_WAIT = 60.0  # looks at the clock at least so often, should it be set meanwhile

NOTHING = (0, "")  # number and hash of the last entry before there is one
PUBLISHING = [name for name, action in ACTIONS.items() if action.publishes]


@dataclass
class _Standing:
    """What a region last came to."""

    resolver: Resolver
    memo: Memo = field(default_factory=Memo)
    snapshots: dict[int, Snapshot] = field(default_factory=dict)  # by node; everything up to `seq` is in them
    seq: int = 0
    tokens: dict[int, str] = field(default_factory=dict)  # by node: the hash, to notice that its right was taken away
    problems: frozenset[tuple[str, int, str, str]] | None = None
    told: str = ""  # the reason that the audit log already holds
    stock: Inventory | None = None
    afresh: bool = False  # the parts of `stock` are kept by numbers of a log that is no more

    def note_tokens(self, nodes: Iterable[Node]) -> frozenset[int]:
        """Nodes that are gone, or have another token: whoever speaks for them has no right to any more."""
        before, self.tokens = self.tokens, {node.pk: node.token_hash for node in nodes}
        return frozenset(node for node, token in before.items() if self.tokens.get(node) != token)


@dataclass(frozen=True, slots=True)
class _Round:
    """What one look at a region came to; handed from the thread that made it to the loop that serves it."""

    seq: int
    snapshots: dict[int, Snapshot]
    snapshots_seq: int
    dropped: frozenset[int]
    problems: frozenset[tuple[str, int, str, str]]
    refused: str = ""  # why it was not published; the last good snapshots stay


class Publisher:
    """Compiles in one thread of its own, so that the event loop keeps answering nodes (and a revocation is not held up by it)."""

    def __init__(self, cache: Cache, server: ControlPlane, ledger: DatabaseLedger, watch: Watch, version_key: bytes, by: Actor) -> None:
        self._cache, self._server, self._ledger, self._watch = cache, server, ledger, watch
        self._version_key = version_key
        self._by = by
        self._in_thread = Worker("publisher")
        self._standing: dict[UUID, _Standing] = {}
        self._seen = NOTHING
        self._behind: set[UUID] = set()  # regions that changed and are not published yet
        self._unwritten: dict[UUID, _Round] = {}  # what was published and is not written down yet

    async def first(self) -> None:
        """Publish every region. Nothing is served before this has succeeded. Raises DatabaseError, CannotOpen."""
        await self._in_thread(Resolver)  # without the private half of the keyring there is nothing to serve
        seen, regions = await self._in_thread(_head_and_regions)
        for region in regions:
            await self._publish(region)
        self._seen = seen

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if not self._behind and not self._unwritten:
                await self._watch.until_moved(self._wait())
            began = asyncio.get_running_loop().time()
            try:
                self._behind |= await self._in_thread(self._changed_regions)
                for region in self._behind | self._due():
                    await self._publish(region)
                    self._behind.discard(region)
                # Only now: a write may have to wait for other writers, and no gateway shall.
                for region, result in tuple(self._unwritten.items()):
                    await self._in_thread(lambda region=region, result=result: self._write_down(region, result))  # type: ignore[misc]
                    del self._unwritten[region]
            except DatabaseError:
                log.exception("The database did not answer; trying again. Gateways keep what they have.")
                self._watch.forget()
                await asyncio.sleep(RETRY)
            await asyncio.sleep(max(0.0, began + JOIN - asyncio.get_running_loop().time()))

    def close(self) -> None:
        self._in_thread.close()

    async def _publish(self, region: UUID) -> None:
        result = await self._in_thread(lambda: self._compile(region))
        for node_id in result.dropped:
            self._server.drop(node_id)
        for node_id, snapshot in result.snapshots.items():
            self._ledger.published(node_id, result.snapshots_seq)
            self._cache.put(node_id, Published(snapshot, result.snapshots_seq))
        self._unwritten[region] = result

    def _wait(self) -> float:
        now = timezone.now()
        return min([LONGEST_WAIT, *(max(0.0, (end - now).total_seconds()) for end in self._ends().values())])

    def _due(self) -> set[UUID]:
        now = timezone.now()
        return {region for region, end in self._ends().items() if end <= now}

    def _ends(self) -> dict[UUID, datetime]:
        """By region: when the earliest overlap ends and its snapshot is no longer right."""
        stocks = {region: standing.stock for region, standing in self._standing.items()}
        return {region: stock.next_change for region, stock in stocks.items() if stock and stock.next_change}

    # In the thread

    def _changed_regions(self) -> set[UUID]:
        """Regions of the publishing entries since the last look. An entry of no region concerns all of them, and so does a log that does
        not hold the last one seen any more: the database was restored, or a standby took over that lacked the last commits."""
        columns = ("seq", "hash", "action", "region_id", "outcome")
        (last, *rows) = AuditEntry.objects.filter(seq__gte=self._seen[0]).order_by("seq").values_list(*columns) or [
            (*NOTHING, "", None, "")
        ]
        if last[:2] != self._seen:
            self._seen, regions = _head_and_regions()
            for standing in self._standing.values():
                standing.afresh = True
            return set(regions)
        changed = {region for _seq, _hash, action, region, outcome in rows if outcome == "ok" and action in PUBLISHING}
        self._seen = rows[-1][:2] if rows else self._seen
        return set(Region.objects.values_list("pk", flat=True)) if None in changed else {region for region in changed if region}

    def _compile(self, region: UUID) -> _Round:
        if region not in self._standing:
            self._standing[region] = _Standing(Resolver())
        standing = self._standing[region]
        seq = AuditHead.objects.values_list("seq", flat=True).filter(pk=1).first() or 0
        nodes = list(Node.objects.filter(instance__region_id=region).order_by("pk"))
        dropped = standing.note_tokens(nodes)
        try:
            stock = stocktaking.load(region, None if standing.afresh else standing.stock)
            standing.snapshots, problems = self._snapshots(stock, nodes, standing)
        except (SnapshotRefused, VaultError) as refused:
            standing.snapshots = self._still_good(nodes, standing)
            return _Round(seq, standing.snapshots, standing.seq, dropped, standing.problems or frozenset(), str(refused))
        standing.stock, standing.seq, standing.afresh = stock, stock.seq, False
        return _Round(stock.seq, standing.snapshots, stock.seq, dropped, problems)

    def _still_good(self, nodes: list[Node], standing: _Standing) -> dict[int, Snapshot]:
        """The last good state, with consumers as they are now: what was taken back is not accepted until somebody mends the rest."""
        last = {node.pk: standing.snapshots[node.pk] for node in nodes if node.pk in standing.snapshots}
        if standing.stock is None:
            return last
        standing.stock = stocktaking.with_consumers_of_now(standing.stock)
        try:
            return last | self._snapshots(standing.stock, nodes, standing)[0]
        except (SnapshotRefused, VaultError):
            return last

    def _snapshots(
        self, stock: Inventory, nodes: list[Node], standing: _Standing
    ) -> tuple[dict[int, Snapshot], frozenset[tuple[str, int, str, str]]]:
        """By node, and the problems of the region."""
        compiled = compile_region(stock, standing.resolver.resolve(_version_ids(stock)), standing.memo)
        snapshots = {node.pk: self._snapshot(node, compiled, standing) for node in nodes if node.instance_id in compiled}
        problems = {problem for instance in compiled.values() for problem in instance.problems}
        return snapshots, frozenset((problem.holder_kind, problem.holder_id, problem.path, problem.reason) for problem in problems)

    def _snapshot(self, node: Node, compiled: dict[UUID, Compiled], standing: _Standing) -> Snapshot:
        earlier = standing.snapshots.get(node.pk)
        door = {LISTENER: {LISTENER_NAME: packed(listener(node.listen_host, node.listen_port))}}
        snapshot = Snapshot.of({**compiled[node.instance_id].resources, **door}, self._version_key, earlier)
        snapshot.check(earlier)
        return snapshot

    def _write_down(self, region: UUID, result: _Round) -> None:
        standing = self._standing[region]
        if result.problems != standing.problems:
            Problem.rewrite(region, result.problems)
            standing.problems = result.problems
        if not result.refused:
            Publication.succeed(region, result.seq)
        else:
            Publication.refuse(region, result.seq, result.refused)
        if result.refused and result.refused != standing.told:
            log.error("Not published: %s The last good state stays with the gateways.", result.refused)
            with deed(self._by, "snapshot.refuse", Region.objects.get(pk=region)) as entry:
                entry.facts = {"reason": result.refused[:300], "seq": result.seq}
        standing.told = result.refused


def _head_and_regions() -> tuple[tuple[int, str], list[UUID]]:
    seen = AuditEntry.objects.order_by("-seq").values_list("seq", "hash").first() or NOTHING
    return seen, list(Region.objects.values_list("pk", flat=True))


def _version_ids(stock: Inventory) -> set[UUID]:
    uses = [use for consumer in stock.consumers for use in consumer.uses]
    uses += [use for instance in stock.instances for service in instance.services for use in service.keys]
    uses += [use for rule in stock.rules for _name, use in rule.keys]
    return {version.id for use in uses for version in use.versions}
