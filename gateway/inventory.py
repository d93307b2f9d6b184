"""What a region's gateways shall serve, as plain frozen values: the one thing that compiling reads.

An inventory holds names, addresses and version ids, never a key's value. What is accepted *now* is already decided in it,
so compiling needs no clock; `next_change` says when an overlap ends and the answer would differ.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Version:
    """One sealed value that counts now. The resolver maps `id` to its Plaintext."""

    id: UUID
    number: int


@dataclass(frozen=True, slots=True)
class Use:
    """One reference of a holder to a key. `versions` is newest first, at most two, and empty while the key is disabled."""

    path: str  # "api_keys[0]", "credentials[0]"
    key_id: UUID
    versions: tuple[Version, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a caller puts its credential."""

    kind: str  # "bearer" (Authorization: Bearer), "header", "query"
    name: str  # header name in lower case, or parameter name; "authorization" for bearer


@dataclass(frozen=True, slots=True)
class Credential:
    use: Use
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Consumer:
    """An enabled consumer; a disabled one is left out, and its callers meet 401."""

    id: int
    name: str
    credentials: tuple[Credential, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """An AI service. `keys` are sent upstream in `header`, each value behind `prefix`."""

    id: int
    name: str
    scheme: str  # "http" or "https"
    host: str
    port: int
    path: str  # of the service address, without a trailing slash: "/v1", or ""
    header: str  # lower case: "authorization", "x-api-key", "api-key", "x-goog-api-key"
    prefix: str  # "Bearer " or ""
    extra_headers: tuple[tuple[str, str], ...]  # fixed ones a supplier wants, e.g. ("anthropic-version", "2023-06-01")
    keys: tuple[Use, ...]
    consumer_authentication: bool
    authorized: tuple[str, ...]  # names of consumers, sorted; disabled ones may stand here


@dataclass(frozen=True, slots=True)
class Instance:
    id: UUID
    ref: str  # "gw-..."
    services: tuple[Service, ...]  # by name


@dataclass(frozen=True, slots=True)
class Inventory:
    """One region at one moment: everything up to audit entry `seq` is in it."""

    region_id: UUID
    seq: int
    consumers: tuple[Consumer, ...]  # by name
    instances: tuple[Instance, ...]  # by ref
    next_change: datetime | None
