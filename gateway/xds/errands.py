"""What people ask of the control plane, served as soon as the audit log moves: every errand has an entry, so nothing else is watched."""

import asyncio
import logging

from django.db import DatabaseError

from gateway.xds.watch import Watch
from gateway.xds.worker import Worker
from secrets_app.actor import Actor
from secrets_app.broker import Broker
from secrets_app.errors import VaultError

log = logging.getLogger(__name__)

RETRY = 1.0
LONGEST_WAIT = 60.0  # seconds


class Errands:
    """In a thread and with a watch of its own: a region that takes long to compile keeps nobody waiting."""

    def __init__(self, watch: Watch, by: Actor) -> None:
        self._watch = watch
        self._in_thread = Worker("errands")
        self._broker = Broker(by)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._in_thread(self._broker.serve)
            except (DatabaseError, VaultError):
                log.exception("Errands could not be served; trying again.")
                await asyncio.sleep(RETRY)
            await self._watch.until_moved(LONGEST_WAIT)

    async def close(self) -> None:
        self._in_thread.close()
        await self._watch.close()
