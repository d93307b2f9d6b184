"""jwt-auth: callers present a signed token. Public keys only: Envoy takes a key set as part of its configuration, and shows it."""

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext_lazy as _

from gateway.jwks import HoldsSecret, NotUsable, public_keys
from gateway.names import PRIVATE_HEADER
from gateway.plugins import admission, identity
from gateway.plugins.base import Config, Finding, Native, Official
from gateway.plugins.envoy import removing, typed
from gateway.plugins.paths import Path
from gateway.sources import Source, check_source

JWKS_LIMIT = 16 * 1024  # characters
CLOCK_SKEW = 60  # seconds

_IN_THE_CLEAR = _(
    "A key set is part of the gateway's configuration, which its administrators can read: a shared or private key would stand there "
    "in the clear. Use public keys (RSA, EC, Ed25519), and write them here as they are."
)

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "consumers": {
            "type": "array",
            "description": _("Who may present a token, and with which keys it must be signed."),
            "minItems": 1,
            "maxItems": 100,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "jwks", "issuer"],
                "properties": {
                    "name": identity.NAME,
                    "jwks": {
                        "type": "string",
                        "description": _("The public keys as a JSON Web Key Set (RFC 7517)."),
                        "minLength": 1,
                        "maxLength": JWKS_LIMIT,
                    },
                    "issuer": {"type": "string", "description": _("What the token's “iss” must be."), "minLength": 1, "maxLength": 256},
                    "claims_to_headers": {
                        "type": "array",
                        "description": _("Claims that the back end receives as headers."),
                        "maxItems": 16,
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["claim", "header"],
                            "properties": {
                                "claim": {"type": "string", "description": _("The claim's name."), "minLength": 1, "maxLength": 128},
                                "header": {"type": "string", "description": _("The header's name."), "minLength": 1, "maxLength": 64},
                            },
                        },
                    },
                    "from_headers": {
                        "type": "array",
                        "description": _("Headers that hold the token. Without any “from_” field it is “Authorization: Bearer”."),
                        "maxItems": 3,
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["name"],
                            "properties": {
                                "name": {"type": "string", "description": _("The header's name."), "minLength": 1, "maxLength": 64},
                                "value_prefix": {
                                    "type": "string",
                                    "description": _("What stands in front of the token, such as “Bearer ”."),
                                    "maxLength": 32,
                                    "pattern": r"[\x20-\x7e]*",
                                    "x-pattern-text": _("printable ASCII characters"),
                                },
                            },
                        },
                    },
                    "from_params": {
                        "type": "array",
                        "description": _("Query parameters that hold the token."),
                        "items": {"type": "string", "minLength": 1, "maxLength": 64},
                        "maxItems": 3,
                    },
                    "from_cookies": {
                        "type": "array",
                        "description": _("Cookies that hold the token."),
                        "items": {
                            "type": "string",
                            "minLength": 1,
                            "maxLength": 64,
                            "pattern": r"[A-Za-z0-9!#$%&'*+.^_`|~-]+",
                            "x-pattern-text": _("letters, digits, hyphens and underscores"),
                        },
                        "maxItems": 3,
                    },
                    "clock_skew_seconds": {
                        "type": "integer",
                        "default": CLOCK_SKEW,
                        "description": _("How far the clocks may be apart, in seconds."),
                        "minimum": 0,
                        "maximum": 3600,
                    },
                    "keep_token": {"type": "boolean", "default": False, "description": _("Let the token travel on to the back end.")},
                },
            },
        },
        "global_auth": identity.GLOBAL_AUTH,
        "allow": identity.ALLOW,
    },
}

EXAMPLE = """\
consumers:
- name: alice
  issuer: https://issuer.example.com
  jwks: |
    {
      "keys": [
        {"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "1",
         "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
         "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}
      ]
    }
"""


def check(config: Config, level: str) -> list[Finding]:
    found = identity.check_levels(config, level)
    if identity.only_authorizes(config):
        return found
    if "consumers" not in config:
        return [*found, ((), _("The field “consumers” is missing here."))]
    found += identity.check_names(config["consumers"])
    for number, consumer in enumerate(config["consumers"]):
        path: Path = ("consumers", number)
        if problem := _problem(consumer["jwks"]):
            found.append(((*path, "jwks"), problem))
        found += _misplaced(consumer, path)
    return found


def native(config: Config, level: str, above: Config | None = None) -> Native:
    return admission.admitting(config, above, _admit)


def _admit(config: Config) -> Native:
    """Each consumer is a provider that answers with a header of its own, which then says who it was."""
    consumers = config["consumers"]
    claims = sorted({row["header"].lower() for consumer in consumers for row in consumer.get("claims_to_headers", ())})
    providers = {f"consumer-{number}": _provider(consumer, number) for number, consumer in enumerate(consumers)}
    any_of = [{"provider_name": name} for name in providers]
    requires = {"requires_any": {"requirements": any_of}} if len(any_of) > 1 else any_of[0]
    authentication = typed("jwt_authn.v3.JwtAuthentication", providers=providers, rules=[{"match": {"prefix": "/"}, "requires": requires}])
    # A token of one consumer says nothing of the headers that another's claims go to.
    cleared = [removing(claims)] if claims else []
    names = [(_payload_header(number), consumer["name"]) for number, consumer in enumerate(consumers)]
    kept = {source for consumer in consumers if consumer.get("keep_token") for source in _sources(consumer)}
    dropped = {source for consumer in consumers if not consumer.get("keep_token") for source in _sources(consumer)}
    return Native(
        filters=(*cleared, authentication, *admission.by_header(names)),
        looks_at=tuple(sorted(dropped, key=str)),
        keeps=frozenset(source.name for source in kept - dropped if source.kind == "header"),
    )


def _provider(consumer: Config, number: int) -> dict[str, Any]:
    """The token stays on the request until nothing reads it any more: Envoy itself would write the whole query anew."""
    headers, params, cookies = (consumer.get(field, []) for field in ("from_headers", "from_params", "from_cookies"))
    if not (headers or params or cookies):
        headers = [{"name": "authorization", "value_prefix": "Bearer "}]  # Envoy's own default looks into the query as well
    claims = [{"claim_name": row["claim"], "header_name": row["header"].lower()} for row in consumer.get("claims_to_headers", ())]
    return {
        "issuer": consumer["issuer"],
        "local_jwks": {"inline_string": public_keys(consumer["jwks"])},
        "from_headers": [{"name": row["name"].lower(), "value_prefix": row.get("value_prefix", "")} for row in headers],
        "from_params": params,
        "from_cookies": cookies,
        "claim_to_headers": claims,
        "clock_skew_seconds": consumer.get("clock_skew_seconds", CLOCK_SKEW),
        "forward": True,
        "forward_payload_header": _payload_header(number),
    }


def _payload_header(number: int) -> str:
    return f"{PRIVATE_HEADER}jwt-{number}"


def _sources(consumer: Config) -> Iterator[Source]:
    """Cookies never travel on."""
    if not any(consumer.get(field) for field in ("from_headers", "from_params", "from_cookies")):
        yield Source("header", "authorization")
    for row in consumer.get("from_headers", ()):
        yield Source("header", row["name"].lower())
    for name in consumer.get("from_params", ()):
        yield Source("query", name)


def _problem(text: str) -> Any:
    try:
        public_keys(text)
    except HoldsSecret:
        return _IN_THE_CLEAR
    except NotUsable as wrong:
        return wrong.message
    return ""


def _misplaced(consumer: Config, path: Path) -> Iterator[Finding]:
    headers = {("from_headers", number, "name"): row["name"] for number, row in enumerate(consumer.get("from_headers", ()))}
    headers |= {("claims_to_headers", number, "header"): row["header"] for number, row in enumerate(consumer.get("claims_to_headers", ()))}
    params = {("from_params", number): name for number, name in enumerate(consumer.get("from_params", ()))}
    sources: dict[Path, Source] = {place: Source("query", name) for place, name in params.items()}
    sources |= {place: Source("header", name.lower()) for place, name in headers.items()}
    for place, source in sources.items():
        if place[0] == "from_headers" and source.name == "authorization":
            continue
        if wrong := check_source(source):
            yield (*path, *place), next(iter(wrong.values()))[0]


PLUGIN = Official(
    name="jwt-auth",
    title=_("JWT authentication"),
    summary=_("Lets in callers who present a token signed with a key you trust."),
    documentation=(
        _("A caller presents a JSON Web Token of the consumer's issuer, signed with one of its keys and not expired. Others get 401."),
        _("The caller's name reaches the back end as x-mse-consumer. The token itself does not travel on, unless “keep_token” is true."),
        _("Only public keys are taken: symmetric key sets would stand readable in the gateway's configuration."),
        _("The rule of a service can hold “allow” alone: then only those consumers of the instance's rule may call it; others get 403."),
    ),
    version="1.0.0",
    phase="authentication",
    priority=300,
    schema=SCHEMA,
    example=EXAMPLE,
    no_secret={"consumers[*].jwks": _IN_THE_CLEAR},
    check=check,
    covers=identity.covers_every_service,
    native=native,
)
