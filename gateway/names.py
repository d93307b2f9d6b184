"""Names that resources call each other by, and that appear in a gateway's access log and refusals. None is ever a value."""

from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:  # whoever only runs a gateway needs no database
    from collections.abc import Sequence

    from gateway.inventory import Instance, Service, Use, Version

# Where each kind of service is called on a gateway; its name follows.
ENTRANCES = {"ai": "/ai/", "agent": "/agents/", "mcp": "/mcp-servers/"}

LISTENER = "gateway"
ROUTES = "gateway"

# Filters are found by these names in every route's own configuration.
KEY_AUTH = "envoy.filters.http.api_key_auth"
JWT_AUTH = "envoy.filters.http.jwt_authn"
JWT_CHECK = "latchkey.consumers.tokens"  # a chain: who of those that signed a token may call
CUT_PARAMETERS = "envoy.filters.http.lua"
CORS = "envoy.filters.http.cors"
RATE_LIMIT = "latchkey.plugins.rate_limit"
# Chains of plugins, in the order in which a request meets them: up to the rate limit, up to the consumers' own keys, and after those.
FIRST_PLUGINS, ENTRY_PLUGINS, LAST_PLUGINS = "latchkey.plugins.first", "latchkey.plugins.entry", "latchkey.plugins.last"
UPSTREAM_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

# Where the reference of a consumer's own key set stands.
JWKS_PATH = "jwks"

# A node's own start-up configuration holds this secret: where its machine keeps the public certificate authorities.
SYSTEM_CA = "system_ca"

IDENTITY_HEADER = "x-latchkey-consumer"  # from the authentication filter to the access log, and no further
METADATA = "latchkey"

# Whom a plugin let in: to the access log, and as the documented header to the back end. A caller's own header of that name is dropped.
CALLER_HEADER = "x-latchkey-caller"
NAME_HEADER = "x-mse-consumer"
PRIVATE_HEADER = "x-latchkey-secret-"  # with a number: a value on its way to the script that takes it away

# Says which gateways a request has passed (RFC 8586). Unlike a header of our own, others on the way know that they must let it stand,
# and unlike Via no server answers differently for its sake.
LOOP_HEADER = "cdn-loop"


def loop_mark(instance: "Instance") -> str:
    """Of an instance, not of the deployment: a gateway may well stand behind another, but never behind itself."""
    return f"latchkey-{instance.ref}"


def entrance(service: "Service") -> str:
    return f"{ENTRANCES[service.kind]}{service.name}"


def route_name(service: "Service", part: str = "") -> str:
    """`ai/chat`; of one with several routes `agent/studio/<App ID>`."""
    return f"{service.kind}/{service.name}/{part}" if part else f"{service.kind}/{service.name}"


def cluster_name(service: "Service", use: "Use | None") -> str:
    """Stays when the key behind the same place changes, so that Envoy replaces the cluster only once the new one is warm.

    An app's place is its App ID: were it a number, a list in another order would for a moment send an app the key of its neighbour.
    """
    return f"{route_name(service)}/{_place(use)}" if use else route_name(service)


def secret_name(key_id: UUID, prefix: str) -> str:
    """One secret for each form in which a key is sent, whatever the number of services that send it so."""
    return f"{key_id}/{prefix}"


# In place of a secret that a cluster may not have, though others of its instance have it; always empty.
WITHHELD = "withheld"


def callee_name(rule_id: int) -> str:
    """The cluster of the address that a rule calls."""
    return f"plugin/{rule_id}"


def keys_name(url: str) -> str:
    """The cluster of the address that a key set is fetched from."""
    return f"keys/{url}"


def credential_name(consumer: str, use: "Use") -> str:
    """`alice/0`. Short for a reason: 10,000 consumers on 10 services write 200,000 of them."""
    return f"{consumer}/{_place(use)}"


def token_credential(consumer: str) -> str:
    """A consumer has one kind of token: `alice/jwks`."""
    return f"{consumer}/{JWKS_PATH}"


def client_name(credential: str, version: "Version", accepted: "Sequence[Version]") -> str:
    """Accepted versions are two and mostly neighbours, so their numbers modulo 2 tell them apart and a rotation brings no new name.

    After a rollback they may be both odd or both even: then the lower one has the other's name.
    """
    alike = any(other.number > version.number and (other.number - version.number) % 2 == 0 for other in accepted)
    return f"{credential}~{(version.number + alike) % 2}"


def client_names(credential: str) -> tuple[str, str]:
    return f"{credential}~0", f"{credential}~1"


def _place(use: "Use") -> str:
    """`0` of `credentials[0]`, `Alpha` of `apps[Alpha]`; a path without brackets stands whole."""
    return use.path.partition("[")[2].removesuffix("]") or use.path
