"""What an official plugin is: its schema, its documentation, the places where it takes references, and its mapping to Envoy.

Nothing here knows protobuf: the console reads these modules too. A mapping answers plain data in Envoy's own JSON form, with
markers where a value of a key goes; gateway/compile/plugins.py turns both into messages, and is the only place that opens values.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from django.utils.functional import Promise

from gateway.plugins.paths import Path, matches
from gateway.sources import Source
from secrets_app.refs import Template

INSTANCE, SERVICE = "instance", "service"
LEVELS = (INSTANCE, SERVICE)

PHASES = ("authentication", "authorization", "statistics", "default")  # in the order in which a request meets them

# A parsed configuration: mappings, lists, text, numbers, booleans and null. Text that holds references is a Template, all other
# text is a str, unescaped.
Config = dict[str, Any]

Finding = tuple[Path, Promise | str]


@dataclass(frozen=True, slots=True)
class Secret:
    """A place that takes `$ref{}`.

    `inbound`: callers present the value to the gateway; otherwise the gateway sends it. `required`: the place takes nothing
    but a reference, for whatever stood there would be a credential in the clear.
    """

    inbound: bool
    travels: Promise  # how the value reaches its use, for the documentation
    required: bool = True


@dataclass(frozen=True, slots=True)
class Accepted:
    """Among the `credentials` of an api_key_auth filter, which Envoy never shows: each version that counts becomes one.

    `client` is the caller's name and the number of its credential: "alice/0". `basic`: presented as Basic and base64 (RFC 7617).
    """

    path: Path
    template: Template
    client: str
    basic: bool = False


@dataclass(frozen=True, slots=True)
class SecretName:
    """The name of an SDS secret that holds the filled template: the newest version, and an empty value where there is none."""

    path: Path
    template: Template


@dataclass(frozen=True, slots=True)
class Callee:
    """The name of a cluster for an address that the plugin calls. `headers` are put on each call, with secrets for values."""

    address: str
    headers: tuple[tuple[str, SecretName], ...] = ()


@dataclass(frozen=True, slots=True)
class Sent:
    """Where the value at one place goes. `headers` are names in lower case, "?name" for query parameters, "*" where it could be any;
    `address` is one that the plugin calls, empty for the back ends of the services that the rule is for."""

    path: Path
    headers: tuple[str, ...]
    address: str = ""
    to_script: bool = False


class Here(Enum):
    """What only the compiler knows."""

    LOOP_MARK = "what this instance's gateways put on requests, to know one that comes back"


@dataclass(frozen=True, slots=True)
class Limit:
    """Requests that match (a header_value_match of Envoy's rate limit actions) take from a bucket of their service's own."""

    match: Mapping[str, Any]
    bucket: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Native:
    """What a rule becomes, in Envoy's JSON form with proto field names; messages carry their "@type", leaves may be markers.

    `filters` run one after the other where the plugin's phase and priority put it; `slots` are for those few filters that have a
    place of their own in the listener. What a caller puts where the plugin `looks_at` travels no further; `keeps` are headers of
    which the plugin vouches for what stands there.
    """

    filters: tuple[Mapping[str, Any], ...] = ()
    slots: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by name of the filter
    limits: tuple[Limit, ...] = ()
    looks_at: tuple[Source, ...] = ()
    keeps: frozenset[str] = frozenset()


def nothing_more(config: Config, level: str) -> list[Finding]:
    """For plugins whose schema says it all."""
    return []


def everywhere(config: Config, others: bool) -> bool:
    """For plugins whose instance-level rule holds for every service without a rule of its own."""
    return True


def nowhere(config: Config) -> list[tuple[Path, str]]:
    """For plugins that call nobody."""
    return []


def nothing_said(config: Config) -> list[Sent]:
    """For plugins that send no key. Of one that does, this would be no answer: then only keys that may go anywhere can be referred to."""
    return []


@dataclass(frozen=True, slots=True)
class Official:
    """One plugin of the catalogue.

    `check(config, level)` says what a schema cannot; it is asked only when the schema is content.
    `native(config, level, above)` maps a rule. `above` is the configuration of the instance-level rule in effect, for a
    service-level rule that only narrows it (key-auth's `allow`); None where there is none.
    `covers(config, others)`: whether an instance-level rule holds for services without a rule of their own, when others have one.
    `destinations(config)` are addresses that the gateway would call, with their places.
    `sends(config)` says of every reference that is not inbound where its value goes.
    """

    name: str  # "key-auth"
    title: Promise | str
    summary: Promise | str
    documentation: tuple[Promise | str, ...]  # paragraphs; the table of fields comes from the schema's descriptions
    version: str
    phase: str  # one of PHASES
    priority: int  # within the phase; the bigger first
    schema: Mapping[str, Any]
    example: str  # YAML that passes
    native: Callable[[Config, str, Config | None], Native]
    levels: tuple[str, ...] = LEVELS
    secret_fields: Mapping[str, Secret] = field(default_factory=dict)  # by pattern of places
    no_secret: Mapping[str, Promise] = field(default_factory=dict)  # why a place that looks like a credential takes no reference
    check: Callable[[Config, str], list[Finding]] = nothing_more
    covers: Callable[[Config, bool], bool] = everywhere
    destinations: Callable[[Config], list[tuple[Path, str]]] = nowhere
    sends: Callable[[Config], list[Sent]] = nothing_said

    @property
    def order(self) -> tuple[int, int, str]:
        """Sorts plugins as a request meets them."""
        return (PHASES.index(self.phase), -self.priority, self.name)

    def secret_at(self, path: Path) -> Secret | None:
        return next((secret for pattern, secret in self.secret_fields.items() if matches(pattern, path)), None)

    def why_no_secret(self, path: Path) -> Promise | None:
        return next((why for pattern, why in self.no_secret.items() if matches(pattern, path)), None)
