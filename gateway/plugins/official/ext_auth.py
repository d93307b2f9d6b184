"""ext-auth: another service decides who may call."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from django.utils.translation import gettext_lazy as _

from gateway.address import parse_address
from gateway.names import LOOP_HEADER
from gateway.plugins.base import Callee, Config, Finding, Here, Native, Official, Secret, SecretName, Sent
from gateway.plugins.envoy import removing, typed
from gateway.plugins.paths import Path
from secrets_app.refs import Template

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_FIXED = {"connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}

TIMEOUT = 1000  # milliseconds
BODY_LIMIT = 1024 * 1024  # bytes
ERRORS = [403, 401, 429, 500, 502, 503, 504]  # Envoy knows a list of statuses and refuses any other

_HEADERS: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "string",
        "maxLength": 64,
        "pattern": _HEADER.pattern,
        "x-pattern-text": _("letters, digits and hyphens"),
    },
    "maxItems": 32,
    "uniqueItems": True,
}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["http_service"],
    "properties": {
        "http_service": {
            "type": "object",
            "description": _("The service that decides, and what it is told."),
            "additionalProperties": False,
            "required": ["endpoint"],
            "properties": {
                "endpoint": {
                    "type": "object",
                    "description": _("Where the service is."),
                    "additionalProperties": False,
                    "required": ["address"],
                    "properties": {
                        "address": {
                            "type": "string",
                            "description": _("Its address; the caller's own path is appended to it."),
                            "maxLength": 500,
                            "examples": ["https://auth.example.com/check"],
                        },
                    },
                },
                "timeout": {
                    "type": "integer",
                    "default": TIMEOUT,
                    "description": _("How long to wait for its answer, in milliseconds."),
                    "minimum": 1,
                    "maximum": 30000,
                },
                "authorization_request": {
                    "type": "object",
                    "description": _("What it receives beside the method, the path and the caller's “authorization” header."),
                    "additionalProperties": False,
                    "properties": {
                        "allowed_headers": _HEADERS | {"description": _("Further headers of the caller that it receives.")},
                        "headers_to_add": {
                            "type": "object",
                            "description": _("Headers added to the question, such as a key that shows it comes from this gateway."),
                            "additionalProperties": {"type": "string", "maxLength": 4096},
                        },
                        "with_request_body": {
                            "type": "boolean",
                            "default": False,
                            "description": _("Send the caller's body along, up to 1 MiB; a larger one is refused with 413."),
                        },
                    },
                },
                "authorization_response": {
                    "type": "object",
                    "description": _("What is taken from its answer."),
                    "additionalProperties": False,
                    "properties": {
                        "allowed_upstream_headers": _HEADERS | {"description": _("Headers that the back end receives when it says yes.")},
                        "allowed_client_headers": _HEADERS | {"description": _("Headers that the caller receives when it says no.")},
                    },
                },
            },
        },
        "status_on_error": {
            "type": "integer",
            "default": ERRORS[0],
            "description": _("The status callers get while the service cannot be asked."),
            "enum": ERRORS,
        },
    },
}

EXAMPLE = """\
http_service:
  endpoint:
    address: https://auth.example.com/check
  timeout: 1000
  authorization_request:
    headers_to_add:
      x-gateway-token: $ref{gateway_token}
  authorization_response:
    allowed_upstream_headers:
    - x-user-id
"""


def check(config: Config, level: str) -> list[Finding]:
    request: Path = ("http_service", "authorization_request")
    response: Path = ("http_service", "authorization_response")
    service = config["http_service"]
    asked, answered = service.get("authorization_request", {}), service.get("authorization_response", {})
    found: list[Finding] = []
    for name, value in asked.get("headers_to_add", {}).items():
        path = (*request, "headers_to_add", name)
        found += _problem_with_name(name, path)
        if not _PRINTABLE.fullmatch(value.literal if isinstance(value, Template) else value):
            found.append((path, _("A value here may hold only printable ASCII characters, and no line break.")))
    for around, group, fields in (
        (request, asked, ["allowed_headers"]),
        (response, answered, ["allowed_upstream_headers", "allowed_client_headers"]),
    ):
        for field in fields:
            for number, name in enumerate(group.get(field, ())):
                found += _problem_with_name(name, (*around, field, number))
    return found


def destinations(config: Config) -> list[tuple[Path, str]]:
    return [(("http_service", "endpoint", "address"), config["http_service"]["endpoint"]["address"])]


def sends(config: Config) -> list[Sent]:
    """With the question alone: no plugin and no back end sees what is added to it."""
    path: Path = ("http_service", "authorization_request", "headers_to_add")
    service = config["http_service"]
    added = service.get("authorization_request", {}).get("headers_to_add", {})
    return [Sent((*path, name), (name.lower(),), service["endpoint"]["address"]) for name in added]


def native(config: Config, level: str, above: Config | None = None) -> Native:
    """Headers that are only taken from the answer are taken off the request first: an answer without one would leave the caller's."""
    service = config["http_service"]
    asked, answered = service.get("authorization_request", {}), service.get("authorization_response", {})
    shown = {name.lower() for name in asked.get("allowed_headers", ())}
    taken = [name.lower() for name in answered.get("allowed_upstream_headers", ())]
    own = [name for name in taken if name not in shown]
    body = {"max_request_bytes": BODY_LIMIT, "allow_partial_message": False}
    question = typed(
        "ext_authz.v3.ExtAuthz",
        http_service=_http_service(service, asked, taken, answered.get("allowed_client_headers", ())),
        **({"allowed_headers": _any_of(shown)} if shown else {}),
        **({"with_request_body": body} if asked.get("with_request_body") else {}),
        failure_mode_allow=False,
        status_on_error={"code": config.get("status_on_error", ERRORS[0])},
    )
    return Native(filters=((removing(own), question) if own else (question,)))


def _http_service(service: Config, asked: Config, taken: list[str], told: Iterable[str]) -> dict[str, Any]:
    address = parse_address(service["endpoint"]["address"])
    added = {name.lower(): value for name, value in asked.get("headers_to_add", {}).items()}
    path: Path = ("http_service", "authorization_request", "headers_to_add")
    written = {name.lower(): name for name in asked.get("headers_to_add", {})}
    secrets = [(name, SecretName((*path, written[name]), value)) for name, value in added.items() if isinstance(value, Template)]
    plain = [{"key": name, "value": value.replace("%", "%%")} for name, value in added.items() if isinstance(value, str)]
    return {
        "server_uri": {
            "uri": str(address),
            "cluster": Callee(str(address), tuple(secrets)),
            "timeout": f"{service.get('timeout', TIMEOUT) / 1000:.3f}s",
        },
        "path_prefix": address.path,
        "authorization_request": {"headers_to_add": [{"key": LOOP_HEADER, "value": Here.LOOP_MARK}, *plain]},
        "authorization_response": {
            **({"allowed_upstream_headers": _any_of(taken)} if taken else {}),
            # Left out it would mean every header that the service answers with.
            "allowed_client_headers": _any_of({"content-type", *(name.lower() for name in told)}),
        },
    }


def _any_of(names: Iterable[str]) -> dict[str, Any]:
    return {"patterns": [{"exact": name, "ignore_case": True} for name in sorted(names)]}


def _problem_with_name(name: str, path: Path) -> Iterator[Finding]:
    if not _HEADER.fullmatch(name):
        yield path, _("Enter a header name of letters, digits and hyphens, such as x-api-key.")
    elif name.lower() in _FIXED or name.lower().startswith(("x-envoy-", "x-latchkey-")):
        yield path, _("This header belongs to the connection or to the gateway, and cannot be used here.")


PLUGIN = Official(
    name="ext-auth",
    title=_("External authorization"),
    summary=_("Asks a service of yours whether a request may pass."),
    documentation=(
        _("For each request the gateway asks the service with the caller's method, path and authorization header."),
        _("200 lets the request pass; any other answer goes back to the caller. While the service cannot be asked, nobody passes."),
        _("Values of “headers_to_add” may refer to keys: $ref{name}."),
    ),
    version="1.0.0",
    phase="authentication",
    priority=290,
    schema=SCHEMA,
    example=EXAMPLE,
    secret_fields={
        "http_service.authorization_request.headers_to_add.*": Secret(
            inbound=False,
            required=False,
            travels=_("Delivered to the gateway as a secret, which Envoy never shows, and added to the question there."),
        )
    },
    check=check,
    destinations=destinations,
    sends=sends,
    native=native,
)
