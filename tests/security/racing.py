"""Several people at once, and what became of it."""

import threading
from collections import Counter
from collections.abc import Callable

from django.db import connections

from secrets_app.errors import VaultError
from secrets_app.models import AuditEntry, AuditHead


def at_once(*acts: Callable[[], object]) -> list[object]:
    """All begin together, each on a connection of its own. What each returned, or the VaultError that refused it; anything else fails."""
    ready, results = threading.Barrier(len(acts)), [None] * len(acts)
    failures: list[BaseException] = []

    def run(place: int, act: Callable[[], object]) -> None:
        try:
            ready.wait(10)
            results[place] = act()
        except VaultError as refused:
            results[place] = refused
        except BaseException as failure:
            failures.append(failure)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    if failures:
        raise BaseExceptionGroup("neither done nor refused", failures)
    return results


def kinds(results: list[object]) -> Counter[str]:
    return Counter(type(result).__name__ for result in results if isinstance(result, VaultError))


def whole_log() -> None:
    verdict = AuditEntry.verify()
    assert (verdict.bad, verdict.entries) == (None, AuditHead.objects.get().seq)
