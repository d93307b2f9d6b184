"""From an inventory to Envoy's resources. Pure: same input, same bytes; no query, clock, random or settings.

What a resource holds depends only on the instance, its region's inventory and the values, so equal resources of two moments
are equal bytes, and only what differs is sent. Rotating a key changes a Secret (outbound) or the list of credentials (inbound), or
the routes of a plugin that lets callers in with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from google.protobuf.any_pb2 import Any

from gateway.compile.clusters import clusters
from gateway.compile.credentials import Roll, enrol
from gateway.compile.listeners import listener
from gateway.compile.memo import Memo
from gateway.compile.plugins import plugins
from gateway.compile.problems import Problem
from gateway.compile.routes import routes
from gateway.compile.secrets import problems, secrets
from gateway.compile.tokens import Tokens, enrol_tokens, keys_clusters, token_authentication
from gateway.compile.values import Value
from gateway.compile.wire import packed
from gateway.inventory import Instance, Inventory
from gateway.names import JWT_AUTH, KEY_AUTH, RATE_LIMIT, ROUTES
from gateway.type_urls import CLUSTER, EXTENSION, ROUTE, SECRET

__all__ = ["Compiled", "Memo", "Problem", "Resources", "Value", "compile_instance", "compile_region", "listener"]

Resources = Mapping[str, Mapping[str, Any]]  # type URL -> name -> packed resource


@dataclass(frozen=True, slots=True)
class Compiled:
    """What every node of an instance gets; its listener is compiled apart, because each node has an address of its own."""

    resources: Resources
    problems: tuple[Problem, ...]


def compile_region(inventory: Inventory, values: Mapping[UUID, Value], memo: Memo) -> dict[UUID, Compiled]:
    """Every instance of the region by its id. Ends a pass of the memo."""
    roll, tokens = enrol(inventory, values), enrol_tokens(inventory, values)
    compiled = {instance.id: _compile(instance, roll, tokens, values, memo) for instance in inventory.instances}
    memo.end_pass()
    return compiled


def compile_instance(instance: Instance, inventory: Inventory, values: Mapping[UUID, Value]) -> Compiled:
    return _compile(instance, enrol(inventory, values), enrol_tokens(inventory, values), values, Memo())


def _compile(instance: Instance, roll: Roll, tokens: Tokens, values: Mapping[UUID, Value], memo: Memo) -> Compiled:
    services, rules = instance.services, plugins(instance, values, memo)
    own = (cluster for service in services for cluster in clusters(service))
    everywhere = (*own, *keys_clusters(instance, tokens), *rules.clusters)
    return Compiled(
        resources={
            SECRET: {secret.name: packed(secret) for secret in (*secrets(services, values), *rules.secrets)},
            CLUSTER: {cluster.name: packed(cluster) for cluster in everywhere},
            EXTENSION: {
                KEY_AUTH: roll.credentials,
                JWT_AUTH: token_authentication(instance, tokens),
                RATE_LIMIT: rules.rate_limit,
            },
            ROUTE: {ROUTES: packed(routes(instance, roll, tokens, rules.fittings, values, memo))},
        },
        problems=(*roll.problems, *tokens.problems, *problems(services, values), *rules.problems),
    )
