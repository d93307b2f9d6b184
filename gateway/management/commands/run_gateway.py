"""One Envoy, joined to an instance as a node: after joining, this process becomes it."""

import json
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from gateway.embedded import GatewayUnavailable, find_envoy
from gateway.embedded import Node as EnvoyNode
from gateway.models import Instance, Node
from secrets_app.actor import Actor
from secrets_app.errors import VaultError


class Command(BaseCommand):
    help = "Run one Envoy as a node of an instance. It serves what the control plane sends it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--instance", required=True, help="the instance's ID, gw-...")
        parser.add_argument("--name", default="local", help="the node's name, unique in the instance")
        parser.add_argument("--host", default="127.0.0.1", help="where callers reach it")
        parser.add_argument("--port", type=int, default=settings.GATEWAY_PORT)
        parser.add_argument("--xds", default=f"127.0.0.1:{settings.XDS_PORT}", help="the control plane, on this machine")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            envoy = find_envoy(settings.ENVOY_PATH)
            instance = Instance.objects.select_related("region").get(ref=options["instance"])
            node = join(instance, options, Actor.system("run_gateway"))
            connection.close()
            node.become(envoy)
        except Instance.DoesNotExist:
            raise CommandError(f"There is no instance {options['instance']}. Its ID stands on the Instance page.") from None
        except VaultError as refused:
            raise CommandError(refused.message) from None
        except GatewayUnavailable as missing:
            raise CommandError(str(missing)) from None


def join(instance: Instance, options: dict[str, Any], by: Actor) -> EnvoyNode:
    """Let the node in and write its folder. A folder from an earlier run holds its token, so that nothing changes for the others."""
    host, port = _control_plane(options["xds"])
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", options["name"]):
        raise CommandError("A node's name (--name) begins with a letter or digit and has up to 64 of these, dots, hyphens and underscores.")
    folder = Path(settings.DATA_DIR) / "nodes" / f"{instance.ref}-{options['name']}"
    node = EnvoyNode(options["name"], folder, host, port)
    _row, token = Node.join(instance, options["name"], options["host"], options["port"], _kept_token(folder), by=by)
    node.write(token)
    return node


def _control_plane(address: str) -> tuple[str, int]:
    """On this machine only: the node shows its token on this connection, in the clear."""
    host, _, port = address.rpartition(":")
    host = {"localhost": "127.0.0.1"}.get(host, host.strip("[]"))
    try:
        if ip_address(host).is_loopback and 0 < int(port) < 65536:
            return host, int(port)
    except ValueError:
        pass
    raise CommandError(f"{address} is no loopback address with a port, such as 127.0.0.1:{settings.XDS_PORT}.")


def _kept_token(folder: Path) -> str:
    try:
        resource = json.loads((folder / "token.json").read_text())["resources"][0]
        return str(resource["generic_secret"]["secret"]["inline_string"]).removeprefix("Bearer ")
    except (OSError, ValueError, LookupError, TypeError):
        return ""  # none kept, or not by us: a new one is given
