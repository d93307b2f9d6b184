"""What the plugins of a route rely on, read back from its configuration: for the check before publishing."""

from collections.abc import Iterator
from dataclasses import dataclass

from envoy.config.route.v3.route_components_pb2 import Route
from envoy.extensions.filters.http.api_key_auth.v3.api_key_auth_pb2 import ApiKeyAuth
from envoy.extensions.filters.http.credential_injector.v3.credential_injector_pb2 import CredentialInjector
from envoy.extensions.filters.http.ext_authz.v3.ext_authz_pb2 import ExtAuthz
from envoy.extensions.filters.http.jwt_authn.v3.config_pb2 import JwtAuthentication
from envoy.extensions.http.injected_credentials.generic.v3.generic_pb2 import Generic
from google.protobuf.any_pb2 import Any

from gateway.compile.chains import filters_of, removed_by
from gateway.names import ENTRY_PLUGINS, FIRST_PLUGINS, LAST_PLUGINS

_CHAINS = {FIRST_PLUGINS, ENTRY_PLUGINS, LAST_PLUGINS}


@dataclass(frozen=True, slots=True)
class Used:
    secrets: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    accepting: tuple[ApiKeyAuth, ...] = ()  # lists of what callers may present
    takes_tokens: bool = False
    removed: frozenset[str] = frozenset()  # headers, before any plugin of the last chain sees the request


def plugins_of(route: Route) -> Used:
    lists = {name: filters_of(config) for name, config in route.typed_per_filter_config.items() if name in _CHAINS}
    configs = [one.typed_config for filters in lists.values() for one in filters]
    return Used(
        secrets=tuple(name for config in configs for name in secret_of(config)),
        clusters=tuple(name for config in configs for name in _called(config)),
        accepting=tuple(ApiKeyAuth.FromString(config.value) for config in configs if config.Is(ApiKeyAuth.DESCRIPTOR)),
        takes_tokens=any(config.Is(JwtAuthentication.DESCRIPTOR) for config in configs),
        removed=removed_by(lists.get(LAST_PLUGINS, ())),
    )


def secret_of(config: Any) -> Iterator[str]:
    """The secret that a credential injector sends; nothing of any other filter."""
    if config.Is(CredentialInjector.DESCRIPTOR):
        yield Generic.FromString(CredentialInjector.FromString(config.value).credential.typed_config.value).credential.name


def _called(config: Any) -> Iterator[str]:
    if config.Is(ExtAuthz.DESCRIPTOR):
        yield ExtAuthz.FromString(config.value).http_service.server_uri.cluster
