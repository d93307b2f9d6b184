"""key-auth: callers present a key in a header or a query parameter. The documented schema, whole."""

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext_lazy as _

from gateway.plugins import admission, identity
from gateway.plugins.base import Accepted, Config, Finding, Native, Official, Secret
from gateway.plugins.paths import Path
from gateway.sources import Source, check_source

CONSUMERS = 1000
REALM = "MSE Gateway"

_CREDENTIAL: dict[str, Any] = {
    "type": "string",
    "description": _("What the caller presents, compared whole: a reference to a key, or a text around one, such as “Bearer $ref{name}”."),
    "minLength": 1,
}
_CREDENTIALS: dict[str, Any] = {"type": "array", "items": _CREDENTIAL, "minItems": 1, "maxItems": CONSUMERS}
_KEYS: dict[str, Any] = {
    "type": "array",
    "description": _("Names of the headers and query parameters in which the key is looked for, in this order."),
    "items": {"type": "string", "minLength": 1, "maxLength": 64},
    "minItems": 1,
    "maxItems": 16,
    "uniqueItems": True,
    "examples": [["apikey", "x-api-key"]],
}
_PLACES: dict[str, Any] = {
    "keys": _KEYS,
    "in_query": {"type": "boolean", "default": True, "description": _("Look for the key among the query parameters.")},
    "in_header": {"type": "boolean", "default": True, "description": _("Look for the key among the headers.")},
}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "consumers": {
            "type": "array",
            "description": _("Callers by name, each with keys of its own. Not together with “credentials”."),
            "minItems": 1,
            "maxItems": CONSUMERS,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name"],
                "properties": {
                    "name": identity.NAME,
                    "credential": _CREDENTIAL,
                    "credentials": _CREDENTIALS | {"description": _("Several keys of one caller, instead of “credential”.")},
                    **_PLACES,
                },
            },
        },
        "credentials": _CREDENTIALS | {"description": _("Keys of callers without a name. Not together with “consumers”.")},
        **_PLACES,
        "global_auth": identity.GLOBAL_AUTH,
        "allow": identity.ALLOW,
        "realm": {
            "type": "string",
            "default": REALM,
            "description": _("Named in the answer to a caller without a key."),
            "maxLength": 64,
            "pattern": r'[^"\\\x00-\x1f\x7f-\U0010ffff]*',
            "x-pattern-text": _("printable ASCII characters other than quotes and backslashes"),
        },
    },
}

EXAMPLE = """\
credentials:
# Reference the key named secretName
- $ref{secretName}
keys:
- apikey
- x-api-key
"""


def check(config: Config, level: str) -> list[Finding]:
    found = identity.check_levels(config, level)
    if identity.only_authorizes(config):
        return found
    if ("consumers" in config) == ("credentials" in config):
        text = (
            _("Enter either “consumers” or “credentials”, not both.") if "consumers" in config else _("Enter “consumers” or “credentials”.")
        )
        found.append((("credentials",) if "credentials" in config else (), text))
    found += identity.check_names(config.get("consumers", ()))
    found += _check_places(config, ())
    for number, consumer in enumerate(config.get("consumers", ())):
        path: Path = ("consumers", number)
        if ("credential" in consumer) == ("credentials" in consumer):
            found.append((path, _("Enter either “credential” or “credentials” for this consumer.")))
        found += _check_places(config | consumer, path, own={"keys", "in_query", "in_header"} & consumer.keys())
    if "keys" not in config and not all("keys" in consumer for consumer in config.get("consumers", ({},))):
        found.append(((), _("The field “keys” is missing: it says where a caller puts its key.")))
    return [*found, *_repeated(config)]


def native(config: Config, level: str, above: Config | None = None) -> Native:
    return admission.admitting(config, above, _admit)


def _admit(config: Config) -> Native:
    """Where a key is looked for is one list for all callers of a rule: Envoy knows no place of a single caller's own."""
    consumers = config.get("consumers", ())
    groups = [config | consumer for consumer in consumers] or [config]
    sources = dict.fromkeys(source for group in groups for source in _places(group))
    challenge = f'Key realm="{config.get("realm", REALM)}"'
    return admission.by_key(list(_accepted(config)), sources, asks="key", challenge=challenge, named=bool(consumers))


def _places(config: Config) -> Iterator[Source]:
    for name in config["keys"]:
        if config.get("in_header", True):
            yield Source("header", name.lower())
        if config.get("in_query", True):
            yield Source("query", name)


def _accepted(config: Config) -> Iterator[Accepted]:
    for number, template in enumerate(config.get("credentials", ())):
        yield Accepted(("credentials", number), template, f"credentials/{number}")
    for number, consumer in enumerate(config.get("consumers", ())):
        if "credential" in consumer:
            yield Accepted(("consumers", number, "credential"), consumer["credential"], f"{consumer['name']}/0")
        for place, template in enumerate(consumer.get("credentials", ())):
            yield Accepted(("consumers", number, "credentials", place), template, f"{consumer['name']}/{place}")


def _check_places(config: Config, path: Path, own: set[str] | None = None) -> Iterator[Finding]:
    """`own`: the fields that stand in this very place; the others come from around it and are judged there."""
    header, query = config.get("in_header", True), config.get("in_query", True)
    if not header and not query and (own is None or own & {"in_header", "in_query"}):
        yield path, _("“in_header” and “in_query” are both false: the key could be put nowhere.")
    if own is not None and "keys" not in own:
        return
    for number, name in enumerate(config.get("keys", ())):
        for kind in (["header"] if header else []) + (["query"] if query else []):
            if kind == "header" and name.lower() == "authorization":
                continue  # as documented: the credential is then “Bearer $ref{name}”
            if wrong := check_source(Source(kind, name.lower() if kind == "header" else name)):
                yield (*path, "keys", number), next(iter(wrong.values()))[0]
                break


def _repeated(config: Config) -> Iterator[Finding]:
    """Two callers with one key could not be told apart, and Envoy refuses the whole list."""
    places: list[Path] = [("credentials", number) for number in range(len(config.get("credentials", ())))]
    for number, consumer in enumerate(config.get("consumers", ())):
        if "credential" in consumer:
            places.append(("consumers", number, "credential"))
        places += [("consumers", number, "credentials", place) for place in range(len(consumer.get("credentials", ())))]
    seen = set()
    for path in places:
        value: Any = config
        for step in path:
            value = value[step]
        if (text := str(value).lower()) in seen:
            yield path, _("This credential stands here twice. Every caller needs one of its own.")
        seen.add(text)


_SECRET = Secret(inbound=True, travels=_("Only in the list of accepted keys, which Envoy never shows."))

PLUGIN = Official(
    name="key-auth",
    title=_("Key authentication"),
    summary=_("Lets in callers who present a key, in a header or a query parameter."),
    documentation=(
        _("A caller presents its key in one of the headers or query parameters that “keys” names. Without a valid one it gets 401."),
        _("“credentials” lets in callers without a name. “consumers” gives each a name, which the back end receives as x-mse-consumer."),
        _("The rule of a service can hold “allow” alone: then only those consumers of the instance's rule may call it; others get 403."),
        _("The key that let a caller in does not travel on to the back end."),
    ),
    version="1.0.0",
    phase="authentication",
    priority=310,
    schema=SCHEMA,
    example=EXAMPLE,
    secret_fields={
        "credentials[*]": _SECRET,
        "consumers[*].credential": _SECRET,
        "consumers[*].credentials[*]": _SECRET,
    },
    check=check,
    covers=identity.covers_every_service,
    native=native,
)
