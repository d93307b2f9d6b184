"""What nodes have, written down: joined, retried, and told to the audit log once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.db import OperationalError

from gateway.models import Node
from gateway.xds import ledger as module
from gateway.xds.auth import Identity
from gateway.xds.ledger import DatabaseLedger
from gateway.xds.refusals import Refused
from gateway.xds.worker import Worker
from secrets_app.models import AuditEntry
from tests import cast
from tests.loop import in_own_loop

pytestmark = pytest.mark.django_db(transaction=True)

REFUSED = Refused("LDS", "gateway", 13, "Another program listens on the gateway's port.")


@pytest.fixture
def node(transactional_db: None) -> Node:
    return Node.join(cast.instance(cast.deployment()), "one", "127.0.0.1", 8080, by=cast.SETUP)[0]


def at_work(scenario: Callable[[DatabaseLedger], Awaitable[None]]) -> None:
    async def run() -> None:
        worker, ledger = Worker("notes"), DatabaseLedger(cast.SETUP)
        running = asyncio.create_task(ledger.run(worker))
        try:
            await scenario(ledger)
        finally:
            running.cancel()
            worker.close()

    in_own_loop(run())


async def until(question: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not question():
            await asyncio.sleep(0.005)


def identity(node: Node) -> Identity:
    return Identity(node.pk, node.name)


def test_a_node_that_connects_takes_a_change_and_leaves_is_known_by_it(node: Node) -> None:
    async def scenario(ledger: DatabaseLedger) -> None:
        ledger.connected(identity(node), "1.40.0")
        await until(lambda: Node.objects.filter(connected=True, envoy_version="1.40.0", last_contact__isnull=False).exists())
        ledger.in_effect(identity(node), 7)
        await until(lambda: Node.objects.filter(in_effect_seq=7, in_effect_at__isnull=False, connected=True).exists())
        ledger.disconnected(identity(node))
        await until(lambda: Node.objects.filter(in_effect_seq=7, connected=False).exists())

    seen = AuditEntry.objects.latest("seq").seq
    at_work(scenario)
    told = list(AuditEntry.objects.filter(seq__gt=seen).values_list("action", "target", "facts"))
    assert told == [("node.connect", "one", {"instance": node.instance.ref, "turns": 1})], "what nodes have are status rows, never entries"


def test_coming_and_going_is_told_once_a_minute_with_how_often(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET", 0.5)

    def told() -> list[tuple[str, int]]:
        entries = AuditEntry.objects.filter(action__in=["node.connect", "node.disconnect"]).order_by("seq")
        return [(entry.action, entry.facts["turns"]) for entry in entries]

    async def scenario(ledger: DatabaseLedger) -> None:
        ledger.connected(identity(node), "1.40.0")
        await until(lambda: told() == [("node.connect", 1)])
        for _turn in range(50):
            ledger.disconnected(identity(node))
            ledger.connected(identity(node), "1.40.0")
        ledger.disconnected(identity(node))
        await until(lambda: Node.objects.filter(connected=False).exists())
        await until(lambda: told() == [("node.connect", 1), ("node.disconnect", 101)])

    at_work(scenario)


def test_notes_that_come_together_are_written_together(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[dict[int, dict[str, Any]]] = []
    monkeypatch.setattr(Node, "note", writes.append)

    async def scenario(ledger: DatabaseLedger) -> None:
        for seq in range(100):
            ledger.in_effect(identity(node), seq)
        await until(lambda: writes and writes[-1][node.pk]["in_effect_seq"] == 99)

    at_work(scenario)
    assert len(writes) == 1


def test_a_refusal_is_a_status_and_one_entry_however_often_it_comes(node: Node) -> None:
    async def scenario(ledger: DatabaseLedger) -> None:
        ledger.published(node.pk, 5)
        for _ in range(3):
            ledger.refused(identity(node), REFUSED)
            await until(lambda: Node.objects.filter(refused_seq=5, refused_reason=str(REFUSED)).exists())
            Node.objects.update(refused_seq=0)
        await until(lambda: AuditEntry.objects.filter(action="node.refuse").exists())
        ledger.in_effect(identity(node), 6)
        await until(lambda: Node.objects.filter(refused_reason="", in_effect_seq=6).exists())
        ledger.published(node.pk, 8)
        ledger.refused(identity(node), REFUSED)
        await until(lambda: AuditEntry.objects.filter(action="node.refuse").count() == 2)

    at_work(scenario)
    entries = AuditEntry.objects.filter(action="node.refuse").order_by("seq")
    assert [entry.facts["seq"] for entry in entries] == [5, 8]
    assert entries[0].facts == {"instance": node.instance.ref, "type": "LDS", "reason": str(REFUSED), "seq": 5}
    assert entries[0].target == "one"


def test_what_could_not_be_written_is_written_later_and_the_newest_wins(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    real, failures = Node.note, [1]

    def note(rows: dict[int, dict[str, Any]]) -> None:
        if failures:
            failures.pop()
            raise OperationalError("the disk is full")
        real(rows)

    async def scenario(ledger: DatabaseLedger) -> None:
        monkeypatch.setattr(module, "RETRY", 0.05)
        monkeypatch.setattr(Node, "note", note)
        ledger.connected(identity(node), "1.40.0")
        ledger.in_effect(identity(node), 1)
        await until(lambda: not failures)
        ledger.in_effect(identity(node), 2)
        await until(lambda: Node.objects.filter(in_effect_seq=2, connected=True, envoy_version="1.40.0").exists())

    at_work(scenario)


def test_a_node_that_is_gone_is_passed_over(node: Node) -> None:
    other = Node.join(node.instance, "two", "127.0.0.1", 8081, by=cast.SETUP)[0]
    gone = Identity(node.pk, "one")
    node.delete()

    async def scenario(ledger: DatabaseLedger) -> None:
        ledger.in_effect(gone, 1)
        ledger.refused(gone, REFUSED)
        ledger.in_effect(identity(other), 1)
        await until(lambda: Node.objects.filter(in_effect_seq=1).exists())

    at_work(scenario)
    assert not AuditEntry.objects.filter(action="node.refuse").exists()
