"""A data folder with 100,000 keys and 1,000,000 references, built once and kept; and a process of its own to measure on it.

That process has settings of its own, because a Django admin of the same rows is measured beside the console.
"""

import hashlib
import importlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.benchmarks.stage import quantile
from tests.processes import ROOT

KEYS, REFERENCES, SERVICES, CONSUMERS, NODES = 100_000, 1_000_000, 20_000, 5_000, 3
ROUNDS = 60
WORDS = [
    "openai",
    "anthropic",
    "qwen",
    "gemini",
    "azure",
    "groq",
    "partner",
    "mobile",
    "batch",
    "eval",
    "prod",
    "staging",
    "billing",
    "agent",
]

Row = tuple[str, str, str]


def apart(part: str) -> list[Row]:
    """What `measure()` of that part answers, in a process of its own on the folder of many keys."""
    env = os.environ | {
        "CONSOLE_DATA_DIR": str(_folder()),
        "DJANGO_SETTINGS_MODULE": "tests.benchmarks.admin_settings",
        "CONSOLE_SECRET_KEY": "for benchmarks only, " * 3,
    }
    env.pop("DATABASE_URL", None)
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.many_keys", part], cwd=ROOT, env=env, stdout=subprocess.PIPE, check=True)
    return [(figure, measured, reach) for figure, measured, reach in json.loads(done.stdout.splitlines()[-1])]


def figures(name: str, ask: Callable[[], Any], reach: str = "", *, rounds: int = ROUNDS) -> Row:
    """p50 and p95 of the milliseconds between asking and having the whole answer, and how many queries it took."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    for _warm_up in range(3):
        ask()
    with CaptureQueriesContext(connection) as asked:
        ask()
    queries = len(asked)  # now: the next request resets the log
    taken = []
    for _round in range(rounds):
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1000)
    said = f"p50 {statistics.median(taken):.1f} ms, p95 {quantile(taken, 0.95):.1f} ms, {queries} queries"
    return (name, said, reach)


def _folder() -> Path:
    """One for each shape of the tables: a change of a migration builds another."""
    shape = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(ROOT.glob("*/migrations/0*.py"))))
    folder = Path(tempfile.gettempdir()) / f"latchkey-many-keys-{shape.hexdigest()[:12]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _build() -> None:
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    database = Path(connection.settings_dict["NAME"])
    ready = Path(settings.DATA_DIR) / "ready"
    if ready.exists():
        return
    for file in (database, *database.parent.glob(f"{database.name}-*")):
        file.unlink(missing_ok=True)
    shutil.rmtree(Path(settings.DATA_DIR) / "kms", ignore_errors=True)
    call_command("migrate", verbosity=0)
    call_command("createcachetable", verbosity=0)
    _fill()
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ready.touch()


def _fill() -> None:
    from django.utils import timezone

    from gateway.models import Consumer, ControlPlane, Credential, Node, Service
    from secrets_app.models import AuditHead, Key, KeyVersion, MasterKey, Reference
    from secrets_app.models.finding import search_text_of
    from tests import cast

    chance, now = random.Random(7), timezone.now()
    region, master_key = cast.deployment(), MasterKey.objects.get()
    cast.person("alice")
    instances = [cast.instance(region, f"gateway-{number}") for number in range(10)]
    counts = _shares(chance)
    # A caller presents every twentieth of the referenced keys; services send them all.
    called = [number for number in range(KEYS) if counts[number]][:: KEYS // CONSUMERS // 2][:CONSUMERS]

    def key(number: int) -> Key:
        name = f"{chance.choice(WORDS)}_{chance.choice(WORDS)}_{number:06d}"
        text = " ".join(chance.choice(WORDS) for _ in range(chance.randint(3, 12))).capitalize()
        rotated = now - timedelta(seconds=chance.randint(0, 30_000_000))
        return Key(
            region=region, name=name, name_folded=name, description=text, search_text=search_text_of(name, text), master_key=master_key,
            enabled=chance.random() > 0.03, version=1, reference_count=counts[number] + (number in presented),
            created_by="kim", created_at=rotated, rotated_by=chance.choice(("kim", "alice")), rotated_at=rotated,
        )  # fmt: skip

    presented = set(called)
    keys = [key(number) for number in range(KEYS)]
    _insert(Key, keys)
    _insert(
        KeyVersion,
        (
            KeyVersion(
                key=key, number=1, body=os.urandom(93), wrapped=os.urandom(81), kek_id=master_key.kek_id, fingerprint=os.urandom(16),
                header_safe=True, long_enough=True, created_at=key.created_at, created_by="kim",
            )
            for key in keys
        ),
    )  # fmt: skip
    _insert(
        Service,
        (
            Service(
                pk=number + 1, instance=instances[number % 10], name=f"service-{number:05d}", kind="ai", supplier="custom",
                protocol="OpenAI/v1", address="https://api.example.com/v1", generation="reference", created_by="kim",
            )
            for number in range(SERVICES)
        ),
    )  # fmt: skip
    _insert(
        Consumer,
        (
            Consumer(pk=number + 1, region=region, name=f"consumer-{number:05d}", credentials_made=1, created_by="kim")
            for number in range(len(called))
        ),
    )
    _insert(Credential, (Credential(consumer_id=number + 1, number=0, generation="reference") for number in range(len(called))))

    def references() -> Iterable[Reference]:
        for number, holder in enumerate(called):
            yield Reference(
                key=keys[holder], holder_kind="consumer", holder_id=number + 1, path="credentials[0]", inbound=True, created_at=now
            )
        for number, count in enumerate(counts):
            for use in range(count):
                place = f"api_keys[{number % 20}]"
                yield Reference(key=keys[number], holder_kind="ai_service", holder_id=use + 1, path=place, inbound=False, created_at=now)

    _insert(Reference, references())
    for number in range(NODES):
        Node.join(instances[0], f"node-{number}", "127.0.0.1", 9000 + number, by=cast.SETUP)
    Node.objects.update(connected=True, in_effect_seq=AuditHead.objects.get().seq)
    ControlPlane.beat(started=True)


def _shares(chance: random.Random) -> list[int]:
    """How many services refer to each key: three in ten to none, the others unevenly, the busiest to 20,000."""
    weights = [0.0 if chance.random() < 0.3 else chance.paretovariate(1.1) for _ in range(KEYS)]
    whole, wanted = sum(weights), REFERENCES - CONSUMERS
    counts = [max(1, min(SERVICES, int(weight / whole * wanted))) if weight else 0 for weight in weights]
    used = [number for number, count in enumerate(counts) if count]
    while (missing := wanted - sum(counts)) > 0:
        for number in chance.sample(used, min(missing, len(used))):
            counts[number] += counts[number] < SERVICES
    return counts


def _insert(model: Any, rows: Iterable[Any]) -> None:
    """Past the ORM's own bulk_create, which needs minutes for so many."""
    from django.db import connection, transaction

    from secrets_app.models import Reference

    fields: Sequence[Any] = [field for field in model._meta.concrete_fields if model is not Reference or not field.primary_key]
    columns = ", ".join(f'"{field.column}"' for field in fields)
    marks = ", ".join(["%s"] * len(fields))
    values = ([field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields] for row in rows)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(f'INSERT INTO "{model._meta.db_table}" ({columns}) VALUES ({marks})', values)  # noqa: S608


if __name__ == "__main__":
    import django

    django.setup()
    _build()
    print(json.dumps(importlib.import_module(f"tests.benchmarks.{sys.argv[1]}").measure()))
