"""The control plane: follows the audit log, opens values, and serves nodes over one ADS stream each."""

import asyncio
import contextlib
import logging
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from gateway.models import ControlPlane as Heartbeat
from gateway.models import Node
from gateway.xds.auth import Identity
from gateway.xds.cache import Cache
from gateway.xds.errands import Errands
from gateway.xds.ledger import DatabaseLedger
from gateway.xds.notary import watch_over_the_log
from gateway.xds.publisher import Publisher
from gateway.xds.server import ControlPlane
from gateway.xds.watch import watch
from gateway.xds.worker import Worker
from secrets_app import keyring
from secrets_app.actor import Actor
from secrets_app.checkpoints import Sink
from secrets_app.errors import VaultError
from secrets_app.hardening import keep_memory_private
from secrets_app.notary import Notary

log = logging.getLogger(__name__)

BEAT = 5.0  # seconds


class Command(BaseCommand):
    help = "Run the control plane. It needs the private half of the keyring."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="a loopback address: nodes show their tokens on this connection")
        parser.add_argument("--port", type=int, default=settings.XDS_PORT)

    def handle(self, *args: Any, **options: Any) -> None:
        keep_memory_private()
        try:
            asyncio.run(serve(options["host"], options["port"]))
        except VaultError as refused:
            raise CommandError(refused.message) from None
        except (OSError, ValueError) as refused:
            raise CommandError(str(refused)) from None


async def serve(host: str, port: int) -> None:
    """Until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    in_notes, in_watch = Worker("notes"), Worker("notary")
    by = Actor.system("control-plane")
    cache, ledger, head = Cache(), DatabaseLedger(by), watch()
    server = ControlPlane(cache, KnownNodes(in_notes), ledger)
    publisher = Publisher(cache, server, ledger, head, keyring.derived(b"xds versions"), by)
    errands = Errands(watch(), by)
    notary = Notary(Sink(settings.AUDIT_SINK), by)

    try:
        await in_notes(Heartbeat.rest)
        await publisher.first()
        await server.start(host, port)
        await in_notes(lambda: Heartbeat.beat(started=True))
        watching = watch_over_the_log(notary, in_watch)
        works = (publisher.run(), ledger.run(in_notes), errands.run(), watching, _beat(in_notes), ended.wait())
        tasks = [asyncio.create_task(work) for work in works]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()
    finally:
        await server.stop()
        publisher.close()
        await errands.close()
        with contextlib.suppress(DatabaseError):  # then silence will tell the console
            await in_notes(Heartbeat.rest)
        in_notes.close()
        in_watch.close()
        await head.close()


class KnownNodes:
    """Nodes by token, out of the database."""

    def __init__(self, in_thread: Worker) -> None:
        self._in_thread = in_thread

    async def identify(self, token: str) -> Identity | None:
        node = await self._in_thread(lambda: Node.by_token(token))
        return Identity(node.pk, node.name) if node else None


async def _beat(in_thread: Worker) -> None:
    while True:
        await asyncio.sleep(BEAT)
        try:
            await in_thread(Heartbeat.beat)
        except DatabaseError:
            log.warning("The heartbeat could not be written. Gateways are served all the same.")
