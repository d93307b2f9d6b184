"""Places for plugins in the listener, all of them off until a route turns one on: installing one never touches the listener.

Most are chains: Envoy's filter that runs the list of filters which the route itself brings along. Filters in it may be of any kind
and number, whole with their configuration. The protobufs at hand do not know that filter yet; it has two messages of one field.
"""

from collections.abc import Iterable
from typing import Any as Message

from envoy.config.common.mutation_rules.v3.mutation_rules_pb2 import HeaderMutation as Mutation
from envoy.config.core.v3 import extension_pb2
from envoy.config.core.v3.config_source_pb2 import ExtensionConfigSource
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.filters.http.cors.v3.cors_pb2 import Cors
from envoy.extensions.filters.http.header_mutation.v3.header_mutation_pb2 import HeaderMutation, Mutations
from envoy.extensions.filters.http.local_ratelimit.v3.local_rate_limit_pb2 import LocalRateLimit
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any

from gateway.compile.wire import over_ads, packed
from gateway.names import CORS, RATE_LIMIT

_TAKING = "take"


def _messages() -> tuple[type[Message], type[Message]]:
    """FilterChainConfig{default_filter_chain} and FilterChainConfigPerRoute{filter_chain}; a FilterChain is {filters}."""
    package = "envoy.extensions.filters.http.filter_chain.v3"
    file = descriptor_pb2.FileDescriptorProto(
        name="envoy/extensions/filters/http/filter_chain/v3/filter_chain.proto",
        package=package,
        syntax="proto3",
        dependency=[extension_pb2.DESCRIPTOR.name],
    )
    field = descriptor_pb2.FieldDescriptorProto
    extension = f".{TypedExtensionConfig.DESCRIPTOR.full_name}"
    for name, only, label, kind in (
        ("FilterChain", "filters", field.LABEL_REPEATED, extension),
        ("FilterChainConfig", "default_filter_chain", field.LABEL_OPTIONAL, f".{package}.FilterChain"),
        ("FilterChainConfigPerRoute", "filter_chain", field.LABEL_OPTIONAL, f".{package}.FilterChain"),
    ):
        file.message_type.add(name=name).field.add(name=only, number=1, label=label, type=field.TYPE_MESSAGE, type_name=kind)
    pool = descriptor_pool.Default()
    pool.Add(file)
    find = pool.FindMessageTypeByName
    return tuple(message_factory.GetMessageClass(find(f"{package}.{name}")) for name in ("FilterChainConfig", "FilterChainConfigPerRoute"))


FilterChainConfig, FilterChainConfigPerRoute = _messages()


def chain_filter(name: str) -> HttpFilter:
    return HttpFilter(name=name, typed_config=packed(FilterChainConfig()), disabled=True)


def cors_filter() -> HttpFilter:
    return HttpFilter(name=CORS, typed_config=packed(Cors()), disabled=True)


def rate_limit_filter() -> HttpFilter:
    """Its configuration comes apart from the routes (ECDS), because the counts begin anew with every change of where they stand.

    A node that refuses the configuration answers 500 on routes that have a limit, and serves all others.
    """
    source = ExtensionConfigSource(config_source=over_ads(), type_urls=[f"type.googleapis.com/{LocalRateLimit.DESCRIPTOR.full_name}"])
    return HttpFilter(name=RATE_LIMIT, config_discovery=source, disabled=True)


def chained(taken: Iterable[str], filters: Iterable[TypedExtensionConfig]) -> Any:
    """A route's own configuration of a chain, which turns it on. The headers `taken` are taken off before any other filter runs."""
    mutations = Mutations(request_mutations=[Mutation(remove=name) for name in taken])
    taking = TypedExtensionConfig(name=_TAKING, typed_config=packed(HeaderMutation(mutations=mutations)))
    config = FilterChainConfigPerRoute()
    config.filter_chain.filters.extend([taking, *filters] if mutations.request_mutations else filters)
    return packed(config)


def removed_by(filters: Iterable[TypedExtensionConfig]) -> frozenset[str]:
    """What is taken off before any other of these runs."""
    own = HeaderMutation()
    first = next(iter(filters), None)
    if first is None or first.name != _TAKING or not first.typed_config.Unpack(own):
        return frozenset()
    return frozenset(mutation.remove for mutation in own.mutations.request_mutations)


def filters_of(config: Any) -> list[TypedExtensionConfig]:
    """What `chained` packed; nothing of anything else."""
    own = FilterChainConfigPerRoute()
    return list(own.filter_chain.filters) if config.Unpack(own) else []
