"""The embedded default: one command that sets up what is missing and keeps web, control plane and one local Envoy running."""

import json
import os
import secrets
import shlex
import socket
import sys
import urllib.error
import urllib.request
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import environ
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _

from console import demo
from console.management.commands.run_web import gunicorn
from console.supervisor import Child, Stopped, Supervisor, heed_signals, port_is_free
from gateway.models import Instance
from secrets_app import setup
from secrets_app.actor import Actor
from secrets_app.db import lacking
from secrets_app.errors import VaultError
from secrets_app.hardening import close_data_folder

LOOPBACK = ("127.0.0.1", "localhost", "::1")
READY_WITHIN = 60.0  # seconds; a slow disk or a busy machine may need them, a healthy one a tenth


class Command(BaseCommand):
    help = "Set up what is missing, then run the console, the control plane and one local gateway until Ctrl-C."
    requires_system_checks: list[str] = []  # noqa: RUF012 (Django's own declaration)

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        by = Actor.system("up")
        heed_signals()
        supervisor = Supervisor(self._say)
        try:
            self._check_ports(options)
            with self._step(_("Data folder %(folder)s") % {"folder": settings.DATA_DIR}):
                troubles = close_data_folder()
                self._migrate()
                troubles += setup.prepare_or_tell(by)
            for trouble in troubles:
                self._say(trouble)
            password, instance = self._first_things(by)
            serving = setup.can_serve()
            self._start(supervisor, instance, options, serving=serving)
            calls = demo.seed(options["gateway_port"]) if options["demo"] else []
            ready = self._wait_until_ready(supervisor, options, serving=serving)
            self._announce(options, password, calls, ready)
            supervisor.watch()
        except VaultError as refused:
            raise CommandError(refused.message) from None
        except Stopped:
            self._say(_("Stopping..."))
        finally:
            supervisor.take_down()
        self._say(_("Stopped."))

    def _check_ports(self, options: dict[str, Any]) -> None:
        wanted = {"--web-port": options["web_port"], "--xds-port": options["xds_port"]}
        if not options["no_gateway"]:
            wanted["--gateway-port"] = options["gateway_port"]
        if len(set(wanted.values())) < len(wanted):
            raise CommandError(_("Two of the ports are the same. Choose different ones with %(options)s.") % {"options": ", ".join(wanted)})
        for option, port in wanted.items():
            if not port_is_free(options["host"] if option != "--xds-port" else "127.0.0.1", port):
                raise CommandError(
                    _("Port %(port)d is in use by another program. End that program, or choose another port with %(option)s.")
                    % {"port": port, "option": option}
                )

    def _migrate(self) -> None:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", verbosity=0, interactive=False)
        if "console_cache" not in connection.introspection.table_names():
            call_command("createcachetable", verbosity=0)
        if column := lacking():
            raise CommandError(
                _(
                    "%(folder)s was made by an earlier Latchkey, and no way leads from there to this one (%(column)s is missing). "
                    "Move it aside, or choose another folder with --data-dir."
                )
                % {"folder": settings.DATA_DIR, "column": column}
            )

    def _first_things(self, by: Actor) -> tuple[str, Instance]:
        """A region, an instance and an administrator where there are none; the password made for that person, or nothing."""
        region, _created = setup.first_region(by)
        instance = Instance.objects.filter(region=region).order_by("created_at").first() or Instance.create(region, "Default", by=by)
        env = environ.FileAwareEnv()
        username = env.str("CONSOLE_ADMIN_USERNAME", default="admin")
        given = env.str("CONSOLE_ADMIN_PASSWORD", default="")
        password = given or secrets.token_urlsafe(12)
        made = setup.first_administrator(username, password, by)
        return ("" if given or made is None else f"{username} / {password}"), instance

    def _start(self, supervisor: Supervisor, instance: Instance, options: dict[str, Any], *, serving: bool) -> None:
        """`serving`: the keyring opens what is stored. Without it the console runs alone, and no gateway starts empty-handed."""
        connection.close()  # the children open their own
        logs = Path(settings.DATA_DIR) / "logs"
        env = {
            **os.environ,
            "CONSOLE_DATA_DIR": str(settings.DATA_DIR),
            "CONSOLE_WEB_PORT": str(options["web_port"]),
            "CONSOLE_XDS_PORT": str(options["xds_port"]),
            "CONSOLE_GATEWAY_PORT": str(options["gateway_port"]),
            "CONSOLE_PROBE_LOOPBACK": os.environ.get("CONSOLE_PROBE_LOOPBACK") or str(options["demo"] or options["host"] in LOOPBACK),
            "CONSOLE_ALLOWED_HOSTS": os.environ.get("CONSOLE_ALLOWED_HOSTS") or ",".join(_own_names(options["host"])),
            "DJANGO_SETTINGS_MODULE": "console.settings",
        }
        host, manage = options["host"], [sys.executable, str(settings.BASE_DIR / "manage.py")]
        commands = {"web": gunicorn(host, options["web_port"], workers=2)}
        if serving:
            commands["control-plane"] = [*manage, "run_xds", "--port", str(options["xds_port"])]
        if serving and not options["no_gateway"]:
            commands["gateway"] = [
                *manage, "run_gateway", "--instance", instance.ref, "--name", "local", "--host", host,
                "--port", str(options["gateway_port"]), "--xds", f"127.0.0.1:{options['xds_port']}",
            ]  # fmt: skip
        if options["demo"]:
            commands["demo-back-end"] = [*manage, "run_demo_backend", "--port", str(demo.backend_port())]
        for name, command in commands.items():
            log = logs / f"{name}.log"
            if log.exists():
                log.replace(logs / f"{name}.log.1")
            with self._step(_("Starting %(name)s") % {"name": name}):
                supervisor.add(Child(name, command, log, env))

    def _wait_until_ready(self, supervisor: Supervisor, options: dict[str, Any], *, serving: bool) -> bool:
        address = f"http://{_reachable(options['host'])}:{options['web_port']}/readyz" + (
            "?gateway=1" if serving and not options["no_gateway"] else ""
        )
        with self._step(_("Waiting until all answer")):
            return supervisor.watch_until(lambda: _answers(address), READY_WITHIN)

    def _announce(self, options: dict[str, Any], password: str, calls: list[str], ready: bool) -> None:
        host = "localhost" if options["host"] in ("127.0.0.1", "::1", "0.0.0.0", "::") else options["host"]  # noqa: S104 (compared, not bound)
        addresses = {_("Console"): f"http://{host}:{options['web_port']}"}
        if not options["no_gateway"]:
            addresses[_("Gateway")] = f"http://{host}:{options['gateway_port']}"
        addresses[_("Control plane")] = f"http://localhost:{options['xds_port']} (gRPC)"
        self._say("")
        if not ready:
            self._say(_("Not everything answers yet. The logs in %(folder)s say why.") % {"folder": Path(settings.DATA_DIR) / "logs"})
        for name, address in addresses.items():
            self._say(f"  {name:<15}{address}")
        if password:
            self._say("")
            self._say("  " + _("Sign in as %(who)s  (shown only now; write the password down)") % {"who": password})
        if calls:
            self._say("")
            self._say("  " + _("Call the demo's model, its agent, and a tool of its MCP service:"))
            for call in calls:
                self._say(f"  {call}")
        self._say("")
        if settings.DATA_DIR != settings.BASE_DIR / "var":
            self._say(
                _("Other commands find this data folder with --data-dir %(folder)s") % {"folder": shlex.quote(str(settings.DATA_DIR))}
            )
        self._say(_("Ctrl-C stops everything."))

    @contextmanager
    def _step(self, text: str) -> Iterator[None]:
        self.stdout.write(f"{text} ... ", ending="")
        self.stdout.flush()
        try:
            yield
        except BaseException:
            self._say("")
            raise
        self._say(_("done"))

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def add_arguments(parser: ArgumentParser) -> None:
    # manage.py takes it before Django starts, because it decides the settings; here it stands for --help
    parser.add_argument("--data-dir", help="where the database, the keyring and the logs live (default: var/ beside manage.py)")
    parser.add_argument("--web-port", type=_port, default=8000)
    parser.add_argument("--gateway-port", type=_port, default=8080)
    parser.add_argument("--xds-port", type=_port, default=18000)
    parser.add_argument("--host", default="127.0.0.1", help="where the console and the gateway listen; all else stays on loopback")
    parser.add_argument("--no-gateway", action="store_true", help="run no Envoy on this machine")
    parser.add_argument(
        "--demo", action="store_true", help="add a sample region, keys, services of every kind and consumers, with local back ends"
    )


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise ArgumentTypeError(_("%(text)s is no port. Choose a number from 1 to 65535.") % {"text": text})
    return int(text)


def _own_names(host: str) -> list[str]:
    names = ["localhost", "127.0.0.1", "[::1]"]
    if host not in LOOPBACK:
        names += [socket.gethostname(), socket.getfqdn(), f"[{host}]" if ":" in host else host]
        names += [str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    return list(dict.fromkeys(names))


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 (mapped, not bound)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:  # noqa: S310 (our own address)
            return bool(json.load(answer).get("ready"))
    except (OSError, ValueError, urllib.error.URLError):
        return False
