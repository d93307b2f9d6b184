"""What routes that ask for tokens rely on, read back from their configuration: for the check before publishing."""

from collections.abc import Iterator

from envoy.config.rbac.v3 import rbac_pb2
from envoy.config.route.v3.route_components_pb2 import Route
from envoy.extensions.filters.http.jwt_authn.v3.config_pb2 import JwtAuthentication, JwtRequirement, PerRouteConfig
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC

from gateway.compile.chains import filters_of
from gateway.names import JWT_AUTH, JWT_CHECK


def requirement_of(route: Route) -> str:
    """What a token has to be, by its name; empty where the route asks for none."""
    config = route.typed_per_filter_config.get(JWT_AUTH)
    return PerRouteConfig.FromString(config.value).requirement_name if config is not None and config.Is(PerRouteConfig.DESCRIPTOR) else ""


def says_who(route: Route) -> bool:
    """A signature alone lets nobody in: the route also says whose tokens count."""
    config = route.typed_per_filter_config.get(JWT_CHECK)
    checks = [one.typed_config for one in filters_of(config) if one.typed_config.Is(RBAC.DESCRIPTOR)] if config is not None else []
    rules = [RBAC.FromString(check.value).rules for check in checks]
    return any(rule.action == rbac_pb2.RBAC.ALLOW and rule.policies for rule in rules)


def providers_of(requirement: JwtRequirement) -> Iterator[str]:
    if requirement.provider_name:
        yield requirement.provider_name
    for group in (requirement.requires_any, requirement.requires_all):
        for one in group.requirements:
            yield from providers_of(one)


def clusters_of(config: JwtAuthentication) -> Iterator[str]:
    """Of the addresses that key sets are fetched from."""
    yield from (provider.remote_jwks.http_uri.cluster for provider in config.providers.values() if provider.HasField("remote_jwks"))
