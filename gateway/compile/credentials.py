"""Keys that callers may show, as the configuration of Envoy's api_key_auth. One of the places where a value is exposed.

It is a resource of its own (ECDS): credentials inside a listener would drain it at every change and cut open streams.
Two equal keys would make Envoy refuse the whole list, so the later one is left out here and reported.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.filters.http.api_key_auth.v3.api_key_auth_pb2 import ApiKeyAuth, Forwarding, KeySource
from google.protobuf.any_pb2 import Any

from gateway.compile.problems import Problem
from gateway.compile.values import Value, header_safe
from gateway.compile.wire import packed
from gateway.inventory import Inventory, Use, Version
from gateway.names import IDENTITY_HEADER, KEY_AUTH, client_name, credential_name
from gateway.sources import BEARER, Source

_ORDER = {"header": 0, "query": 1, "bearer": 2}


@dataclass(frozen=True, slots=True)
class Roll:
    """A region's consumers as its gateways know them. Names stay when a key is rotated, disabled or left out."""

    credentials: Any  # the whole list, packed once for every instance of the region
    names: Mapping[str, tuple[str, ...]]  # consumer -> its credentials
    sources: Mapping[str, tuple[Source, ...]]  # consumer -> where it puts them
    all_sources: tuple[Source, ...]  # of disabled consumers as well
    problems: tuple[Problem, ...]


def enrol(inventory: Inventory, values: Mapping[UUID, Value]) -> Roll:
    """Of two equal keys the first in the order of consumer name and path is accepted."""
    accepted = ApiKeyAuth(key_sources=key_sources([BEARER]), forwarding=forwarding([BEARER]))
    names: dict[str, tuple[str, ...]] = {}
    sources: dict[str, tuple[Source, ...]] = {}
    owners: dict[bytes, str] = {}
    problems: list[Problem] = []
    for consumer in sorted(inventory.consumers, key=lambda consumer: consumer.name):
        credentials = sorted(consumer.credentials, key=lambda credential: credential.use.path)
        names[consumer.name] = tuple(credential_name(consumer.name, credential.use) for credential in credentials)
        sources[consumer.name] = tuple(source for credential in credentials for source in credential.sources)
        for credential, name in zip(credentials, names[consumer.name], strict=True):
            use = credential.use
            keys = list(_accepted(use, name, values, owners))
            for version, key in keys:
                accepted.credentials.add(client=client_name(name, version, use.versions), key=key.decode("ascii"))
            if reason := _refused(use, name, values, owners) if len(keys) < max(1, len(use.versions)) else "":
                problems.append(Problem("consumer", consumer.id, use.path, use.key_id, reason))
    return Roll(
        credentials=packed(TypedExtensionConfig(name=KEY_AUTH, typed_config=packed(accepted))),
        names=names,
        sources=sources,
        all_sources=in_order(inventory.sources),
        problems=tuple(problems),
    )


def key_sources(sources: Iterable[Source]) -> list[KeySource]:
    return [KeySource(query=source.name) if source.kind == "query" else KeySource(header=source.name) for source in sources]


def in_order(sources: Iterable[Source]) -> tuple[Source, ...]:
    """Authorization comes last: Envoy takes the first source that is present, and SDKs always send an Authorization of their own."""
    return tuple(sorted(set(sources), key=lambda source: (_ORDER[source.kind], source.name)))


def forwarding(sources: Iterable[Source]) -> Forwarding:
    """Belongs in every configuration of the filter: one for a route without it does not say who calls.

    Keys in headers go at once. One in the query stays until the route cuts it out: here the whole query would be written anew.
    """
    return Forwarding(header=IDENTITY_HEADER, hide_credentials=all(source.kind != "query" for source in sources))


def _accepted(use: Use, name: str, values: Mapping[UUID, Value], owners: dict[bytes, str]) -> Iterator[tuple[Version, bytes]]:
    """Each key once, and noted in `owners` as this credential's."""
    for version in use.versions:
        value = values.get(version.id)
        key = b"" if value is None else value.expose()
        if header_safe(key) and key not in owners:
            owners[key] = name
            yield version, key


def _refused(use: Use, name: str, values: Mapping[UUID, Value], owners: Mapping[bytes, str]) -> str:
    """Why not every version of this credential is in the list: one reason, the first to be mended. Asked after _accepted."""
    if not use.versions:
        return "policy" if use.withheld else "disabled"
    if any(version.id not in values for version in use.versions):
        return "unreadable"
    keys = [values[version.id].expose() for version in use.versions]
    if not all(map(header_safe, keys)):
        return "charset"
    return "duplicate" if any(owners[key] != name for key in keys) else ""
