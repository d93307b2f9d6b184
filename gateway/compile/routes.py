"""Who may call what, and what of a request travels on. The ways into each service stand between what the gateway answers itself."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from envoy.config.core.v3.base_pb2 import DataSource, HeaderValueOption
from envoy.config.route.v3.route_components_pb2 import (
    DirectResponseAction,
    FilterConfig,
    HeaderMatcher,
    Route,
    RouteAction,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
)
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.api_key_auth.v3.api_key_auth_pb2 import ApiKeyAuthPerRoute
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.any_pb2 import Any
from google.protobuf.wrappers_pb2 import UInt32Value

from gateway.compile.credentials import Roll, forwarding, in_order, key_sources
from gateway.compile.memo import Memo
from gateway.compile.parameters import cutting
from gateway.compile.secrets import problem_of
from gateway.compile.values import Value
from gateway.compile.ways import Way, ways
from gateway.compile.wire import authority, literal_header, packed
from gateway.inventory import Instance, Service
from gateway.names import CUT_PARAMETERS, IDENTITY_HEADER, KEY_AUTH, LOOP_HEADER, ROUTES, client_names, cluster_name, loop_mark, route_name
from gateway.sources import Source

# A caller's credentials of any usual kind, whether this region looks at them or not, and what the gateway itself knows of the caller.
_NEVER_FORWARDED = frozenset(
    {
        "api-key", "authorization", "cookie", "proxy-authorization", "x-api-key", "x-goog-api-key",
        "forwarded", "x-forwarded-client-cert", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto",
        "x-envoy-external-address", "x-envoy-internal", "x-request-id", IDENTITY_HEADER,
    }
)  # fmt: skip

# What APIs are spoken with, and no more: TRACE (RFC 9110, 9.3.8), and to some servers TRACK, asks for the request to be sent back as it
# arrived, which by then holds the provider's key. HTTP/1.1 clients can only name methods that Envoy knows, HTTP/2 ones any.
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_NO_METHOD = f"This gateway forwards {', '.join(_METHODS)} and no other method."
_LOOP = "This request has come back to the gateway that sent it on: the address of a service leads here."
_UNKNOWN = "There is no service at this address. They answer at /ai/<name>/, /agents/<name>/ and /mcp-servers/<name>/."
_NOBODY = "No consumer is authorized to call this service yet."


def routes(instance: Instance, roll: Roll, values: Mapping[UUID, Value], memo: Memo) -> RouteConfiguration:
    """Depends on no version of a key: a rotation leaves every byte as it is."""
    mark = loop_mark(instance)
    services = (_route(service, way, roll, values, memo) for service in instance.services for way in ways(service))
    host = VirtualHost(name=ROUTES, domains=["*"], routes=[_round_trip(mark), _other_method(), *services, _nothing_here()])
    host.request_headers_to_add.append(literal_header(LOOP_HEADER, mark, HeaderValueOption.APPEND_IF_EXISTS_OR_ADD))
    return RouteConfiguration(name=ROUTES, virtual_hosts=[host])


def _round_trip(mark: str) -> Route:
    """Without it one call to a service that leads back here runs in a circle until the gateway has no file descriptor left."""
    passed = HeaderMatcher(name=LOOP_HEADER, string_match=StringMatcher(contains=mark))
    return _own_answer("loop", RouteMatch(prefix="/", headers=[passed]), 508, _LOOP)


def _other_method() -> Route:
    known = StringMatcher(safe_regex=RegexMatcher(regex="|".join(_METHODS)))
    other = HeaderMatcher(name=":method", string_match=known, invert_match=True)
    route = _own_answer("method", RouteMatch(prefix="/", headers=[other]), 405, _NO_METHOD)
    route.response_headers_to_add.append(literal_header("allow", ", ".join(_METHODS), HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD))
    return route


def _route(service: Service, way: Way, roll: Roll, values: Mapping[UUID, Value], memo: Memo) -> Route:
    names = tuple(name for consumer in service.authorized for name in roll.names.get(consumer, ()))
    sources = in_order(source for consumer in service.authorized for source in roll.sources.get(consumer, ()))
    route = Route(name=route_name(service, way.part), match=way.match)
    if service.consumer_authentication and not names:
        # An empty list of allowed clients would admit every one of them.
        route.direct_response.CopyFrom(_answer(403, _NOBODY))
        route.typed_per_filter_config[KEY_AUTH].CopyFrom(_authentication((), roll.all_sources))
        return route
    route.route.CopyFrom(_forward(service, way, values))
    route.request_headers_to_remove.extend(_removed_headers(service, roll.all_sources))
    route.request_headers_to_add.extend(
        literal_header(name, value, HeaderValueOption.ADD_IF_ABSENT) for name, value in service.extra_headers
    )
    if hidden := [source.name for source in roll.all_sources if source.kind == "query"]:
        route.typed_per_filter_config[CUT_PARAMETERS].CopyFrom(memo.once(("cut", *hidden), lambda: cutting(hidden)))
    route.typed_per_filter_config[KEY_AUTH].CopyFrom(
        memo.once(("allowed", names, sources), lambda: _authentication(names, sources))
        if service.consumer_authentication
        else _no_authentication()
    )
    return route


def _authentication(names: tuple[str, ...], sources: tuple[Source, ...]) -> Any:
    """Names both versions that a credential can have, so that a rotation changes nothing here."""
    allowed = [client for name in names for client in client_names(name)]
    return packed(ApiKeyAuthPerRoute(allowed_clients=allowed, key_sources=key_sources(sources), forwarding=forwarding(sources)))


def _no_authentication() -> Any:
    return packed(FilterConfig(disabled=True))


def _forward(service: Service, way: Way, values: Mapping[UUID, Value]) -> RouteAction:
    action = RouteAction(host_rewrite_literal=authority(service))
    action.MergeFrom(way.action)
    # A key that cannot be sent gets no share of the calls, unless all are such: then each is answered 401.
    usable = [use for use in way.uses if not problem_of(use, values)] or way.uses or (None,)
    names = [cluster_name(service, use) for use in usable]
    if len(names) == 1:
        action.cluster = names[0]
    else:
        weight = UInt32Value(value=1)
        action.weighted_clusters.clusters.extend(WeightedCluster.ClusterWeight(name=name, weight=weight) for name in names)
    return action


def _removed_headers(service: Service, sources: Iterable[Source]) -> list[str]:
    # A stream that has to be read on its way must come as it is.
    unpacked = {"accept-encoding"} if service.message_path else frozenset()
    return sorted(_NEVER_FORWARDED | unpacked | ({service.header} - {""}) | {source.name for source in sources if source.kind == "header"})


def _nothing_here() -> Route:
    return _own_answer("unknown", RouteMatch(prefix="/"), 404, _UNKNOWN)


def _own_answer(name: str, match: RouteMatch, status: int, text: str) -> Route:
    """The same to everybody: no key is asked for."""
    route = Route(name=name, match=match, direct_response=_answer(status, text))
    route.typed_per_filter_config[KEY_AUTH].CopyFrom(_no_authentication())
    return route


def _answer(status: int, text: str) -> DirectResponseAction:
    """The listener wraps the text in JSON, as it does every answer of the gateway's own."""
    return DirectResponseAction(status=status, body=DataSource(inline_string=text))
