"""PostgreSQL wakes the control plane: when a change is committed, after a restart, and also through what does not let notices pass."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
from psycopg import Connection, connect
from psycopg.conninfo import conninfo_to_dict

from gateway.xds import listen
from gateway.xds.listen import PostgresWatch
from secrets_app.db import CHANNEL
from tests.cluster import Cluster
from tests.loop import in_own_loop


@pytest.fixture
def database(cluster: Cluster) -> Iterator[str]:
    """Its address. It has a head row and nothing else."""
    cluster.execute("CREATE DATABASE watched")
    cluster.execute("CREATE TABLE secrets_app_audithead (id int, seq bigint)", "watched")
    cluster.execute("INSERT INTO secrets_app_audithead VALUES (1, 0)", "watched")
    yield cluster.url("watched")
    cluster.execute("DROP DATABASE watched WITH (FORCE)")


Scenario = Callable[[PostgresWatch, Connection], Awaitable[None]]


def watching(database: str, scenario: Scenario) -> None:
    """With a watch that has seen where the log stands, and a connection that writes."""

    async def run() -> None:
        watch = PostgresWatch(conninfo_to_dict(database))
        try:
            assert await watch.until_moved(10)
            with connect(database, autocommit=True) as writer:
                await scenario(watch, writer)
        finally:
            await watch.close()

    in_own_loop(run())


def write(writer: Connection) -> None:
    """As the writing of an entry does."""
    writer.execute("UPDATE secrets_app_audithead SET seq = seq + 1")
    writer.execute(f"NOTIFY {CHANNEL}")


def looks(cluster: Cluster) -> int:
    """Statements that the watch has sent since its server started, more or less."""
    (row,) = cluster.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = 'watched'")
    return int(str(row[0]))


def test_it_wakes_at_the_commit_and_not_before(database: str) -> None:
    async def scenario(watch: PostgresWatch, writer: Connection) -> None:
        waiting = asyncio.create_task(watch.until_moved(10))
        with writer.transaction():
            write(writer)
            await asyncio.sleep(0.1)
            assert not waiting.done()
        committed = time.monotonic()
        assert await waiting
        assert time.monotonic() - committed < listen.LOOK / 2  # by notice, not by the next look

    watching(database, scenario)


def test_what_is_rolled_back_and_what_moves_nothing_wakes_nobody(database: str) -> None:
    async def scenario(watch: PostgresWatch, writer: Connection) -> None:
        with writer.transaction(force_rollback=True):
            write(writer)
        writer.execute(f"NOTIFY {CHANNEL}")
        writer.execute("NOTIFY another_channel")
        assert not await watch.until_moved(0.3)

    watching(database, scenario)


def test_what_came_while_it_was_not_waited_for_is_not_lost(database: str) -> None:
    async def scenario(watch: PostgresWatch, writer: Connection) -> None:
        for _ in range(3):
            write(writer)
        assert await watch.until_moved(10)
        assert not await watch.until_moved(0.1)

    watching(database, scenario)


def test_a_server_that_restarts_is_found_again_with_what_changed_meanwhile(
    database: str, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(watch: PostgresWatch, writer: Connection) -> None:
        write(writer)
        cluster.stop()
        waiting = asyncio.create_task(watch.until_moved(30))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        await asyncio.to_thread(cluster.start)
        assert await waiting
        with connect(database, autocommit=True) as again:
            write(again)
        began = time.monotonic()
        assert await watch.until_moved(10)
        assert time.monotonic() - began < listen.LOOK / 2

    watching(database, scenario)
    told = [record.message for record in caplog.records if record.name == listen.__name__]
    assert told == [
        "The database does not answer the control plane; trying again. Gateways keep what they have.",
        "The database answers the control plane again.",
    ]


def test_while_the_server_is_away_an_end_of_time_is_still_one(database: str, cluster: Cluster) -> None:
    """Of an overlap: whoever waits is woken by the clock, too."""

    async def scenario(watch: PostgresWatch, writer: Connection) -> None:
        cluster.stop()
        began = time.monotonic()
        assert not await watch.until_moved(0.5)
        assert 0.4 < time.monotonic() - began < 2
        await asyncio.to_thread(cluster.start)
        assert await watch.until_moved(10)  # who answers again may know less
        assert not await watch.until_moved(0.5)

    watching(database, scenario)


def test_a_session_that_is_ended_is_opened_again(database: str, cluster: Cluster) -> None:
    async def scenario(watch: PostgresWatch, writer: Connection) -> None:
        cluster.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'watched'")
        waiting = asyncio.create_task(watch.until_moved(10))
        await asyncio.sleep(0.3)
        with connect(database, autocommit=True) as again:
            write(again)
        assert await waiting

    watching(database, scenario)


def test_without_notices_the_next_look_finds_the_change(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a pooler that gives each statement to another session."""
    monkeypatch.setattr(listen, "LOOK", 0.2)

    async def scenario(watch: PostgresWatch, writer: Connection) -> None:
        waiting = asyncio.create_task(watch.until_moved(10))
        await asyncio.sleep(0.05)
        writer.execute("UPDATE secrets_app_audithead SET seq = seq + 1")
        assert await waiting

    watching(database, scenario)


def test_at_rest_it_asks_next_to_nothing(database: str, cluster: Cluster) -> None:
    async def scenario(watch: PostgresWatch, writer: Connection) -> None:
        before = looks(cluster)
        assert not await watch.until_moved(2)
        assert looks(cluster) - before < 6  # of which looking here is one or two

    watching(database, scenario)
