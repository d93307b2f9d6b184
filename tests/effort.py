"""What a piece of work costs. What else the machine does meanwhile does not count, nor the garbage of the tests before it."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def effort(work: Callable[[], object]) -> float:
    """In seconds of a processor."""
    with _alone():
        began = time.process_time()
        work()
        return time.process_time() - began


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Of a processor: far from what is usual, and near to what an attacker would call a success."""
    with _alone():
        began = time.process_time()
        yield
        took = time.process_time() - began
    assert took < seconds, f"{took:.2f} s"


@contextmanager
def _alone() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
