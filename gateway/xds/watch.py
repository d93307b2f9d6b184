"""Notices that the audit log has grown, on a connection of its own that holds nothing up.

SQLite: PRAGMA data_version costs 6 us and changes with any other connection's commit; only then is the head row read (an ORM query
would cost 0.3 ms each time). PostgreSQL: the head row itself.
"""

import asyncio
import sqlite3
from typing import Protocol

from django.db import connection

SQLITE_POLL = 0.01  # seconds
POSTGRES_POLL = 0.05
_HEAD = "SELECT seq FROM secrets_app_audithead WHERE id = 1"


class Watch(Protocol):
    def moved(self) -> bool:
        """Whether the head is another one than at the last call. Costs microseconds; called on the event loop."""
        ...

    def close(self) -> None: ...

    poll: float


def watch() -> Watch:
    """On the database of the settings."""
    if connection.vendor == "sqlite":
        return SqliteWatch(str(connection.settings_dict["NAME"]))
    return PostgresWatch()


async def until_moved(watch: Watch, timeout: float) -> bool:
    """True as soon as the head has moved, False after `timeout` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while not watch.moved():
        if (left := deadline - loop.time()) <= 0:
            return False
        await asyncio.sleep(min(watch.poll, left))
    return True


class SqliteWatch:
    poll = SQLITE_POLL

    def __init__(self, path: str) -> None:
        # Autocommit: no transaction stays open, so the log of SQLite can be folded back behind us.
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
        self._data_version = -1
        self._seq = -1

    def moved(self) -> bool:
        (data_version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if data_version == self._data_version:
            return False
        self._data_version = data_version
        row = self._connection.execute(_HEAD).fetchone()
        seq = row[0] if row else 0
        before, self._seq = self._seq, seq
        return bool(seq != before)

    def close(self) -> None:
        self._connection.close()


class PostgresWatch:
    poll = POSTGRES_POLL

    def __init__(self) -> None:
        self._connection = connection.get_new_connection(connection.get_connection_params())
        self._connection.autocommit = True
        self._seq = -1

    def moved(self) -> bool:
        row = self._connection.execute(_HEAD).fetchone()
        seq = row[0] if row else 0
        before, self._seq = self._seq, seq
        return bool(seq != before)

    def close(self) -> None:
        self._connection.close()
