"""What nodes have, written down. Acknowledgements are status rows, joined into one write; a refusal is an audit entry besides, and so is
coming and going, once a minute for each node at most: a node that does nothing else must not fill the log.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError
from django.utils import timezone

from gateway.models import Node
from gateway.xds.auth import Identity
from gateway.xds.refusals import Refused
from gateway.xds.worker import Worker
from secrets_app.actor import Actor
from secrets_app.models import deed

log = logging.getLogger(__name__)

JOIN = 0.02  # seconds between two writes; what comes meanwhile is joined
RETRY = 1.0
QUIET = 60.0  # seconds between two entries about the coming and going of one node


@dataclass(slots=True)
class _Line:
    """To a node: whether it is up, whether the last entry said so, when that was, and how often it changed since."""

    up: bool = False
    told: bool = False
    told_at: float = -QUIET
    turns: int = 0

    def is_due(self, now: float) -> bool:
        return self.up != self.told and now >= self.told_at + QUIET


class DatabaseLedger:
    """Called on the event loop, where it only takes notes; `run` writes them through `in_thread`."""

    def __init__(self, by: Actor) -> None:
        self._by = by
        self._rows: dict[int, dict[str, Any]] = {}  # by node: the columns to write
        self._refusals: dict[tuple[int, str], tuple[Refused, int]] = {}
        self._told: set[tuple[int, str]] = set()  # refusals already in the audit log, until the node accepts something
        self._wanted: dict[int, int] = {}  # by node: the audit entry last published to it
        self._lines: dict[int, _Line] = {}
        self._bell = asyncio.Event()

    def published(self, node_id: int, seq: int) -> None:
        self._wanted[node_id] = seq

    def connected(self, node: Identity, envoy_version: str) -> None:
        self._note(node, connected=True, envoy_version=envoy_version)
        self._turn(node, up=True)

    def disconnected(self, node: Identity) -> None:
        self._note(node, connected=False)
        self._turn(node, up=False)

    def in_effect(self, node: Identity, seq: int) -> None:
        self._told = {told for told in self._told if told[0] != node.node_id}
        self._note(node, in_effect_seq=seq, in_effect_at=timezone.now(), refused_seq=0, refused_reason="")

    def refused(self, node: Identity, refused: Refused) -> None:
        seq = self._wanted.get(node.node_id, 0)
        self._note(node, refused_seq=seq, refused_reason=str(refused)[:300])
        if (node.node_id, str(refused)) not in self._told:
            self._told.add((node.node_id, str(refused)))
            self._refusals[node.node_id, str(refused)] = (refused, seq)

    async def run(self, in_thread: Worker) -> None:
        """Until cancelled. The first note is written at once, those of the next 20 ms together."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._next_line()):
                    await self._bell.wait()
            self._bell.clear()
            rows, self._rows = self._rows, {}
            refusals, self._refusals = self._refusals, {}
            now = asyncio.get_running_loop().time()
            lines = {node: line for node, line in self._lines.items() if line.is_due(now)}
            try:
                await in_thread(lambda rows=rows, refusals=refusals: self._write(rows, refusals))  # type: ignore[misc]
                rows, refusals = {}, {}
                for node, line in lines.items():
                    up, turns = line.up, line.turns
                    await in_thread(lambda node=node, up=up, turns=turns: self._tell_line(node, turns, up=up))  # type: ignore[misc]
                    line.told, line.told_at, line.turns = up, now, line.turns - turns
            except DatabaseError:
                log.exception("The state of nodes could not be written; trying again.")
                self._rows = {node: {**columns, **self._rows.get(node, {})} for node, columns in rows.items()} | {
                    node: columns for node, columns in self._rows.items() if node not in rows
                }
                self._refusals = {**refusals, **self._refusals}
                self._bell.set()
                await asyncio.sleep(RETRY)
            await asyncio.sleep(JOIN)

    def _turn(self, node: Identity, *, up: bool) -> None:
        line = self._lines.setdefault(node.node_id, _Line())
        if line.up != up:
            line.up, line.turns = up, line.turns + 1

    def _next_line(self) -> float | None:
        """When the next entry about a node's coming or going is due."""
        return min((line.told_at + QUIET for line in self._lines.values() if line.up != line.told), default=None)

    def _tell_line(self, node_id: int, turns: int, *, up: bool) -> None:
        if node := Node.objects.select_related("instance__region").filter(pk=node_id).first():
            with deed(self._by, "node.connect" if up else "node.disconnect", node) as entry:
                entry.facts = {"instance": node.instance.ref, "turns": turns}

    def _note(self, node: Identity, **columns: Any) -> None:
        self._rows.setdefault(node.node_id, {}).update(columns, last_contact=timezone.now())
        self._bell.set()

    def _write(self, rows: dict[int, dict[str, Any]], refusals: dict[tuple[int, str], tuple[Refused, int]]) -> None:
        Node.note(rows)
        for (node_id, _text), (refused, seq) in refusals.items():
            if node := Node.objects.select_related("instance__region").filter(pk=node_id).first():
                with deed(self._by, "node.refuse", node) as entry:
                    entry.facts = {"instance": node.instance.ref, "type": refused.kind, "reason": str(refused), "seq": seq}
