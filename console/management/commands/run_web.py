import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    help = "Serve the console's pages. Any number of these may run side by side against one PostgreSQL."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=settings.WEB_PORT)
        parser.add_argument("--workers", type=int, default=2)

    def handle(self, *args: Any, **options: Any) -> None:
        os.execv(sys.executable, gunicorn(options["host"], options["port"], options["workers"]))  # noqa: S606 (our own interpreter)


def gunicorn(host: str, port: int, workers: int) -> list[str]:
    """The command line. Threads let a slow reader wait without holding up the others; a worker is replaced now and then."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return [
        sys.executable, "-m", "gunicorn", "console.wsgi:application",
        "--bind", address, "--workers", str(workers), "--worker-class", "gthread", "--threads", "4",
        "--max-requests", "20000", "--max-requests-jitter", "2000", "--graceful-timeout", "8",
        "--limit-request-line", "8190", "--log-level", "warning", "--no-control-socket",
    ]  # fmt: skip
