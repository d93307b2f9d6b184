"""PostgreSQL says that the audit log has grown: each entry's transaction carries a NOTIFY (secrets_app/db.py), and here is who listens.

What is lost with a broken connection is found by looking at the head after each new one. A look now and then finds what a pooler in
between did not let through, and proves that the connection is still one.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from psycopg import AsyncConnection, OperationalError

from secrets_app.db import CHANNEL, HEAD

log = logging.getLogger(__name__)

LOOK = 5.0  # seconds between two looks at the head while nobody says anything
PATIENCE = 5.0  # seconds until a server that does not answer is taken for gone
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # seconds between two attempts to come back


class PostgresWatch:
    """`parameters` are those of Django's own connection; what is Django's in them is left out."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        left_out = {"cursor_factory", "context"}
        self._parameters = {"connect_timeout": PATIENCE} | {name: value for name, value in parameters.items() if name not in left_out}
        self._connection: AsyncConnection[tuple[Any, ...]] | None = None
        self._seq = -1
        self._pause = FIRST_PAUSE

    async def until_moved(self, timeout: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            try:
                if await self._moved():
                    return True
                if (left := deadline - loop.time()) <= 0:
                    return False
                await self._told(min(LOOK, left))
            except (OperationalError, TimeoutError):
                await self._rest(deadline - loop.time())
                if loop.time() >= deadline:
                    return False

    def forget(self) -> None:
        self._seq = -1

    async def close(self) -> None:
        if self._connection:
            await self._connection.close()
        self._connection, self._seq = None, -1  # whoever answers next may know less than the one before

    async def _moved(self) -> bool:
        async with asyncio.timeout(PATIENCE):
            listening = await self._listening()
            row = await (await listening.execute(HEAD)).fetchone()
        before, self._seq = self._seq, row[0] if row else 0
        return bool(self._seq != before)

    async def _listening(self) -> AsyncConnection[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = await AsyncConnection.connect(**self._parameters, autocommit=True)
            await self._connection.execute(f"LISTEN {CHANNEL}")
            if self._pause != FIRST_PAUSE:
                log.warning("The database answers the control plane again.")
            self._pause = FIRST_PAUSE
        return self._connection

    async def _told(self, timeout: float) -> None:
        assert self._connection
        async for _notice in self._connection.notifies(timeout=timeout, stop_after=1):
            pass

    async def _rest(self, at_most: float) -> None:
        if self._pause == FIRST_PAUSE:
            log.warning("The database does not answer the control plane; trying again. Gateways keep what they have.")
        await self.close()
        await asyncio.sleep(max(0.0, min(self._pause, at_most)))
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
