"""Tokens that callers may show, as the configuration of Envoy's jwt_authn. One of the places where a value is exposed.

It is a resource of its own (ECDS), as the keys of callers are. There is one provider for each key set at each place, whoever refers to
it: Envoy asks all providers of a service, and the first that can check a signature is enough. Who the caller is, the claim says, and
only together with the provider that vouched for it.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.core.v3.http_uri_pb2 import HttpUri
from envoy.extensions.filters.http.jwt_authn.v3.config_pb2 import (
    JwksAsyncFetch,
    JwtAuthentication,
    JwtHeader,
    JwtProvider,
    JwtRequirement,
    JwtRequirementAndList,
    JwtRequirementOrList,
    RemoteJwks,
)
from google.protobuf.any_pb2 import Any

from gateway.address import parse_address
from gateway.compile.clusters import keys_cluster
from gateway.compile.problems import Problem
from gateway.compile.values import Value
from gateway.compile.wire import packed, seconds
from gateway.inventory import Instance, Inventory, Jwt, Service, Use
from gateway.methods import JWT
from gateway.names import IDENTITY_HEADER, JWT_AUTH, client_name, client_names, credential_name, keys_name, route_name, token_credential
from gateway.sources import Source

_NOBODY = "nobody"  # a provider that never finds a token
_NOWHERE = f"{IDENTITY_HEADER}-nowhere"  # callers cannot send it: the listener takes away what begins so
_PATIENCE = seconds(2)
_AGAIN_AFTER = seconds(5)
_SHARED = re.compile(rb'\{"keys":\[\{"kty":"oct","kid":"[A-Za-z0-9_-]{1,64}","alg":"HS256","k":"[A-Za-z0-9_-]{43}"\}\]\}')
_PUBLIC_OF_NOBODY = json.dumps(
    {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}  # RFC 8037, A.2
)


@dataclass(frozen=True, slots=True)
class Bearer:
    """A consumer by its tokens. `policies`: names for the access log, each with the provider that has to vouch."""

    jwt: Jwt
    policies: tuple[tuple[str, str], ...]

    @property
    def providers(self) -> Iterator[str]:
        return (provider for _name, provider in self.policies)


@dataclass(frozen=True, slots=True)
class Tokens:
    """A region's consumers with tokens. Names stay when a secret is rotated, disabled or left out."""

    bearers: Mapping[str, Bearer]  # by consumer
    providers: Mapping[str, JwtProvider]  # those that there are keys for
    problems: tuple[Problem, ...]

    def of(self, service: Service) -> tuple[Bearer, ...]:
        return tuple(self.bearers[name] for name in service.authorized if name in self.bearers)


def enrol_tokens(inventory: Inventory, values: Mapping[UUID, Value]) -> Tokens:
    bearers: dict[str, Bearer] = {}
    providers: dict[str, JwtProvider] = {}
    problems: list[Problem] = []
    for consumer in inventory.consumers:
        if (jwt := consumer.jwt) is None:
            continue
        if jwt.use is None:
            name = _provider_name(jwt)
            bearers[consumer.name] = Bearer(jwt, ((token_credential(consumer.name), name),))
            providers[name] = _soonest(providers.get(name), _provider(name, jwt))
            continue
        credential = credential_name(consumer.name, jwt.use)
        bearers[consumer.name] = Bearer(jwt, tuple((name, name) for name in client_names(credential)))
        for version in jwt.use.versions:
            if shared := _shared(values.get(version.id)):
                name = client_name(credential, version, jwt.use.versions)
                providers[name] = _provider(name, jwt, shared)
        if reason := _refused(jwt.use, values):
            problems.append(Problem("consumer", consumer.id, jwt.use.path, jwt.use.key_id, reason))
    return Tokens(bearers, providers, tuple(problems))


def token_authentication(instance: Instance, tokens: Tokens) -> Any:
    """Every service's requirement by the name that its routes know."""
    services = [service for service in instance.services if asks_for_tokens(service)]
    wanted = {name for service in services for bearer in tokens.of(service) for name in bearer.providers if name in tokens.providers}
    config = JwtAuthentication(providers={name: tokens.providers[name] for name in wanted} | {_NOBODY: _nobody()})
    for service in services:
        config.requirement_map[route_name(service)].CopyFrom(_requirement(tokens.of(service), tokens.providers))
    return packed(TypedExtensionConfig(name=JWT_AUTH, typed_config=packed(config)))


def keys_clusters(instance: Instance, tokens: Tokens) -> Iterator[Cluster]:
    """Of the addresses that key sets are fetched from, for those consumers that may call something here."""
    bearers = [bearer for service in instance.services if asks_for_tokens(service) for bearer in tokens.of(service)]
    for url in sorted({bearer.jwt.url for bearer in bearers if bearer.jwt.url}):
        yield keys_cluster(keys_name(url), parse_address(url))


def asks_for_tokens(service: Service) -> bool:
    return service.consumer_authentication and service.authentication_method == JWT


def passed_on(bearers: Iterable[Bearer]) -> frozenset[Source]:
    """The one place whose tokens a service's back end gets: where every consumer puts it there, and asks for that. In another place a
    caller might have something else of its own."""
    places = {bearer.jwt.place if bearer.jwt.pass_through else None for bearer in bearers}
    return frozenset(place for place in places if place) if len(places) == 1 else frozenset()


def _provider_name(jwt: Jwt) -> str:
    """One for all consumers with these keys at this place."""
    told = json.dumps([jwt.public or jwt.url, jwt.place.kind, jwt.place.name, jwt.prefix])
    return f"{'public' if jwt.public else 'remote'}/{hashlib.sha256(told.encode()).hexdigest()[:32]}"


def _provider(name: str, jwt: Jwt, shared: str = "") -> JwtProvider:
    """The token stays on the request until nothing reads it any more: another provider may have to look at it too."""
    provider = JwtProvider(forward=True, payload_in_metadata=name)
    if jwt.place.kind == "query":
        provider.from_params.append(jwt.place.name)
    else:
        provider.from_headers.append(JwtHeader(name=jwt.place.name, value_prefix=f"{jwt.prefix} " if jwt.prefix else ""))
    if jwt.url:
        provider.remote_jwks.CopyFrom(_remote(jwt))
    else:
        provider.local_jwks.CopyFrom(DataSource(inline_string=shared or jwt.public))
    return provider


def _remote(jwt: Jwt) -> RemoteJwks:
    """Fetched ahead of the first token, and waited for by nothing: with fast_listener a server of keys that is away delays no gateway."""
    return RemoteJwks(
        http_uri=HttpUri(uri=jwt.url, cluster=keys_name(jwt.url), timeout=_PATIENCE),
        cache_duration=seconds(jwt.cache_seconds),
        async_fetch=JwksAsyncFetch(fast_listener=True, failed_refetch_duration=_AGAIN_AFTER),
    )


def _soonest(known: JwtProvider | None, new: JwtProvider) -> JwtProvider:
    """Of two consumers with one address, the one that wants it fetched more often has its way."""
    if known is None or new.remote_jwks.cache_duration.seconds < known.remote_jwks.cache_duration.seconds:
        return new
    return known


def _nobody() -> JwtProvider:
    return JwtProvider(from_headers=[JwtHeader(name=_NOWHERE)], local_jwks=DataSource(inline_string=_PUBLIC_OF_NOBODY))


def _requirement(bearers: tuple[Bearer, ...], providers: Mapping[str, JwtProvider]) -> JwtRequirement:
    """Any provider that can check the signature. Local keys come first: they are there at once.

    Envoy stops at the first, so where two sets at one place may hold the same key, all are asked beforehand, in a branch that fails.
    """
    wanted = {name: bearer.jwt for bearer in bearers for name in bearer.providers if name in providers}
    names = sorted(wanted, key=lambda name: (bool(wanted[name].url), name)) or [_NOBODY]
    shared_places = Counter(jwt.place for jwt in wanted.values() if jwt.use is None)
    ambiguous = [name for name in names if name in wanted and wanted[name].use is None and shared_places[wanted[name].place] > 1]
    everyone = [_all([*map(_perhaps, ambiguous), _one(_NOBODY)])] if ambiguous else []
    alternatives = [*everyone, *map(_one, names)]
    return _any(alternatives) if len(alternatives) > 1 else alternatives[0]


def _one(provider: str) -> JwtRequirement:
    return JwtRequirement(provider_name=provider)


def _perhaps(provider: str) -> JwtRequirement:
    """An empty requirement is met by every request."""
    return _any([_one(provider), JwtRequirement()])


def _any(several: list[JwtRequirement]) -> JwtRequirement:
    return JwtRequirement(requires_any=JwtRequirementOrList(requirements=several))


def _all(several: list[JwtRequirement]) -> JwtRequirement:
    return JwtRequirement(requires_all=JwtRequirementAndList(requirements=several))


def _shared(value: Value | None) -> str:
    """As the console makes it; Envoy would refuse a set that it cannot read, and all others with it."""
    raw = b"" if value is None else value.expose()
    return raw.decode("ascii") if _SHARED.fullmatch(raw) else ""


def _refused(use: Use, values: Mapping[UUID, Value]) -> str:
    if not use.versions:
        return "policy" if use.withheld else "disabled"
    return "" if all(_shared(values.get(version.id)) for version in use.versions) else "unreadable"
