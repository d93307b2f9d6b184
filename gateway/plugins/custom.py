"""A custom plugin: Lua with a declared schema, looked at like an official one.

Fields marked `"x-secret": true` take `$ref{}`. Their values never stand in the script's text: each travels as a secret into
a request header of a private name, which the script's `config.<field>` reads and takes away before anything else sees it.
"""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

from gateway.plugins import schema as schemas
from gateway.plugins.base import Config, Native, Official, Secret, SecretName, Sent
from gateway.plugins.envoy import injecting, private, script
from secrets_app.refs import Template

SCHEMA_LIMIT = 16 * 1024  # characters
SECRETS = 16  # fields; each is a header of every request

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")  # a name in Lua

_RUNNER = Path(__file__).with_suffix(".lua").read_text()
_SENT = Secret(
    inbound=False,
    travels=_("Delivered to the gateway as a secret, which Envoy never shows, and handed to the script with each request."),
)


@lru_cache(maxsize=256)
def official(name: str, description: str, schema: str, phase: str, priority: int, version: int, source: str = "") -> Official:
    """`schema` is JSON text that `problem_with_schema` has nothing against."""
    declared: dict[str, Any] = json.loads(schema)
    fields: dict[str, Any] = declared.get("properties", {})

    def native(config: Config, level: str, above: Config | None = None) -> Native:
        return _native(name, source, config)

    def sends(config: Config) -> list[Sent]:
        """To the script, which may put it anywhere on the request."""
        return [Sent((field,), ("*",), to_script=True) for field, value in config.items() if isinstance(value, Template)]

    return Official(
        name=name,
        title=name,
        summary=description,
        documentation=(description,) if description else (),
        version=str(version),
        phase=phase,
        priority=priority,
        schema={"additionalProperties": False, **declared},
        example=_start(declared),
        secret_fields={field: _SENT for field, of in fields.items() if of.get("x-secret")},
        sends=sends,
        native=native,
    )


def _start(declared: dict[str, Any]) -> str:
    """Of a rule: the fields that it cannot do without."""
    fields: dict[str, Any] = declared.get("properties", {})
    return "".join(f"{name}: {_sample(fields[name])}\n" for name in declared.get("required", ()))


def _sample(of: dict[str, Any]) -> str:
    if of.get("x-secret"):
        return "$ref{secretName}"
    simple: dict[str, Any] = {"string": "", "integer": of.get("minimum", 0), "number": of.get("minimum", 0), "boolean": False, "array": []}
    return json.dumps(of.get("default", of.get("enum", [simple.get(of.get("type", "object"), {})])[0]))


def problem_with_schema(text: str) -> str:
    """Why it cannot be the schema of a custom plugin; empty when it can."""
    if len(text) > SCHEMA_LIMIT:
        return str(_("The schema is longer than %(limit)d KiB.") % {"limit": SCHEMA_LIMIT // 1024})
    try:
        declared = json.loads(text)
        json.dumps(declared, ensure_ascii=False).encode()  # half of a character, written as an escape, can be shown nowhere
    except (ValueError, RecursionError):
        return str(_("This is not JSON. A schema looks like this: %(example)s") % {"example": EXAMPLE})
    if problem := schemas.problem_with(declared):
        return problem
    if declared.get("type") != "object":
        return str(_("The schema must describe a group of fields: “type” must be “object”."))
    fields = declared.get("properties", {})
    if strange := next((field for field in fields if not _FIELD.fullmatch(field)), ""):
        return str(_("“%(field)s” cannot be the name of a field: use letters, digits and underscores.") % {"field": strange[:64]})
    if any(of.get("x-secret") and of.get("type") != "string" for of in fields.values()):
        return str(_("A field with “x-secret” must be of type “string”."))
    if sum(bool(of.get("x-secret")) for of in fields.values()) > SECRETS:
        return str(_("At most %(limit)d fields can have “x-secret”.") % {"limit": SECRETS})
    if any(_hidden_secret(of) for of in fields.values()):
        return str(_("“x-secret” can mark only fields of the schema itself, not those inside another field."))
    return ""


def _native(name: str, source: str, config: Config) -> Native:
    """The rules of one plugin run the same text, and differ in what they hand to it."""
    secrets = {field: value for field, value in config.items() if isinstance(value, Template)}
    plain = {field: value for field, value in config.items() if field not in secrets}
    context = {"config": plain, "secrets": {field: private(number) for number, field in enumerate(secrets)}}
    injections = [injecting(number, SecretName((field,), value)) for number, (field, value) in enumerate(secrets.items())]
    text = f"local NAME, SOURCE = {_quoted(name)}, {_quoted(source)}\n{_RUNNER}"
    return Native(filters=(*injections, script(text, context, "custom")))


def _quoted(text: str) -> str:
    """As a string of Lua: whatever is not plain ASCII stands in it by its number."""
    return '"' + "".join(chr(b) if 0x20 <= b <= 0x7E and b not in b'"\\' else f"\\{b:03d}" for b in text.encode()) + '"'


def _hidden_secret(of: dict[str, Any]) -> bool:
    inner = [
        *of.get("properties", {}).values(),
        *(of[name] for name in ("items", "additionalProperties") if isinstance(of.get(name), dict)),
    ]
    return any(one.get("x-secret") or _hidden_secret(one) for one in inner)


EXAMPLE = '{"type": "object", "properties": {"token": {"type": "string", "x-secret": true}}}'
