"""Local stand-ins for a model supplier, an agent and a server of tools, for `up --demo`."""

from http.server import ThreadingHTTPServer
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from console.demo_backend import BackEnd


class Command(BaseCommand):
    help = "Serve the demo's back ends on loopback: they check the key they are shown, and echo. `up --demo` starts it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        server = ThreadingHTTPServer(("127.0.0.1", options["port"]), BackEnd)
        server.daemon_threads = True
        server.serve_forever()
