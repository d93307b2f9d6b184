import asyncio
import logging

from django.db import DatabaseError

from gateway.xds.worker import Worker
from secrets_app.errors import VaultError
from secrets_app.notary import Notary

log = logging.getLogger(__name__)

RETRY = 10.0


async def watch_over_the_log(notary: Notary, in_thread: Worker) -> None:
    """Until cancelled. In a thread of its own: a disk that hangs under the checkpoints holds up nothing else."""
    while True:
        try:
            wait = await in_thread(notary.step)
        except (DatabaseError, VaultError):
            log.exception("The audit log could not be looked through; trying again.")
            wait = RETRY
        await asyncio.sleep(wait)
