"""An event loop for a test, whatever the thread of the tests has running: Playwright leaves one there."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor

from django.db import connections


def in_own_loop(scenario: Coroutine[None, None, None]) -> None:
    """Runs it to its end on a thread of its own; what it raises is raised here."""
    with ThreadPoolExecutor(1, thread_name_prefix="scenario") as thread:
        thread.submit(_run, scenario).result()


def _run(scenario: Coroutine[None, None, None]) -> None:
    try:
        asyncio.run(_and_close(scenario))
    finally:
        connections.close_all()


async def _and_close(scenario: Coroutine[None, None, None]) -> None:
    """Inside of a loop connections are a task's own: from outside nobody could close them."""
    try:
        await scenario
    finally:
        connections.close_all()
