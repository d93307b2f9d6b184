"""Back ends of services. A service has one cluster per key, and the cluster itself puts the key on."""

from collections.abc import Iterable, Iterator

from envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import Address, SocketAddress
from envoy.config.core.v3.base_pb2 import DataSource, TransportSocket
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.core.v3.protocol_pb2 import UpstreamHttpProtocolOptions
from envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint, LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.extensions.filters.http.credential_injector.v3.credential_injector_pb2 import CredentialInjector
from envoy.extensions.filters.http.lua.v3.lua_pb2 import Lua
from envoy.extensions.filters.http.upstream_codec.v3.upstream_codec_pb2 import UpstreamCodec
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.extensions.http.injected_credentials.generic.v3.generic_pb2 import Generic
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import CertificateValidationContext, SubjectAltNameMatcher
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, UpstreamTlsContext
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.wrappers_pb2 import UInt32Value

from gateway.address import Address as ServiceAddress
from gateway.address import is_ip
from gateway.compile.announced import announcing_filter
from gateway.compile.wire import authority, over_ads, packed, seconds
from gateway.inventory import Service, Use
from gateway.names import SYSTEM_CA, UPSTREAM_OPTIONS, WITHHELD, cluster_name, secret_name

_OWN_HOST = 'function envoy_on_request(handle) handle:headers():replace(":authority", "%s") end'
_AT_ONCE = 4096  # a stream of a model may last minutes, and over HTTP/1.1 each holds a connection


def clusters(service: Service) -> Iterator[Cluster]:
    """One per key, resolved or not; one without a key when the service has none."""
    for use in service.keys or (None,):
        yield _cluster(service, use)


def callee_cluster(name: str, address: ServiceAddress, injected: Iterable[tuple[str, str]]) -> Cluster:
    """Of an address that a plugin calls on its own account, with secrets in headers: (secret, header). No key of a service goes there.

    By itself such a call would name the host that the caller named: to the server, and to its certificate.
    """
    script = Lua(default_source_code=DataSource(inline_string=_OWN_HOST % authority(address)))
    own_host = HttpFilter(name="envoy.filters.http.lua", typed_config=packed(script))
    filters = [*(_injector(secret, header) for secret, header in injected), own_host]
    return _back_end(name, address, filters, named=False)


def keys_cluster(name: str, address: ServiceAddress) -> Cluster:
    """Of an address that a key set is fetched from, which by itself names its host. No key of ours goes there."""
    cluster = _back_end(name, address, [], named=False)
    cluster.connect_timeout.CopyFrom(seconds(2))
    return cluster


def _cluster(service: Service, use: Use | None) -> Cluster:
    filters = [_injector(_secret(use, service.prefix), service.header)] if use else []
    filters += [announcing_filter(service)] if service.message_path else []
    return _back_end(cluster_name(service, use), service, filters, named=True)


def _secret(use: Use, prefix: str) -> str:
    """Another service may be shown the same key in the same form: one that may not must not find it under its name."""
    return WITHHELD if use.withheld else secret_name(use.key_id, prefix)


def _back_end(name: str, place: Service | ServiceAddress, filters: list[HttpFilter], *, named: bool) -> Cluster:
    """`named`: requests name the host as it is."""
    options = HttpProtocolOptions(http_filters=[*filters, _codec()] if filters else [])
    if place.scheme == "https":
        options.auto_config.http_protocol_options.SetInParent()
        options.auto_config.http2_protocol_options.SetInParent()
    else:
        options.explicit_http_config.http_protocol_options.SetInParent()
    if place.scheme == "https" and named:
        options.upstream_http_protocol_options.CopyFrom(UpstreamHttpProtocolOptions(auto_sni=True, auto_san_validation=True))
    limit = UInt32Value(value=_AT_ONCE)
    return Cluster(
        name=name,
        # LOGICAL_DNS keeps open connections when a provider's many addresses change; STRICT_DNS would cut them.
        type=Cluster.STATIC if is_ip(place.host) else Cluster.LOGICAL_DNS,
        dns_lookup_family=Cluster.ALL,
        connect_timeout=seconds(5),
        load_assignment=_endpoint(name, place),
        circuit_breakers=CircuitBreakers(
            thresholds=[CircuitBreakers.Thresholds(max_connections=limit, max_pending_requests=limit, max_requests=limit)]
        ),
        typed_extension_protocol_options={UPSTREAM_OPTIONS: packed(options)},
        transport_socket=(_tls() if named else _tls_to(place.host)) if place.scheme == "https" else None,
    )


def _injector(secret: str, header: str) -> HttpFilter:
    """Without a value it answers 401 itself, and the back end is not called."""
    credential = Generic(credential=SdsSecretConfig(name=secret, sds_config=over_ads()), header=header)
    injector = CredentialInjector(
        overwrite=True,
        allow_request_without_credential=False,
        credential=TypedExtensionConfig(name="envoy.http.injected_credentials.generic", typed_config=packed(credential)),
    )
    return HttpFilter(name="envoy.filters.http.credential_injector", typed_config=packed(injector))


def _codec() -> HttpFilter:
    return HttpFilter(name="envoy.filters.http.upstream_codec", typed_config=packed(UpstreamCodec()))


def _tls() -> TransportSocket:
    """Authorities come from the node's own start-up configuration: where they lie differs from machine to machine."""
    context = UpstreamTlsContext(common_tls_context=CommonTlsContext(validation_context_sds_secret_config=SdsSecretConfig(name=SYSTEM_CA)))
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed(context))


def _tls_to(host: str) -> TransportSocket:
    """Of one host, by its own name whatever the request says."""
    kind = SubjectAltNameMatcher.IP_ADDRESS if is_ip(host) else SubjectAltNameMatcher.DNS
    name = SubjectAltNameMatcher(san_type=kind, matcher=StringMatcher(exact=host))
    validation = CommonTlsContext.CombinedCertificateValidationContext(
        default_validation_context=CertificateValidationContext(match_typed_subject_alt_names=[name]),
        validation_context_sds_secret_config=SdsSecretConfig(name=SYSTEM_CA),
    )
    context = UpstreamTlsContext(
        sni="" if is_ip(host) else host, common_tls_context=CommonTlsContext(combined_validation_context=validation)
    )
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed(context))


def _endpoint(name: str, place: Service | ServiceAddress) -> ClusterLoadAssignment:
    address = Address(socket_address=SocketAddress(address=place.host, port_value=place.port))
    endpoint = LbEndpoint(endpoint=Endpoint(address=address))
    return ClusterLoadAssignment(cluster_name=name, endpoints=[LocalityLbEndpoints(lb_endpoints=[endpoint])])
