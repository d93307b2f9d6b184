"""What an official plugin is: its schema, its documentation, the places where it takes references, and its mapping to Envoy.

Nothing here knows protobuf: the console reads these modules too. A mapping answers plain data in Envoy's own JSON form, with
markers where a value of a key goes; gateway/compile/plugins.py turns both into messages, and is the only place that opens values.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise

from gateway.plugins.paths import Path, matches
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
class Plain:
    """The value itself, in a field that Envoy redacts in its dump: api_key_auth credentials."""

    template: Template


@dataclass(frozen=True, slots=True)
class Htpasswd:
    """Lines of an htpasswd file with {SHA} entries. Each template fills to `user:password`."""

    users: tuple[Template, ...]


@dataclass(frozen=True, slots=True)
class SecretName:
    """An SDS secret holding the filled template; the leaf becomes `around` with its name: "%SECRET({name})%" for a formatter."""

    template: Template
    around: str = "{name}"


@dataclass(frozen=True, slots=True)
class Native:
    """What a rule becomes, in Envoy's JSON form with proto field names; leaves may be Plain, Htpasswd or SecretName.

    `per_route` and `extension` are by slot (the name of a filter in the listener); messages carry their "@type".
    """

    per_route: Mapping[str, Any] = field(default_factory=dict)
    extension: Mapping[str, Any] = field(default_factory=dict)  # filter-level, over ECDS, where per-route cannot hold it
    clusters: tuple[Mapping[str, Any], ...] = ()
    secrets: tuple[Mapping[str, Any], ...] = ()


def nothing_more(config: Config, level: str) -> list[Finding]:
    """For plugins whose schema says it all."""
    return []


def nowhere(config: Config) -> list[tuple[Path, str]]:
    """For plugins that call nobody."""
    return []


@dataclass(frozen=True, slots=True)
class Official:
    """One plugin of the catalogue.

    `check(config, level)` says what a schema cannot; it is asked only when the schema is content.
    `native(config, level, above)` maps a rule. `above` is the configuration of the instance-level rule in effect, for a
    service-level rule that only narrows it (key-auth's `allow`); None where there is none.
    `destinations(config)` are addresses that the gateway would call, with their places.
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
    destinations: Callable[[Config], list[tuple[Path, str]]] = nowhere

    @property
    def order(self) -> tuple[int, int, str]:
        """Sorts plugins as a request meets them."""
        return (PHASES.index(self.phase), -self.priority, self.name)

    def secret_at(self, path: Path) -> Secret | None:
        return next((secret for pattern, secret in self.secret_fields.items() if matches(pattern, path)), None)

    def why_no_secret(self, path: Path) -> Promise | None:
        return next((why for pattern, why in self.no_secret.items() if matches(pattern, path)), None)
