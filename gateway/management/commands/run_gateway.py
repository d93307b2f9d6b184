"""One Envoy, joined to an instance as a node: after joining, this process becomes it."""

import json
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
    host, _, port = options["xds"].rpartition(":")
    folder = Path(settings.DATA_DIR) / "nodes" / f"{instance.ref}-{options['name']}"
    node = EnvoyNode(options["name"], folder, host.strip("[]"), int(port))
    _row, token = Node.join(instance, options["name"], options["host"], options["port"], _kept_token(folder), by=by)
    node.write(token)
    return node


def _kept_token(folder: Path) -> str:
    try:
        resource = json.loads((folder / "token.json").read_text())["resources"][0]
        return str(resource["generic_secret"]["secret"]["inline_string"]).removeprefix("Bearer ")
    except (OSError, ValueError, LookupError, TypeError):
        return ""  # none kept, or not by us: a new one is given
