"""Callers that call steadily while something is done to the gateway."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Load:
    """`outcomes` counts statuses, and names of exceptions where there was no answer."""

    outcomes: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def calls(self) -> int:
        return self.outcomes.total()


@contextmanager
def calling(url: str, path: str, key: str, *, each_second: int = 200, callers: int = 4) -> Iterator[Load]:
    """Calls until the block ends. Leaves at least one call of every caller after it."""
    load = Load()
    threads = [threading.Thread(target=_call, args=(load, url, path, key, callers / each_second)) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop.set()
        for thread in threads:
            thread.join(30)


def _call(load: Load, url: str, path: str, key: str, pause: float) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    last = False
    while not last:
        last = load.stop.is_set()
        began = time.monotonic()
        try:
            connection.request("GET", path, headers={"authorization": f"Bearer {key}"})
            answer = connection.getresponse()
            answer.read()
            load.outcomes[str(answer.status)] += 1
        except (OSError, http.client.HTTPException) as broken:
            load.outcomes[type(broken).__name__] += 1
            connection.close()
        load.stop.wait(max(0.0, pause - (time.monotonic() - began)))
    connection.close()
