"""One more consumer where 10,000 are authorized on 10 services: from its commit to the node's acknowledgement, and memory at that size."""

import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.stage import quantile, running_up
from tests.benchmarks.traffic import BackEnd, Callers
from tests.processes import Up, eventually

CONSUMERS, SERVICES, ROUNDS = 10_000, 10, 20


def run() -> list[tuple[str, str, str]]:
    back_end = BackEnd()
    with running_up() as up:
        from gateway.models import Instance
        from tests import cast

        instance = Instance.objects.get()
        services = [
            cast.service(instance, f"service-{n}", keys=[cast.key(instance.region)], address=f"http://127.0.0.1:{back_end.port}/v1")
            for n in range(SERVICES)
        ]
        fill(instance, services)
        caller = cast.consumer(instance.region, "caller", text="the-callers-own-value")
        services[0].authorize(["caller"], by=cast.SETUP)
        eventually(lambda: _caught_up(instance, services[0].changed_seq), within=120)
        callers = Callers(up.gateway, "/ai/service-0/models", "the-callers-own-value")
        delays = list(_publish(instance, services, caller))
        load = callers.stop()
        _visit(up)
        memory = _memory(up)
    back_end.stop()
    return [
        (
            f"commit of one new consumer to ACK, {ROUNDS} times, {CONSUMERS} on {SERVICES} services: p50",
            f"{quantile(delays, 0.5):.0f} ms",
            "",
        ),
        ("p95", f"{quantile(delays, 0.95):.0f} ms", "<= 500 ms"),
        (f"failed of {sum(load.statuses.values())} requests of others meanwhile", str(load.failed), "0"),
        ("memory: web worker (largest)", f"{memory['web']} MB", "<= 150 MB"),
        ("memory: control plane", f"{memory['control plane']} MB", "<= 250 MB"),
        ("memory: Envoy", f"{memory['envoy']} MB", "<= 120 MB"),
    ]


def fill(instance: Any, services: list[Any]) -> None:
    """The consumers with a sealed inline key each, authorized everywhere; rows as the deeds would leave them."""
    from django.db import transaction

    from gateway.models import Authorization, Consumer, Credential
    from secrets_app.models import AuditHead, Key, Reference
    from secrets_app.models.policy import Destination
    from tests import cast

    region = instance.region
    for start in range(0, CONSUMERS, 500):  # the running processes write as well, and wait 5 s at most
        with transaction.atomic():
            consumers = [
                Consumer(region=region, name=f"bulk-{n:05d}", credentials_made=1, created_by="benchmark") for n in range(start, start + 500)
            ]
            Consumer.objects.bulk_create(consumers)
            Credential.objects.bulk_create(Credential(consumer=consumer, number=0, generation="custom") for consumer in consumers)
            for consumer in consumers:
                key = Key._new_inline(region, cast.value(f"value-of-{consumer.name}-and-no-other"), cast.SETUP, to=Destination("consumer"))
                Key.objects.filter(pk=key.pk).update(reference_count=1)
                Reference.objects.create(key=key, holder_kind="consumer", holder_id=consumer.pk, path="credentials[0]", inbound=True)
            Authorization.objects.bulk_create(
                Authorization(service=service, consumer=consumer) for service in services for consumer in consumers
            )
    # As if the next deed had made them all: what is older than the last publication is not read again.
    next_seq = AuditHead.objects.get().seq + 1
    Consumer.objects.filter(region=region).update(changed_seq=next_seq)
    instance.services.update(changed_seq=next_seq)


def _publish(instance: Any, services: list[Any], caller: Any) -> Iterator[float]:
    """Milliseconds. The new consumer may call nothing yet: its credential alone has to reach the node."""
    from tests import cast

    for _ in range(ROUNDS):
        seq = cast.consumer(instance.region).changed_seq
        began = time.monotonic()
        eventually(lambda seq=seq: _caught_up(instance, seq), within=30, every=0.005)  # type: ignore[misc]
        yield 1000 * (time.monotonic() - began)


def _caught_up(instance: Any, seq: int) -> bool:
    from gateway.models import Node

    return Node.objects.filter(instance=instance, in_effect_seq__gte=seq).exists()


def _visit(up: Up) -> None:
    for path in ("/sign-in/", "/healthz") * 10:
        urllib.request.urlopen(up.console + path, timeout=10).close()


def _memory(up: Up) -> dict[str, int]:
    """Resident megabytes by process: the largest of a kind."""
    found = {"web": 0, "control plane": 0, "envoy": 0}
    for pid in up.descendants():
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        kind = (
            "envoy" if b"/_bin/envoy" in command else "control plane" if b"run_xds" in command else "web" if b"gunicorn" in command else ""
        )
        if kind:
            resident = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
            found[kind] = max(found[kind], int(resident.split()[1]) // 1024)
    return found
