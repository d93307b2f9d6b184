"""What a region's gateways shall serve, as plain frozen values: the one thing that compiling reads.

An inventory holds names, addresses and version ids, never a key's value. What is accepted *now* is already decided in it,
so compiling needs no clock; `next_change` says when an overlap ends and the answer would differ.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.methods import API_KEY
from gateway.sources import Source


@dataclass(frozen=True, slots=True)
class Version:
    """One sealed value that counts now. The resolver maps `id` to its Plaintext."""

    id: UUID
    number: int


@dataclass(frozen=True, slots=True)
class Use:
    """One reference of a holder to a key. `versions` is newest first, at most two, and empty while the key is disabled, or `withheld`: the
    key's policy does not let it go where this would send it."""

    path: str  # "api_keys[0]", "credentials[0]"
    key_id: UUID
    versions: tuple[Version, ...]
    withheld: bool = False


@dataclass(frozen=True, slots=True)
class Credential:
    use: Use
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Jwt:
    """The tokens by which a consumer's callers are known: signed with one of its keys, and holding `value` as their claim.

    The keys come from exactly one of three: a shared secret of its own (`use`), a set of public keys, or the address of such a set.
    """

    place: Source
    prefix: str  # in front of the token in its header, "Bearer"; or ""
    pass_through: bool
    claim: str
    value: str
    use: Use | None = None
    public: str = ""
    url: str = ""
    cache_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Consumer:
    """An enabled consumer; a disabled one is left out, and its callers meet 401. It has credentials, or tokens."""

    id: int
    name: str
    credentials: tuple[Credential, ...]
    jwt: Jwt | None = None

    @property
    def uses(self) -> Iterator[Use]:
        yield from (credential.use for credential in self.credentials)
        if self.jwt and self.jwt.use:
            yield self.jwt.use


@dataclass(frozen=True, slots=True)
class Script:
    """A custom plugin: its Lua, the schema it declares as JSON text, and where it stands among the others."""

    source: str
    schema: str
    phase: str
    priority: int


@dataclass(frozen=True, slots=True)
class Rule:
    """An enabled rule of a plugin, as it was written. `keys` says what its references mean: the key's name, and its use there.

    The use's path is the place in the text ("credentials[0]"); a place with two references stands here twice.
    """

    id: int
    plugin: str  # of the catalogue, or the custom plugin's own
    text: str
    keys: tuple[tuple[str, Use], ...] = ()
    script: Script | None = None


@dataclass(frozen=True, slots=True)
class Withheld:
    """A rule that is not to be followed for some service: it would send the key past its policy."""

    rule: int
    path: str
    key_id: UUID


@dataclass(frozen=True, slots=True)
class Service:
    """`keys` are sent upstream in `header`, each value behind `prefix`: of an app's own route its key alone, of any other route any."""

    id: int
    kind: str  # "ai", "agent", "mcp"
    name: str
    scheme: str  # "http" or "https"
    host: str
    port: int
    path: str  # of the service address, without a trailing slash: "/v1", or ""; mcp: of the endpoint, as it stands: "/mcp"
    message_path: str  # mcp over SSE: where clients post, "/messages"; else ""
    header: str  # lower case: "authorization", "x-api-key", "api-key", "x-goog-api-key"; "" where no key is sent
    prefix: str  # "Bearer " or ""
    extra_headers: tuple[tuple[str, str], ...]  # fixed ones a supplier wants, e.g. ("anthropic-version", "2023-06-01")
    keys: tuple[Use, ...]
    consumer_authentication: bool
    authorized: tuple[str, ...]  # names of consumers, sorted; disabled ones and ones of the other method may stand here
    authentication_method: str = API_KEY
    rules: tuple[Rule, ...] = ()  # at most one of each plugin
    withheld: tuple[Withheld, ...] = ()  # of its rules and the instance's


@dataclass(frozen=True, slots=True)
class Instance:
    id: UUID
    ref: str  # "gw-..."
    services: tuple[Service, ...]  # by name
    rules: tuple[Rule, ...] = ()  # those of the instance level; at most one of each plugin


@dataclass(frozen=True, slots=True)
class Inventory:
    """One region at one moment: everything up to audit entry `seq` is in it."""

    region_id: UUID
    seq: int
    consumers: tuple[Consumer, ...]  # by name
    sources: tuple[Source, ...]  # where any consumer puts its key, disabled ones as well: what stands there is sent on to nobody
    instances: tuple[Instance, ...]  # by ref
    next_change: datetime | None

    @property
    def rules(self) -> Iterator[Rule]:
        yield from (rule for _ref, rule in self.placed_rules)

    @property
    def placed_rules(self) -> Iterator[tuple[str, Rule]]:
        """Each with the ref of its instance."""
        for instance in self.instances:
            yield from ((instance.ref, rule) for rule in instance.rules)
            for service in instance.services:
                yield from ((instance.ref, rule) for rule in service.rules)
