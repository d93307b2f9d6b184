"""Notices that the audit log has grown, on a connection of its own that holds nothing up.

SQLite: PRAGMA data_version costs 6 us and changes with any other connection's commit; only then is the head row read (an ORM query
would cost 0.3 ms each time). PostgreSQL tells by itself (gateway/xds/listen.py).
"""

import asyncio
import sqlite3
from typing import Protocol

from django.db import connection

from secrets_app.db import HEAD

POLL = 0.01  # seconds


class Watch(Protocol):
    async def until_moved(self, timeout: float) -> bool:
        """True as soon as the head is another one than at the last call, and at the first call; False after `timeout` seconds."""
        ...

    def forget(self) -> None:
        """What it told was not heard: the next call says so again, as soon as the database answers."""
        ...

    async def close(self) -> None: ...


def watch() -> Watch:
    """On the database of the settings."""
    if connection.vendor == "sqlite":
        return SqliteWatch(str(connection.settings_dict["NAME"]))
    from gateway.xds.listen import PostgresWatch  # its driver is an extra, which is not there where SQLite is all there is

    return PostgresWatch(connection.get_connection_params())


class SqliteWatch:
    def __init__(self, path: str) -> None:
        # Autocommit: no transaction stays open, so the log of SQLite can be folded back behind us.
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
        self._data_version = -1
        self._seq = -1

    async def until_moved(self, timeout: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not self._moved():
            if (left := deadline - loop.time()) <= 0:
                return False
            await asyncio.sleep(min(POLL, left))
        return True

    def forget(self) -> None:
        self._data_version = self._seq = -1

    async def close(self) -> None:
        self._connection.close()

    def _moved(self) -> bool:
        (data_version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if data_version == self._data_version:
            return False
        self._data_version = data_version
        row = self._connection.execute(HEAD).fetchone()
        before, self._seq = self._seq, row[0] if row else 0
        return bool(self._seq != before)
