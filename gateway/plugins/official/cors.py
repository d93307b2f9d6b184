"""cors: which web pages of other origins a browser lets call a service."""

import re
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from gateway.names import CORS
from gateway.plugins.base import Config, Finding, Native, Official
from gateway.plugins.envoy import typed

METHODS = ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"]
MAX_AGE = 86400  # seconds

_TOKENS: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "string",
        "minLength": 1,
        "maxLength": 64,
        "pattern": r"\*|[A-Za-z0-9!#$%&'+.^_`|~-]+",
        "x-pattern-text": _("the letters of a name, or * alone"),
    },
    "maxItems": 64,
}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "allow_origins": {
            "type": "array",
            "description": _("Origins that may call: “https://app.example.com”, or “*” for all."),
            "items": {"type": "string", "minLength": 1, "maxLength": 256},
            "maxItems": 64,
        },
        "allow_origin_patterns": {
            "type": "array",
            "description": _("Origins with a * in them: “https://*.example.com”. A * stands for any characters other than a slash."),
            "items": {
                "type": "string",
                "minLength": 1,
                "maxLength": 256,
                "pattern": r"(https?://)?[A-Za-z0-9.*:\[\]_-]+",
                "x-pattern-text": _("a scheme, a host and a port, with * in any of them"),
            },
            "maxItems": 16,
        },
        "allow_methods": _TOKENS | {"description": _("Methods that may be used."), "default": METHODS},
        "allow_headers": _TOKENS | {"description": _("Request headers that may be sent."), "default": ["*"]},
        "expose_headers": _TOKENS | {"description": _("Response headers that the page may read.")},
        "allow_credentials": {"type": "boolean", "default": False, "description": _("Whether cookies and credentials may be sent.")},
        "max_age": {
            "type": "integer",
            "default": MAX_AGE,
            "description": _("How many seconds a browser may remember the answer."),
            "minimum": 0,
            "maximum": 604800,
        },
    },
}

EXAMPLE = """\
allow_origins:
- https://app.example.com
allow_methods:
- GET
- POST
allow_headers:
- authorization
- content-type
max_age: 3600
"""


def check(config: Config, level: str) -> list[Finding]:
    found: list[Finding] = []
    if not config.get("allow_origins") and not config.get("allow_origin_patterns"):
        found.append(((), _("Enter at least one origin, in “allow_origins” or “allow_origin_patterns”.")))
    for number, origin in enumerate(config.get("allow_origins", ())):
        if not _is_origin(origin):
            found.append((("allow_origins", number), _("An origin is a scheme, a host and perhaps a port: “https://app.example.com”.")))
    if config.get("allow_credentials") and "*" in config.get("allow_origins", ()):
        found.append(
            (("allow_credentials",), _("Credentials from every origin would let any web page act for its visitor. Name the origins."))
        )
    return found


def native(config: Config, level: str, above: Config | None = None) -> Native:
    policy = typed(
        "cors.v3.CorsPolicy",
        allow_origin_string_match=[
            *({"exact": origin} if origin != "*" else {"safe_regex": {"regex": ".*"}} for origin in config.get("allow_origins", ())),
            *({"safe_regex": {"regex": _pattern(origin)}} for origin in config.get("allow_origin_patterns", ())),
        ],
        allow_methods=",".join(config.get("allow_methods", METHODS)),
        allow_headers=",".join(config.get("allow_headers", ["*"])),
        expose_headers=",".join(config.get("expose_headers", ())),
        max_age=str(config.get("max_age", MAX_AGE)),
        allow_credentials=config.get("allow_credentials", False),
    )
    return Native(slots={CORS: policy})


def _pattern(origin: str) -> str:
    """As a regular expression; whatever is no letter and no digit stands in it by its number."""
    return "".join("[^/]*" if c == "*" else c if c.isalnum() else f"\\x{ord(c):02x}" for c in origin)


def _is_origin(text: str) -> bool:
    if text in ("*", "null"):
        return True
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    written = f"{parts.scheme}://{parts.netloc}"
    return bool(re.fullmatch(r"[a-z][a-z0-9+.-]*", parts.scheme) and parts.hostname) and text == written and "@" not in text and port != 0


PLUGIN = Official(
    name="cors",
    title=_("CORS"),
    summary=_("Lets web pages of other origins call a service from a browser."),
    documentation=(
        _("Browsers ask before a page calls another origin. This plugin answers for the services, in front of all authentication."),
        _("It keeps nobody out: a program that is no browser does not ask."),
    ),
    version="1.0.0",
    phase="authentication",
    priority=400,
    schema=SCHEMA,
    example=EXAMPLE,
    check=check,
    native=native,
)
