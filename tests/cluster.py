"""A private PostgreSQL for tests: a cluster of its own on loopback and a free port, gone with whoever started it.

    python -m tests.cluster uv run pytest tests/unit tests/security

runs the command with TEST_DATABASE_URL naming the cluster, and answers with its exit code.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.processes import eventually, free_port

SUPERUSER = "superuser"
# Nothing here outlives its test, so nothing is worth waiting for a disk.
HASTY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0"}


def programs() -> Path | None:
    """Where `postgres` and `initdb` are: on the PATH, or where Debian keeps each version's own. None without any."""
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name), default=None)


class Cluster:
    """`folder` is its own alone; `settings` are the server's. PostgreSQL refuses to run as root: there it runs as the user `postgres`."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        found = programs()
        assert found, "no PostgreSQL here: apt-get install postgresql"
        self._programs, self._settings = found, settings
        self._user = "postgres" if os.geteuid() == 0 else None
        self.data, self.log, self.port = folder / "data", folder / "postgresql.log", free_port()
        if self._user:
            shutil.chown(folder, self._user)
        self._run("initdb", "--username", SUPERUSER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
        self._made = time.time()
        self.start()

    def url(self, database: str = "postgres", role: str = SUPERUSER) -> str:
        return f"postgres://{role}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """Of the server, which ends all of its processes."""
        return self._process.pid

    def start(self) -> None:
        """On the same port again, if it ran before."""
        told = {"port": str(self.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": "", **self._settings}
        command = [str(self._programs / "postgres"), "-D", str(self.data), *[f"--{name}={value}" for name, value in told.items()]]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", user=self._user)
        eventually(self._answers, within=30)

    def stop(self, how: str = "fast") -> None:
        """Fast: its sessions are ended, and what was committed is on disk. Immediate: as if the power had failed."""
        self._process.send_signal({"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[how])
        self._process.wait(30)

    def execute(self, statement: str, database: str = "postgres", role: str = SUPERUSER) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url(database, role), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def untouched(self) -> set[Path]:
        """Files as initdb made them."""
        return {file for file in self.data.rglob("*") if file.is_file() and file.stat().st_mtime < self._made}

    def dump(self, database: str) -> bytes:
        command = [str(self._programs / "pg_dump"), "--dbname", self.url(database).replace("postgres:", "postgresql:")]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def _run(self, program: str, *options: str) -> None:
        subprocess.run(
            [self._programs / program, "-D", self.data, *options], cwd="/", user=self._user, check=True, stdout=subprocess.DEVNULL
        )

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def cluster(**settings: str) -> Iterator[Cluster]:
    """Settings are the server's, such as log_statement="all"."""
    folder = Path(tempfile.mkdtemp(prefix="latchkey-postgres-"))
    try:
        running = Cluster(folder, HASTY | settings)
        try:
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    with cluster() as private:
        sys.exit(subprocess.run(sys.argv[1:], env=os.environ | {"TEST_DATABASE_URL": private.url()}, check=False).returncode)
