"""Who may call what, and what of a request travels on. The ways into each service stand between what the gateway answers itself."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
from envoy.extensions.filters.http.jwt_authn.v3.config_pb2 import PerRouteConfig
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.any_pb2 import Any
from google.protobuf.wrappers_pb2 import UInt32Value

from gateway.compile.chains import chained
from gateway.compile.claims import checking
from gateway.compile.credentials import Roll, forwarding, in_order, key_sources
from gateway.compile.memo import Memo
from gateway.compile.parameters import cutting
from gateway.compile.plugins import Fitting
from gateway.compile.secrets import problem_of
from gateway.compile.tokens import Tokens, asks_for_tokens, passed_on
from gateway.compile.values import Value
from gateway.compile.ways import Way, ways
from gateway.compile.wire import authority, literal_header, packed
from gateway.inventory import Instance, Service
from gateway.names import (
    CALLER_HEADER,
    CUT_PARAMETERS,
    IDENTITY_HEADER,
    JWT_AUTH,
    JWT_CHECK,
    KEY_AUTH,
    LAST_PLUGINS,
    LOOP_HEADER,
    ROUTES,
    client_names,
    cluster_name,
    loop_mark,
    route_name,
)
from gateway.sources import Source

# A caller's credentials of any usual kind, whether this region looks at them or not; and what the gateway itself knows of the caller.
_CREDENTIALS = frozenset({"api-key", "authorization", "cookie", "proxy-authorization", "x-api-key", "x-goog-api-key"})
_OUR_KNOWLEDGE = frozenset(
    {
        "forwarded", "x-forwarded-client-cert", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto",
        "x-envoy-external-address", "x-envoy-internal", "x-request-id", IDENTITY_HEADER, CALLER_HEADER,
    }
)  # fmt: skip

# What APIs are spoken with, and no more: TRACE (RFC 9110, 9.3.8), and to some servers TRACK, asks for the request to be sent back as it
# arrived, which by then holds the provider's key. HTTP/1.1 clients can only name methods that Envoy knows, HTTP/2 ones any.
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_NO_METHOD = f"This gateway forwards {', '.join(_METHODS)} and no other method."
_LOOP = "This request has come back to the gateway that sent it on: the address of a service leads here."
_UNKNOWN = "There is no service at this address. They answer at /ai/<name>/, /agents/<name>/ and /mcp-servers/<name>/."
_NOBODY = "No consumer is authorized to call this service yet."
_BROKEN = "A plugin of this service cannot work: its rule or a key that it needs is not usable."

_UNTOUCHED = Fitting()


@dataclass(frozen=True, slots=True)
class _Door:
    """How a service asks who calls it: the configuration of each filter that does. Nobody comes through one that is not open."""

    filters: Mapping[str, Any]
    open: bool = True
    keeps: frozenset[Source] = frozenset()  # where callers' own things stand that the back end shall get


def routes(
    instance: Instance, roll: Roll, tokens: Tokens, fittings: Mapping[int, Fitting], values: Mapping[UUID, Value], memo: Memo
) -> RouteConfiguration:
    """Depends on no version of a key but those that plugins let callers in with: any other rotation leaves every byte as it is."""
    mark = loop_mark(instance)
    services = (
        _route(service, way, roll, door, fittings.get(service.id, _UNTOUCHED), values, memo)
        for service in instance.services
        for door in (_door(service, roll, tokens, memo),)
        for way in ways(service)
    )
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


def _route(service: Service, way: Way, roll: Roll, door: _Door, fitting: Fitting, values: Mapping[UUID, Value], memo: Memo) -> Route:
    route = Route(name=route_name(service, way.part), match=way.match)
    _put_plugins_on(route, service, roll, door, fitting, memo)
    for name, config in door.filters.items():
        route.typed_per_filter_config[name].CopyFrom(config)
    if not door.open:
        route.direct_response.CopyFrom(_answer(403, _NOBODY))
        return route
    if fitting.works:
        route.route.CopyFrom(_forward(service, way, fitting, values))
    else:
        route.direct_response.CopyFrom(_answer(503, _BROKEN))
    route.request_headers_to_add.extend(
        literal_header(name, value, HeaderValueOption.ADD_IF_ABSENT) for name, value in service.extra_headers
    )
    if hidden := sorted({source.name for source in _looked_at(roll, door, fitting) if source.kind == "query"}):
        route.typed_per_filter_config[CUT_PARAMETERS].CopyFrom(memo.once(("cut", *hidden), lambda: cutting(hidden)))
    return route


def _door(service: Service, roll: Roll, tokens: Tokens, memo: Memo) -> _Door:
    if not service.consumer_authentication:
        return _Door({KEY_AUTH: _no_authentication()})
    if asks_for_tokens(service):
        return _door_for_tokens(service, tokens)
    names = tuple(name for consumer in service.authorized for name in roll.names.get(consumer, ()))
    sources = in_order(source for consumer in service.authorized for source in roll.sources.get(consumer, ()))
    if not names:
        # An empty list of allowed clients would admit every one of them.
        return _Door({KEY_AUTH: _authentication((), roll.all_sources)}, open=False)
    return _Door({KEY_AUTH: memo.once(("allowed", names, sources), lambda: _authentication(names, sources))})


def _door_for_tokens(service: Service, tokens: Tokens) -> _Door:
    """Without the check nobody would be known by a claim; without a policy nobody passes it."""
    bearers = tokens.of(service)
    if not bearers:
        return _Door({KEY_AUTH: _no_authentication()}, open=False)
    filters = {
        KEY_AUTH: _no_authentication(),
        JWT_AUTH: packed(PerRouteConfig(requirement_name=route_name(service))),
        JWT_CHECK: chained((), checking(bearers)),
    }
    return _Door(filters, keeps=passed_on(bearers))


def _looked_at(roll: Roll, door: _Door, fitting: Fitting) -> set[Source]:
    """Where anything of a caller's own may stand that the back end shall not see."""
    return ({*roll.all_sources} - door.keeps) | fitting.looks_at


def _put_plugins_on(route: Route, service: Service, roll: Roll, door: _Door, fitting: Fitting, memo: Memo) -> None:
    """Callers' credentials are taken off in front of those plugins that change the request: what these put in their place stays."""
    kept = frozenset(source.name for source in door.keeps - fitting.looks_at if source.kind != "query")
    vouched = kept if service.consumer_authentication else fitting.keeps
    credentials = tuple(sorted(_callers_own(service, _looked_at(roll, door, fitting)) - vouched))
    for name, config in fitting.slots.items():
        route.typed_per_filter_config[name].CopyFrom(config)
    for name, chain in fitting.chains.items():
        taken = credentials if name == LAST_PLUGINS else ()
        packed_chain = memo.once(("chain", chain.key, taken), lambda chain=chain, taken=taken: chained(taken, chain.filters))  # type: ignore[misc]
        route.typed_per_filter_config[name].CopyFrom(packed_chain)
    # A stream that has to be read on its way must come as it is.
    never = _OUR_KNOWLEDGE | ({"accept-encoding"} if service.message_path else frozenset())
    route.request_headers_to_remove.extend(sorted(never if LAST_PLUGINS in fitting.chains else never.union(credentials)))


def _authentication(names: tuple[str, ...], sources: tuple[Source, ...]) -> Any:
    """Names both versions that a credential can have, so that a rotation changes nothing here."""
    allowed = [client for name in names for client in client_names(name)]
    return packed(ApiKeyAuthPerRoute(allowed_clients=allowed, key_sources=key_sources(sources), forwarding=forwarding(sources)))


def _no_authentication() -> Any:
    return packed(FilterConfig(disabled=True))


def _forward(service: Service, way: Way, fitting: Fitting, values: Mapping[UUID, Value]) -> RouteAction:
    action = RouteAction(host_rewrite_literal=authority(service), rate_limits=fitting.limits)
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


def _callers_own(service: Service, sources: Iterable[Source]) -> frozenset[str]:
    return _CREDENTIALS | ({service.header} - {""}) | {source.name for source in sources if source.kind == "header"}


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
