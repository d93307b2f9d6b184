"""From typing `manage.py up` to the first 200 through the gateway: on a new data folder, and the second time."""

import re
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.processes import Up, eventually, free_port


def run() -> list[tuple[str, str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        data, ports = Path(folder) / "data", (free_port(), free_port(), free_port())
        return [
            ("`up` on a new data folder to the first 200 through the gateway", f"{_start(data, ports):.1f} s", "<= 12 s"),
            ("the second start", f"{_start(data, ports):.1f} s", "<= 5 s"),
        ]


def _start(data: Path, ports: tuple[int, int, int]) -> float:
    """The demo gives the gateway something to answer with, and its curl line the caller's key."""
    began = time.monotonic()
    running = Up(data, "--demo", ports=ports)
    try:
        key = eventually(lambda: re.search(r"Bearer (lk_\w+)", running.output), within=90)
        assert key
        request = urllib.request.Request(
            f"http://127.0.0.1:{running.gateway}/ai/chat/chat/completions",
            data=b'{"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}',
            headers={"Authorization": f"Bearer {key[1]}", "Content-Type": "application/json"},
        )
        eventually(lambda: _answers(request), within=60)
        return time.monotonic() - began
    finally:
        running.stop()


def _answers(request: urllib.request.Request) -> bool:
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False
