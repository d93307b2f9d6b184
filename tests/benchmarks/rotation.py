"""From the commit of a rotation to the first request that reaches the back end with the new value, under 200 requests a second."""

import time

from tests.benchmarks.stage import quantile, running_up
from tests.benchmarks.traffic import BackEnd, Callers
from tests.processes import eventually

ROTATIONS = 50


def run() -> list[tuple[str, str, str]]:
    back_end = BackEnd()
    with running_up() as up:
        from gateway.models import Instance
        from secrets_app.models import Key
        from tests import cast

        instance = Instance.objects.get()
        key = cast.key(instance.region, "supplier", "value-000-of-the-supplier")
        service = cast.service(instance, "chat", keys=[key], address=f"http://127.0.0.1:{back_end.port}/v1")
        cast.consumer(instance.region, "caller", text="the-callers-own-value")
        service.authorize(["caller"], by=cast.SETUP)
        eventually(lambda: _node_caught_up(instance), within=20)
        callers = Callers(up.gateway, "/ai/chat/models", "the-callers-own-value")
        committed: dict[str, float] = {}
        for number in range(1, ROTATIONS + 1):
            text = f"value-{number:03d}-of-the-supplier"
            Key.objects.get(pk=key.pk).rotate(cast.value(text), by=cast.SETUP)
            committed[f"Bearer {text}"] = time.time()
            time.sleep(0.2)  # part of what is measured: single rotations under load, not a burst of them
        load, seen = callers.stop(), back_end.first_seen()
    back_end.stop()
    delays = [1000 * (seen[value] - at) for value, at in committed.items() if value in seen]
    return [
        (f"{len(delays)} of {ROTATIONS} rotations under 200 rps: p50", f"{quantile(delays, 0.5):.0f} ms", "<= 50 ms"),
        ("p99", f"{quantile(delays, 0.99):.0f} ms", "<= 200 ms"),
        (f"failed of {sum(load.statuses.values())} requests", str(load.failed), "0"),
    ]


def _node_caught_up(instance: object) -> bool:
    from gateway.models import Node
    from secrets_app.models import AuditHead

    node = Node.objects.filter(instance=instance).first()
    return node is not None and node.in_effect_seq >= AuditHead.objects.get().seq
