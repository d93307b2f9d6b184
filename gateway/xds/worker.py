from asyncio import get_running_loop
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import DatabaseError, connection

T = TypeVar("T")


class Worker:
    """One thread with one connection to the database, for an event loop that must not wait for either.

    A connection that broke is not kept: the next piece of work opens another.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def __call__(self, work: Callable[[], T]) -> T:
        return await get_running_loop().run_in_executor(self._thread, _done_with_care, work)

    def close(self) -> None:
        """Waits for the piece under way; nobody waits for others any more. The connection goes with the thread."""
        self._thread.submit(lambda: connection.close())  # of that thread, not of this one
        self._thread.shutdown(wait=True)


def _done_with_care(work: Callable[[], T]) -> T:
    try:
        return work()
    except DatabaseError:
        connection.close()
        raise
