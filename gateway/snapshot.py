"""What a gateway shall have, as one immutable whole, and the check that it holds together.

A resource's version is a keyed HMAC of its bytes: Envoy prints versions in its statistics, and a bare hash of a secret could be
guessed. Equal bytes have equal versions, so after a restart of the control plane nothing is sent again.
"""

import hmac
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.route.v3.route_components_pb2 import FilterConfig, Route
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.api_key_auth.v3.api_key_auth_pb2 import ApiKeyAuth, ApiKeyAuthPerRoute, KeySource
from envoy.extensions.filters.http.jwt_authn.v3.config_pb2 import JwtAuthentication
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import GenericSecret, Secret
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from google.protobuf.any_pb2 import Any

from gateway.compile.asked import clusters_of, providers_of, requirement_of, says_who
from gateway.compile.parameters import cut_by
from gateway.compile.used import Used, plugins_of, secret_of
from gateway.compile.values import header_safe
from gateway.names import CUT_PARAMETERS, JWT_AUTH, JWT_CHECK, KEY_AUTH, UPSTREAM_OPTIONS
from gateway.type_urls import CLUSTER, EXTENSION, ROUTE, SECRET

_VERSION_BYTES = 16
_NONE: Mapping[str, "Resource"] = MappingProxyType({})


class SnapshotRefused(Exception):
    """What was compiled does not hold together. The text names resources, never a value; the last good snapshot stays."""


@dataclass(frozen=True, slots=True)
class Resource:
    name: str
    version: str
    body: Any


class Snapshot:
    """{type URL: {name: Resource}}. Nothing in it changes after it is made."""

    __slots__ = ("_types",)

    def __init__(self, types: Mapping[str, Mapping[str, Resource]]) -> None:
        self._types = {url: named if isinstance(named, MappingProxyType) else MappingProxyType(dict(named)) for url, named in types.items()}

    @classmethod
    def of(cls, resources: Mapping[str, Mapping[str, Any]], key: bytes, earlier: "Snapshot | None" = None) -> "Snapshot":
        """What has equal bytes in `earlier` is taken from there, a whole kind where possible: less to hold, hash and compare."""
        types = {}
        for url, named in resources.items():
            before = earlier[url] if earlier else _NONE
            now = {name: _resource(name, body, key, before.get(name)) for name, body in named.items()}
            unchanged = now.keys() == before.keys() and all(now[name] is before[name] for name in now)
            types[url] = before if unchanged else now
        return cls(types)

    def __getitem__(self, type_url: str) -> Mapping[str, Resource]:
        """Empty for a kind that is not there. The same object as long as the kind is unchanged."""
        return self._types.get(type_url, _NONE)

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __or__(self, other: "Snapshot") -> "Snapshot":
        """Kinds of both; the right one's where both have it."""
        return Snapshot({**self._types, **other._types})

    def check(self, earlier: "Snapshot | None" = None) -> None:
        """Raises SnapshotRefused unless every name that is used exists and nothing in it would be refused or fail open.

        Envoy refuses all resources of a kind for one that is wrong, so this comes before publishing. What stands unchanged in
        `earlier` is trusted, and only looked at for the names it uses.
        """
        trusted = earlier or Snapshot({})
        for resource in self[ROUTE].values():
            self._check_routes(resource, trusted=trusted[ROUTE].get(resource.name) is resource)
        for resource in self[CLUSTER].values():
            self._check_cluster(resource)
        if extension := self[EXTENSION].get(JWT_AUTH):
            self._check_token_authentication(_tokens(extension))
        for url, check in ((SECRET, _check_secret), (EXTENSION, _check_credentials)):
            for resource in self[url].values():
                if trusted[url].get(resource.name) is not resource:
                    check(resource)

    def _check_routes(self, resource: Resource, *, trusted: bool) -> None:
        table = RouteConfiguration.FromString(resource.body.value)
        extension = self[EXTENSION].get(JWT_AUTH)
        requirements = set(_tokens(extension).requirement_map) if extension else set()
        for route in (route for host in table.virtual_hosts for route in host.routes):
            used = plugins_of(route)
            for name in (*_clusters_of(route), *used.clusters):
                if name not in self[CLUSTER]:
                    raise SnapshotRefused(f"Route {route.name} leads to the cluster {name}, which does not exist.")
            for name in used.secrets:
                if name not in self[SECRET]:
                    raise SnapshotRefused(f"A plugin of the route {route.name} refers to the secret {name}, which does not exist.")
            if (name := requirement_of(route)) and name not in requirements:
                raise SnapshotRefused(f"Route {route.name} refers to the requirement {name}, which does not exist.")
            if not trusted:
                _check_callers(route, used)

    def _check_token_authentication(self, config: JwtAuthentication) -> None:
        for name, requirement in config.requirement_map.items():
            for provider in providers_of(requirement):
                if provider not in config.providers:
                    raise SnapshotRefused(f"The requirement {name} refers to the provider {provider}, which does not exist.")
        for name in clusters_of(config):
            if name not in self[CLUSTER]:
                raise SnapshotRefused(f"A key set is fetched from the cluster {name}, which does not exist.")

    def _check_cluster(self, resource: Resource) -> None:
        cluster = Cluster.FromString(resource.body.value)
        options = HttpProtocolOptions.FromString(cluster.typed_extension_protocol_options[UPSTREAM_OPTIONS].value)
        for name in _secrets_of(options):
            if name not in self[SECRET]:
                raise SnapshotRefused(f"Cluster {resource.name} refers to the secret {name}, which does not exist.")


def empty_secret(name: str) -> Resource:
    """What stands for a secret that does not exist, or that its asker may not have: the two look the same."""
    body = Any()
    body.Pack(Secret(name=name, generic_secret=GenericSecret(secret=DataSource(inline_bytes=b""))))
    return Resource(name, "none", body)


def _resource(name: str, body: Any, key: bytes, before: Resource | None) -> Resource:
    if before and before.body == body:
        return before
    return Resource(name, hmac.digest(key, body.value, "sha256")[:_VERSION_BYTES].hex(), body)


def _clusters_of(route: Route) -> list[str]:
    if not route.HasField("route"):
        return []
    return [route.route.cluster] if route.route.cluster else [choice.name for choice in route.route.weighted_clusters.clusters]


def _secrets_of(options: HttpProtocolOptions) -> Iterator[str]:
    for http_filter in options.http_filters:
        yield from secret_of(http_filter.typed_config)


def _check_callers(route: Route, plugins: Used) -> None:
    """Each route says for itself who may call it. What it left unsaid would be open: an empty list of clients admits all of them."""
    config = route.typed_per_filter_config.get(KEY_AUTH)
    if config is None or not (config.Is(ApiKeyAuthPerRoute.DESCRIPTOR) or _is_off(config)):
        raise SnapshotRefused(f"Route {route.name} says nothing of authentication.")
    rules = None if _is_off(config) else ApiKeyAuthPerRoute.FromString(config.value)
    if rules and not rules.forwarding.header:
        raise SnapshotRefused(f"Route {route.name} would not say who calls.")
    if rules and not rules.allowed_clients and not route.HasField("direct_response"):
        raise SnapshotRefused(f"Route {route.name} would admit every consumer.")
    asks = JWT_AUTH in route.typed_per_filter_config
    if asks != (JWT_CHECK in route.typed_per_filter_config) or (asks and not (requirement_of(route) and says_who(route))):
        raise SnapshotRefused(f"Route {route.name} would admit whoever has a token.")
    for accepted in plugins.accepting:
        _check_list(accepted, f"A plugin of the route {route.name}: ")
    sources = [*(rules.key_sources if rules else ()), *(source for accepted in plugins.accepting for source in accepted.key_sources)]
    vouched = {"authorization"} if (plugins.takes_tokens or asks) and not rules else set()
    if route.HasField("route") and not _takes_away(route, sources, plugins.removed | vouched):
        raise SnapshotRefused(f"Route {route.name} would send callers' keys on to the back end.")


def _takes_away(route: Route, sources: Iterable[KeySource], removed: frozenset[str]) -> bool:
    """A route takes away what it finds in any place where it looks. Envoy's own hiding takes one key, and a caller may show several."""
    headers = {"authorization"} | {source.header for source in sources if source.header}
    parameters = {source.query for source in sources if source.query}
    cut = cut_by(route.typed_per_filter_config.get(CUT_PARAMETERS))
    return headers <= removed.union(route.request_headers_to_remove) and parameters <= cut


def _tokens(resource: Resource) -> JwtAuthentication:
    return JwtAuthentication.FromString(TypedExtensionConfig.FromString(resource.body.value).typed_config.value)


def _is_off(config: Any) -> bool:
    return bool(config.Is(FilterConfig.DESCRIPTOR) and FilterConfig.FromString(config.value).disabled)


def _check_credentials(resource: Resource) -> None:
    extension = TypedExtensionConfig.FromString(resource.body.value)
    if extension.typed_config.Is(ApiKeyAuth.DESCRIPTOR):
        _check_list(ApiKeyAuth.FromString(extension.typed_config.value), "")


def _check_list(accepted: ApiKeyAuth, where: str) -> None:
    owners: dict[str, str] = {}
    for credential in accepted.credentials:
        if not credential.client or not header_safe(credential.key.encode()):
            raise SnapshotRefused(
                f"{where}The credential {credential.client or 'without a name'} is one that Envoy would not take as it is."
            )
        if credential.key in owners:
            raise SnapshotRefused(f"{where}The credentials {owners[credential.key]} and {credential.client} are equal.")
        owners[credential.key] = credential.client


def _check_secret(resource: Resource) -> None:
    value = Secret.FromString(resource.body.value).generic_secret.secret.inline_bytes
    if value and not header_safe(value):
        raise SnapshotRefused(f"The secret {resource.name} cannot travel in a header.")
