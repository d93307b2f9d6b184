"""Real processes for tests: `manage.py up` on a data folder and ports of its own, and waiting without sleeping blindly."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit

from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(look: Callable[[], T], *, within: float = 20.0, every: float = 0.02) -> T:
    """The first truthy answer; AssertionError with the last one when the time is up."""
    deadline = time.monotonic() + within
    while not (answer := look()):
        assert time.monotonic() < deadline, f"still {answer!r} after {within} s"
        time.sleep(every)  # other processes tell us nothing: we can only look again
    return answer


def clean_environment() -> dict[str, str]:
    """Without what would configure the product."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("CONSOLE_", "DATABASE_URL", "DJANGO_"))}


class Up:
    """A running `manage.py up`. `output` is what it printed so far."""

    def __init__(self, data_dir: Path, *options: str, env: dict[str, str] | None = None, ports: tuple[int, int, int] | None = None) -> None:
        self.data_dir = data_dir
        self.web, self.gateway, self.xds = ports or (free_port(), free_port(), free_port())
        self.log = data_dir.parent / f"{data_dir.name}.up.log"
        # fmt: off
        command = [
            sys.executable, "manage.py", "up", "--data-dir", str(data_dir), "--web-port", str(self.web),
            "--gateway-port", str(self.gateway), "--xds-port", str(self.xds), *options,
        ]
        # fmt: on
        self.env = clean_environment() | (env or {})
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(command, cwd=ROOT, env=self.env, stdout=out, stderr=subprocess.STDOUT)

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait_until_announced(self, within: float = 90.0) -> "Up":
        def announced() -> bool:
            assert self.process.poll() is None, f"up ended: {self.output}"
            return "Ctrl-C stops everything" in self.output

        eventually(announced, within=within)
        return self

    @property
    def password(self) -> str:
        found = re.search(r"Sign in as admin / (\S+)", self.output)
        assert found, self.output
        return found[1]

    @property
    def console(self) -> str:
        return f"http://localhost:{self.web}"

    def descendants(self) -> set[int]:
        return descendants(self.process.pid)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def on_this_database() -> dict[str, str]:
    """The environment of a process that works on the database of these tests, with their keyring and their sessions."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        url = f"sqlite:///{quote(name)}"
    else:
        url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    return os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "console.settings"}


@contextmanager
def up(data_dir: Path, *options: str, env: dict[str, str] | None = None) -> Iterator[Up]:
    running = Up(data_dir, *options, env=env)
    try:
        yield running.wait_until_announced()
    finally:
        running.stop()


def descendants(pid: int) -> set[int]:
    """Process ids below this one, as Linux tells them."""
    below: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            below |= {int(child)} | descendants(int(child))
    return below


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
