"""Keeps the processes of one machine running: starts them side by side, restarts one that dies and says so, and takes all down at the end.

Children die with their parent even when it is killed with -9: on Linux each asks the kernel to be sent SIGTERM then.
"""

import ctypes
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from django.utils.translation import gettext as _

_PR_SET_PDEATHSIG = 1
_PATIENCE = 10.0  # seconds a child gets to end by itself
_CALM = 30.0  # a child that ran this long before it died is restarted at once
_LONGEST_PAUSE = 10.0

Say = Callable[[str], None]

# A signal writes a byte here, which ends a wait at once.
_woken, _waker = socket.socketpair()
_woken.setblocking(False)
_waker.setblocking(False)


@dataclass
class Child:
    """One process by its name for people, its command, and the log file its output goes to."""

    name: str
    command: Sequence[str]
    log: Path
    env: Mapping[str, str]
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)
    started: float = 0.0
    pause: float = 0.0
    due: float = 0.0

    def start(self) -> None:
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self.log, "ab", opener=_private) as out:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(self.env),
                start_new_session=True,  # Ctrl-C reaches us alone; we end the children in order
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        self.started = time.monotonic()

    def last_words(self, lines: int = 5) -> list[str]:
        with open(self.log, "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
            return log.read().decode(errors="replace").splitlines()[-lines:]


class Supervisor:
    def __init__(self, say: Say) -> None:
        self._say = say
        self._children: list[Child] = []
        self._ending = False

    def add(self, child: Child) -> None:
        self._children.append(child)
        child.start()

    def watch_until(self, ready: Callable[[], bool], seconds: float) -> bool:
        """Look after the children until `ready` or the time is up. Raises Stopped when told to end meanwhile."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._look_after()
            if ready():
                return True
            self._wait(0.05)
        return False

    def watch(self) -> None:
        """Look after the children until SIGINT or SIGTERM, which raise Stopped."""
        while True:
            self._look_after()
            self._wait(1.0)

    def take_down(self) -> None:
        """End the children in the reverse order of their start: each gets SIGTERM, and SIGKILL when it does not heed it."""
        running = [child.process for child in reversed(self._children) if child.process and child.process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _PATIENCE
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _look_after(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.process is not None and (code := child.process.poll()) is not None:
                child.process = None
                child.pause = 0.0 if now - child.started > _CALM else min(_LONGEST_PAUSE, child.pause * 2 + 0.5)
                child.due = now + child.pause
                ended = _("signal %(n)d") % {"n": -code} if code < 0 else _("exit code %(n)d") % {"n": code}
                self._say(
                    _("%(name)s ended (%(how)s); starting it again. Its log: %(log)s")
                    % {"name": child.name, "how": ended, "log": child.log}
                )
                for line in child.last_words():
                    self._say(f"    {line}")
            if child.process is None and now >= child.due:
                child.start()

    def _wait(self, seconds: float) -> None:
        """For so long, or until a child ends; SIGINT and SIGTERM raise out of it."""
        due = min((child.due for child in self._children if child.process is None), default=math.inf) - time.monotonic()
        readable, _writable, _failed = select.select([_woken], [], [], max(0.0, min(seconds, due)))
        if readable:
            _woken.recv(4096)


class Stopped(Exception):
    """Told to end, by Ctrl-C or SIGTERM."""


def heed_signals() -> None:
    """From here on SIGINT and SIGTERM raise Stopped, once; the end of a child only wakes the watch."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Stopped

    signal.set_wakeup_fd(_waker.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def port_is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
