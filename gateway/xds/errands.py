"""What people ask of the control plane, served as soon as the audit log moves: every errand has an entry, so nothing else is watched."""

import asyncio
import logging
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import DatabaseError, connection

from gateway.xds.trials import Trials
from gateway.xds.watch import Watch
from gateway.xds.worker import Worker
from secrets_app.actor import Actor
from secrets_app.broker import Broker
from secrets_app.errors import VaultError
from secrets_app.models import AuditEntry, Errand

log = logging.getLogger(__name__)

RETRY = 1.0
LONGEST_WAIT = 60.0  # seconds
CALLS = 4  # of back ends, at once


class Errands:
    """In a thread and with a watch of its own: a region that takes long to compile keeps nobody waiting."""

    def __init__(self, watch: Watch, by: Actor) -> None:
        self._watch = watch
        self._in_thread = Worker("errands")
        self._calls = ThreadPoolExecutor(CALLS, thread_name_prefix="calls")
        self._trials = Trials(by)
        self._broker = Broker(by, self._call)

    async def run(self) -> None:
        """Until cancelled."""
        pause = RETRY
        while True:
            try:
                await self._in_thread(self._broker.serve)
                pause = RETRY
            except (DatabaseError, VaultError):
                log.exception("Errands could not be served; trying again.")
                self._watch.forget()
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_WAIT)
            await self._watch.until_moved(LONGEST_WAIT)

    async def close(self) -> None:
        self._in_thread.close()
        self._calls.shutdown(wait=False, cancel_futures=True)
        await self._watch.close()

    def _call(self, broker: Broker, errand: Errand, entry: AuditEntry) -> None:
        """A back end may take its time: beside the thread that reveals."""
        self._calls.submit(self._called, broker, errand, entry).add_done_callback(_tell)

    def _called(self, broker: Broker, errand: Errand, entry: AuditEntry) -> None:
        try:
            self._trials(broker, errand, entry)
        finally:
            connection.close()


def _tell(done: "Future[None]") -> None:
    if not done.cancelled() and (failed := done.exception()):
        log.error("A connection could not be tested.", exc_info=failed)
