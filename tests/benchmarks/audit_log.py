"""Checking the audit log: how many entries a second the command walks through."""

import os
import resource
import subprocess
import sys
import tempfile
import time

from tests.benchmarks.many_keys import Row
from tests.processes import ROOT

ENTRIES = 200_000
ROUNDS = 3
_FILL = f"import django; django.setup(); from tests import long_log; long_log.write({ENTRIES})"


def run() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="latchkey-log-") as folder:
        env = os.environ | {"CONSOLE_DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "console.settings", "PYTHONPATH": str(ROOT)}
        _run(env, "manage.py", "migrate", "--verbosity", "0")
        _run(env, "-c", _FILL)
        taken = [_run(env, "manage.py", "verify_audit_log", "--no-entry") for _round in range(ROUNDS)]
    wall, cpu = min(wall for wall, _cpu in taken), min(cpu for _wall, cpu in taken)
    said = f"{ENTRIES / wall:,.0f} entries a second, the start of the process included; {ENTRIES / cpu:,.0f} a second of the processor's"
    return [(f"verify_audit_log, {ENTRIES:,} entries", said, "50,000 a second")]


def _run(env: dict[str, str], *words: str) -> tuple[float, float]:
    """Seconds by the clock, and of the processor's time: others may be using it too."""
    before, began = _used(), time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began, _used() - before


def _used() -> float:
    of_children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return of_children.ru_utime + of_children.ru_stime
