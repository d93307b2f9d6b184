"""From a deed to the cache: when it publishes, what it joins, and what stays when something is wrong. The database is real."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError
from django.utils import timezone
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.filters.http.api_key_auth.v3.api_key_auth_pb2 import ApiKeyAuth

from gateway import inventory, stocktaking
from gateway.models import Consumer, Instance, Node, Problem, Publication, Service
from gateway.names import KEY_AUTH
from gateway.snapshot import Snapshot, SnapshotRefused
from gateway.sources import BEARER, Source
from gateway.type_urls import CLUSTER, EXTENSION, LISTENER, ROUTE, SECRET
from gateway.xds import publisher as module
from gateway.xds.cache import Cache
from gateway.xds.publisher import Publisher
from gateway.xds.watch import watch
from secrets_app import keyring
from secrets_app.errors import CannotOpen
from secrets_app.models import AuditEntry, AuditHead, Key, KeyVersion, Region
from tests import cast
from tests.loop import in_own_loop
from tests.openlog import open_log

pytestmark = pytest.mark.django_db(transaction=True)


class Server:
    def __init__(self) -> None:
        self.dropped: list[int] = []

    def drop(self, node_id: int) -> None:
        self.dropped.append(node_id)


class Ledger:
    def __init__(self) -> None:
        self.seqs: list[int] = []

    def published(self, node_id: int, seq: int) -> None:
        self.seqs.append(seq)


class Desk:
    """A publisher at work, and what it handed out. Use inside of `at_work`."""

    def __init__(self) -> None:
        self.cache, self.server, self.ledger = Cache(), Server(), Ledger()
        self.watch = watch()
        self.publisher = Publisher(self.cache, self.server, self.ledger, self.watch, b"key", cast.SETUP)  # type: ignore[arg-type]

    def snapshot(self, node: Node) -> Snapshot:
        published = self.cache.get(node.pk)
        assert published
        return published.snapshot

    def keys(self, node: Node) -> set[str]:
        """What callers may show."""
        extension, auth = TypedExtensionConfig(), ApiKeyAuth()
        self.snapshot(node)[EXTENSION][KEY_AUTH].body.Unpack(extension)
        extension.typed_config.Unpack(auth)
        return {credential.key for credential in auth.credentials}

    async def until(self, question: Callable[[], Any], within: float = 10.0) -> Any:
        async with asyncio.timeout(within):
            while not (answer := question()):
                await asyncio.sleep(0.005)
        return answer

    async def until_published(self, node: Node) -> None:
        """All that was done up to now."""
        seq = AuditHead.objects.get().seq
        await self.until(lambda: (found := self.cache.get(node.pk)) and found.seq >= seq)


def at_work(scenario: Callable[[Desk], Awaitable[None]]) -> None:
    async def run() -> None:
        desk = Desk()
        try:
            await desk.publisher.first()
            running = asyncio.create_task(desk.publisher.run())
            try:
                await scenario(desk)
                assert not running.done(), running.exception()
            finally:
                running.cancel()
        finally:
            desk.publisher.close()
            await desk.watch.close()

    in_own_loop(run())


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[UUID]]:
    """The regions that are read, one entry a time."""
    loads: list[UUID] = []
    real = stocktaking.load

    def load(region: UUID, earlier: inventory.Inventory | None = None) -> inventory.Inventory:
        loads.append(region)
        return real(region, earlier)

    with monkeypatch.context() as patch:
        patch.setattr(module.stocktaking, "load", load)
        yield loads


@pytest.fixture
def region(transactional_db: None) -> Region:
    return cast.deployment()


@pytest.fixture
def instance(region: Region) -> Instance:
    return cast.instance(region, "east")


@pytest.fixture
def node(instance: Instance) -> Node:
    return Node.join(instance, "one", "127.0.0.1", 8080, by=cast.SETUP)[0]


@pytest.fixture
def service(instance: Instance) -> Service:
    return cast.service(instance, "chat", keys=[cast.key(instance.region, "provider", "sk-provider-0123456789")])


@pytest.fixture
def alice(region: Region) -> Consumer:
    return cast.consumer(region, "alice", bound_to=cast.key(region, "alice", "alice-key-0123456789"))


def test_what_is_there_already_is_published_first(node: Node, service: Service, alice: Consumer) -> None:
    async def scenario(desk: Desk) -> None:
        snapshot = desk.snapshot(node)
        assert all(snapshot[kind] for kind in (SECRET, CLUSTER, EXTENSION, LISTENER, ROUTE))
        assert desk.keys(node) == {"alice-key-0123456789"}
        published = desk.cache.get(node.pk)
        assert published
        assert published.seq == AuditHead.objects.get().seq

    at_work(scenario)


def test_a_deed_is_published_and_only_what_it_changed_differs(node: Node, service: Service, alice: Consumer) -> None:
    async def scenario(desk: Desk) -> None:
        before = desk.snapshot(node)
        Key.objects.get(name="provider").rotate(cast.value(), by=cast.SETUP)
        await desk.until_published(node)
        after = desk.snapshot(node)
        assert {kind for kind in before if before[kind] is not after[kind]} == {SECRET}
        await desk.until(lambda: Publication.objects.filter(seq=AuditHead.objects.get().seq).exists())

    at_work(scenario)


def test_an_entry_that_does_not_publish_reads_no_region(node: Node, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(desk: Desk) -> None:
        with counted(monkeypatch) as loads:
            cast.key(service.instance.region, "unused")
            cast.person("olive")
            await asyncio.sleep(0.2)
            assert loads == []

    at_work(scenario)


def test_only_the_region_that_changed_is_read(node: Node, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Region.create("west", "West", by=cast.SETUP)

    async def scenario(desk: Desk) -> None:
        with counted(monkeypatch) as loads:
            cast.consumer(other)
            await desk.until(lambda: loads)
            assert set(loads) == {other.pk}

    at_work(scenario)


def test_a_region_made_meanwhile_is_published_too(node: Node) -> None:
    async def scenario(desk: Desk) -> None:
        late = cast.instance(Region.create("late", "Late", by=cast.SETUP), "one")
        there = Node.join(late, "one", "127.0.0.1", 8081, by=cast.SETUP)[0]
        await desk.until_published(there)
        assert desk.snapshot(there)[LISTENER]

    at_work(scenario)


def test_the_first_change_goes_at_once_and_those_that_follow_closely_go_together(
    node: Node, alice: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(desk: Desk) -> None:
        with counted(monkeypatch) as loads:
            for number in range(12):
                cast.consumer(alice.region, f"c{number}")
                await asyncio.sleep(0)
            await desk.until_published(node)
            assert 1 <= len(loads) < 12

    at_work(scenario)


def overlap_ends_in(seconds: float) -> None:
    Key.objects.get(name="alice").rotate(cast.value("alice-new-0123456789"), overlap_hours=1, by=cast.SETUP)
    KeyVersion.objects.filter(stage=KeyVersion.PREVIOUS).update(accepted_until=timezone.now() + timedelta(seconds=seconds))


def test_an_overlap_ends_by_time_alone(node: Node, alice: Consumer) -> None:
    overlap_ends_in(1)

    async def scenario(desk: Desk) -> None:
        assert desk.keys(node) == {"alice-key-0123456789", "alice-new-0123456789"}
        await desk.until(lambda: desk.keys(node) == {"alice-new-0123456789"}, within=5)

    at_work(scenario)


def test_a_snapshot_that_does_not_hold_together_is_not_published(node: Node, alice: Consumer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(desk: Desk) -> None:
        good = desk.snapshot(node)
        with monkeypatch.context() as patch:
            patch.setattr(Snapshot, "check", _refuse)
            cast.consumer(alice.region, "bob")
            await desk.until(lambda: AuditEntry.objects.filter(action="snapshot.refuse").exists())
            cast.consumer(alice.region, "carol")
            await desk.until(lambda: Publication.objects.filter(refused_seq=AuditEntry.objects.get(target="carol").seq).exists())
        assert desk.snapshot(node) is good
        entries = AuditEntry.objects.filter(action="snapshot.refuse")
        assert [entry.facts["reason"] for entry in entries] == ["It does not hold together."]
        publication = Publication.objects.get()
        assert publication.refused_reason == "It does not hold together."
        assert publication.seq < publication.refused_seq
        cast.consumer(alice.region, "dave")
        await desk.until_published(node)
        assert len(desk.keys(node)) == 4
        await desk.until(lambda: Publication.objects.filter(refused_reason="").exists())

    at_work(scenario)


def test_what_is_accepted_no_more_ends_though_the_rest_cannot_be_published(node: Node, service: Service, alice: Consumer) -> None:
    bob = cast.consumer(alice.region, "bob", text="bobby-key-0123456789")
    overlap_ends_in(2)

    async def scenario(desk: Desk) -> None:
        await desk.until(lambda: len(desk.keys(node)) == 3)
        good = desk.snapshot(node)
        Service.objects.filter(pk=service.pk).update(address="not an address")
        cast.consumer(alice.region, "carol", text="carol-key-0123456789")
        await desk.until(lambda: AuditEntry.objects.filter(action="snapshot.refuse").exists())
        assert "carol-key-0123456789" not in desk.keys(node)
        await desk.until(lambda: desk.keys(node) == {"alice-new-0123456789", "bobby-key-0123456789"}, within=5)
        bob.disable(by=cast.SETUP)
        await desk.until(lambda: desk.keys(node) == {"alice-new-0123456789"}, within=5)
        assert {kind for kind in good if good[kind] is not desk.snapshot(node)[kind]} == {EXTENSION}
        assert AuditEntry.objects.filter(action="snapshot.refuse").count() == 1
        Service.objects.filter(pk=service.pk).update(address="https://api.example.com/v1")
        cast.consumer(alice.region, "dave", text="david-key-0123456789")
        await desk.until(lambda: len(desk.keys(node)) == 3)

    at_work(scenario)


def test_so_it_does_when_the_log_went_back_as_well(node: Node, service: Service, alice: Consumer) -> None:
    bob = cast.consumer(alice.region, "bob", text="bobby-key-0123456789")

    async def scenario(desk: Desk) -> None:
        await desk.until(lambda: "bobby-key-0123456789" in desk.keys(node))
        before = AuditHead.objects.get()
        cast.consumer(alice.region, "carol")
        await desk.until_published(node)
        with open_log():
            AuditEntry.objects.filter(seq__gt=before.seq)._raw_delete("default")
            AuditHead.objects.update(seq=before.seq, hash=before.hash)
            Service.objects.filter(pk=service.pk).update(address="not an address")
        await desk.until(lambda: AuditEntry.objects.filter(action="snapshot.refuse").exists())
        assert "bobby-key-0123456789" in desk.keys(node)
        bob.disable(by=cast.SETUP)
        await desk.until(lambda: "bobby-key-0123456789" not in desk.keys(node))

    at_work(scenario)


def test_a_refused_region_is_not_looked_at_without_end(
    node: Node, service: Service, alice: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlap_ends_in(1)

    async def scenario(desk: Desk) -> None:
        await desk.until(lambda: len(desk.keys(node)) == 2)
        with monkeypatch.context() as patch, counted(monkeypatch) as loads:
            patch.setattr(Snapshot, "check", _refuse)
            cast.consumer(alice.region, "bob")
            await desk.until(lambda: AuditEntry.objects.filter(action="snapshot.refuse").exists())
            await asyncio.sleep(1.5)
            assert len(loads) <= 3

    at_work(scenario)


def _refuse(snapshot: Snapshot, earlier: Snapshot | None = None) -> None:
    raise SnapshotRefused("It does not hold together.")


def test_a_region_that_cannot_be_read_harms_no_other(node: Node, service: Service, alice: Consumer) -> None:
    other = cast.instance(Region.create("west", "West", by=cast.SETUP), "one")
    there = Node.join(other, "one", "127.0.0.1", 8081, by=cast.SETUP)[0]
    Service.objects.filter(pk=service.pk).update(address="not an address")

    async def scenario(desk: Desk) -> None:
        assert desk.cache.get(node.pk) is None
        cast.consumer(other.region)
        await desk.until_published(there)
        assert len(desk.keys(there)) == 1
        await desk.until(lambda: Publication.objects.filter(region=service.instance.region).exclude(refused_reason=""))

    at_work(scenario)


def test_without_the_private_half_of_the_keyring_it_does_not_begin(node: Node) -> None:
    private = keyring.folder() / "private.json"
    kept = private.rename(private.with_suffix(".away"))
    try:
        with pytest.raises(CannotOpen):
            at_work(_nothing)
    finally:
        kept.rename(private)


async def _nothing(desk: Desk) -> None:
    pass


def test_a_value_that_cannot_be_opened_is_a_problem_of_its_holder_alone(node: Node, service: Service, alice: Consumer) -> None:
    bob = cast.consumer(alice.region, "bob", text="bobby-key-0123456789")

    async def scenario(desk: Desk) -> None:
        version = KeyVersion.objects.get(key__name="alice")
        body = bytes(version.body)
        KeyVersion.objects.filter(pk=version.pk).update(body=body[:-1] + bytes([body[-1] ^ 1]))
        cast.consumer(alice.region, "carol", text="carol-key-0123456789")
        # What was opened once is kept, so the damage shows when the control plane starts anew.
        await desk.until_published(node)
        assert len(desk.keys(node)) == 3

    async def after_restart(desk: Desk) -> None:
        assert desk.keys(node) == {"bobby-key-0123456789", "carol-key-0123456789"}
        await desk.until(lambda: Problem.objects.exists())
        (problem,) = Problem.objects.all()
        assert (problem.holder_kind, problem.holder_id, problem.path, problem.reason) == (
            "consumer",
            alice.pk,
            "credentials[0]",
            "unreadable",
        )

    at_work(scenario)
    at_work(after_restart)
    assert bob.pk


def test_problems_come_and_go_with_their_cause(node: Node, service: Service) -> None:
    async def scenario(desk: Desk) -> None:
        key = Key.objects.get(name="provider")
        key.disable(by=cast.SETUP)
        await desk.until(lambda: list(Problem.objects.values_list("holder_kind", "holder_id", "path", "reason")))
        assert list(Problem.objects.values_list("holder_kind", "holder_id", "path", "reason")) == [
            ("ai_service", service.pk, "api_keys[0]", "disabled")
        ]
        key.refresh_from_db()
        key.enable(by=cast.SETUP)
        await desk.until(lambda: not Problem.objects.exists())

    at_work(scenario)


def test_a_node_that_gets_another_token_is_dropped_and_served_again(node: Node, alice: Consumer) -> None:
    async def scenario(desk: Desk) -> None:
        Node.join(node.instance, "one", "127.0.0.1", 8080, token="forgotten", by=cast.SETUP)
        await desk.until_published(node)
        assert desk.server.dropped == [node.pk]
        assert desk.cache.get(node.pk)

    at_work(scenario)


@pytest.mark.parametrize("end", [Instance.delete, Node.remove])
def test_a_node_that_is_removed_alone_or_with_its_instance_is_dropped(node: Node, alice: Consumer, end: Callable[..., None]) -> None:
    async def scenario(desk: Desk) -> None:
        end(node if end is Node.remove else node.instance, by=cast.SETUP)
        await desk.until(lambda: desk.server.dropped == [node.pk])

    at_work(scenario)


def test_a_node_that_moves_gets_another_listener(node: Node) -> None:
    async def scenario(desk: Desk) -> None:
        before = desk.snapshot(node)
        Node.join(node.instance, "one", "127.0.0.1", 9090, by=cast.SETUP)
        await desk.until_published(node)
        after = desk.snapshot(node)
        assert {kind for kind in before if before[kind] is not after[kind]} == {LISTENER}

    at_work(scenario)


def test_a_database_that_fails_at_the_first_look_is_looked_at_again(node: Node, alice: Consumer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its connection does after a restart, while the one that listens is a new one already: nobody wakes the publisher twice."""
    real, failures = Publisher._changed_regions, [1]

    def changed(self: Publisher) -> set[UUID]:
        if failures and Consumer.objects.filter(name="bob").exists():
            failures.pop()
            raise OperationalError("terminating connection due to administrator command")
        return real(self)

    async def scenario(desk: Desk) -> None:
        monkeypatch.setattr(module, "RETRY", 0.05)
        monkeypatch.setattr(Publisher, "_changed_regions", changed)
        await desk.until(lambda: Publication.objects.exists() and not desk.publisher._unwritten)
        cast.consumer(alice.region, "bob")
        await desk.until_published(node)
        assert len(desk.keys(node)) == 2
        assert not failures

    at_work(scenario)


def test_a_database_that_lost_its_last_commits_is_followed_from_where_it_stands(node: Node, alice: Consumer) -> None:
    """A standby takes over, or a backup is restored: numbers that were seen already come again, of other entries."""

    async def scenario(desk: Desk) -> None:
        before, as_before = AuditHead.objects.get(), Consumer.objects.filter(pk=alice.pk).values().get()
        elsewhere = (Source("header", "x-team-key"),)
        alice.edit(description="", sources=elsewhere, lock_version=alice.lock_version, by=cast.SETUP)
        await desk.until_published(node)
        with open_log():
            AuditEntry.objects.filter(seq__gt=before.seq)._raw_delete("default")
            AuditHead.objects.update(seq=before.seq, hash=before.hash)
            Consumer.objects.filter(pk=alice.pk).update(**as_before)
        await desk.until(lambda: desk.watch._seq == before.seq)  # type: ignore[attr-defined]
        cast.consumer(alice.region, "carol")
        await desk.until(lambda: len(desk.keys(node)) == 2)
        stock = desk.publisher._standing[alice.region_id].stock
        assert stock
        assert {source for consumer in stock.consumers for one in consumer.credentials for source in one.sources} == {BEARER}

    at_work(scenario)


def test_a_database_that_fails_once_delays_and_loses_nothing(node: Node, alice: Consumer, monkeypatch: pytest.MonkeyPatch) -> None:
    real, failures = stocktaking.load, [1]

    def load(*arguments: Any) -> inventory.Inventory:
        if failures:
            failures.pop()
            raise OperationalError("the disk is full")
        return real(*arguments)

    async def scenario(desk: Desk) -> None:
        monkeypatch.setattr(module, "RETRY", 0.05)
        monkeypatch.setattr(module.stocktaking, "load", load)
        cast.consumer(alice.region, "bob")
        await desk.until_published(node)
        assert len(desk.keys(node)) == 2
        assert not failures

    at_work(scenario)
