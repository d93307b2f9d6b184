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
        """Waits for the piece under way; what has not begun is given up."""
        self._thread.shutdown(wait=True, cancel_futures=True)


def _done_with_care(work: Callable[[], T]) -> T:
    try:
        return work()
    except DatabaseError:
        connection.close()
        raise
