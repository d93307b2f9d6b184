"""transformer: headers and query parameters changed on the way."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path as File
from typing import Any

from django.utils.translation import gettext_lazy as _

from gateway.plugins.base import Config, Finding, Native, Official, Secret, SecretName, Sent
from gateway.plugins.envoy import injecting, private, script
from gateway.plugins.paths import Path
from secrets_app.refs import Template

_SCRIPT = File(__file__).with_suffix(".lua").read_text()

# The fields that each operation takes, all of them required.
OPERATIONS: dict[str, tuple[str, ...]] = {
    "remove": ("key",),
    "rename": ("oldKey", "newKey"),
    "replace": ("key", "newValue"),
    "add": ("key", "value"),
    "append": ("key", "appendValue"),
    "map": ("fromKey", "toKey"),
}
NAMES = ("key", "oldKey", "newKey", "fromKey", "toKey")
VALUES = ("value", "newValue", "appendValue")

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_PARAMETER = re.compile(r"[A-Za-z0-9_.~-]{1,64}")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_FIXED = {"connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
_OURS = ("x-envoy-", "x-latchkey-")

_ITEMS: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "maxItems": 64,
    "items": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "key": {"type": "string", "description": _("The name, for remove, replace, add and append.")},
            "value": {"type": "string", "description": _("What “add” sets where the name is absent."), "maxLength": 4096},
            "newValue": {"type": "string", "description": _("What “replace” puts in place of a value that is there."), "maxLength": 4096},
            "appendValue": {"type": "string", "description": _("What “append” adds beside what is there."), "maxLength": 4096},
            "oldKey": {"type": "string", "description": _("The name that “rename” takes away.")},
            "newKey": {"type": "string", "description": _("The name that “rename” gives.")},
            "fromKey": {"type": "string", "description": _("The name whose value “map” copies.")},
            "toKey": {"type": "string", "description": _("The name that “map” copies to.")},
        },
    },
}


def _rules(description: Any, places: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "array",
        "description": description,
        "minItems": 1,
        "maxItems": 16,
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["operate"],
            "properties": {
                "operate": {
                    "type": "string",
                    "description": _("What to do. Operations run in the order written."),
                    "enum": list(OPERATIONS),
                },
                **places,
            },
        },
    }


SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "reqRules": _rules(
            _("Changes to the request, before it goes to the back end."),
            {
                "headers": _ITEMS | {"description": _("Request headers.")},
                "querys": _ITEMS | {"description": _("Query parameters.")},
            },
        ),
        "respRules": _rules(
            _("Changes to the answer, before it goes to the caller."),
            {"headers": _ITEMS | {"description": _("Response headers.")}},
        ),
    },
}

EXAMPLE = """\
reqRules:
- operate: add
  headers:
  - key: x-partner-token
    value: $ref{partner_token}
- operate: remove
  querys:
  - key: debug
"""


def check(config: Config, level: str) -> list[Finding]:
    if not config:
        return [((), _("Enter “reqRules” or “respRules”."))]
    return list(_findings(config))


def native(config: Config, level: str, above: Config | None = None) -> Native:
    """One script for all of it: Envoy's own way of changing a query writes the whole of it anew, and knows no order of operations."""
    secrets: list[SecretName] = []
    context = {
        "request": [_step(item, secrets) for item in _items(config, "reqRules")],
        "response": [_step(item, secrets) for item in _items(config, "respRules")],
        "secrets": [private(number) for number in range(len(secrets))],
    }
    injections = [injecting(number, secret) for number, secret in enumerate(secrets)]
    return Native(filters=(*injections, script(_SCRIPT, context, "transformer")))


def sends(config: Config) -> list[Sent]:
    """Under the name that it is given, and under those that the rule gives it afterwards. In what order is not looked at: rather one name
    too many."""
    passed_on: dict[tuple[str, str], set[str]] = {}
    for operation, place, item, _path in _items(config, "reqRules"):
        if operation in ("rename", "map"):
            was, becomes = (_name(item[field], place) for field in OPERATIONS[operation])
            passed_on.setdefault((place, was), set()).add(becomes)
    return [
        Sent((*path, OPERATIONS[operation][1]), tuple(sorted(_names(place, _name(item["key"], place), passed_on))))
        for operation, place, item, path in _items(config, "reqRules")
        if OPERATIONS[operation][-1] in VALUES
    ]


def _names(place: str, name: str, passed_on: Mapping[tuple[str, str], set[str]]) -> set[str]:
    found, look = {name}, [name]
    while look:
        new = passed_on.get((place, look.pop()), set()) - found
        found |= new
        look += new
    return found if place == "headers" else {f"?{one}" for one in found}


def _items(config: Config, side: str) -> Iterator[tuple[str, str, Config, Path]]:
    """Operation, place, what it names, and where it stands."""
    for number, rule in enumerate(config.get(side, ())):
        for place in ("headers", "querys"):
            for at, item in enumerate(rule.get(place, ())):
                yield rule["operate"], place, item, (side, number, place, at)


def _step(found: tuple[str, str, Config, Path], secrets: list[SecretName]) -> dict[str, Any]:
    """As the script reads it. A value that refers to keys becomes the number of a secret, counted from 1."""
    operation, place, item, path = found
    fields = OPERATIONS[operation]
    step: dict[str, Any] = {"do": operation, "place": place.removesuffix("s"), "name": _name(item[fields[0]], place)}
    if len(fields) == 1:
        return step
    second = item[fields[1]]
    if fields[1] in NAMES:
        return step | {"to": _name(second, place)}
    if not isinstance(second, Template):
        return step | {"value": second}
    secrets.append(SecretName((*path, fields[1]), second))
    return step | {"secret": len(secrets)}


def _name(name: str, place: str) -> str:
    return name.lower() if place == "headers" else name


def _findings(config: Config) -> Iterator[Finding]:
    for side, rules in config.items():
        for number, rule in enumerate(rules):
            path: Path = (side, number)
            if not {"headers", "querys"} & rule.keys():
                yield (
                    path,
                    _("Enter what to change: “headers” or “querys”.") if side == "reqRules" else _("Enter what to change: “headers”."),
                )
            for place in ("headers", "querys"):
                for at, item in enumerate(rule.get(place, ())):
                    yield from _of_item(item, rule["operate"], place, (*path, place, at))


def _of_item(item: Config, operation: str, place: str, path: Path) -> Iterator[Finding]:
    wanted = OPERATIONS[operation]
    if set(item) != set(wanted):
        yield (
            path,
            _("“%(operation)s” takes the fields %(names)s, no more and no fewer.") % {"operation": operation, "names": ", ".join(wanted)},
        )
        return
    for name in wanted:
        value = item[name]
        if name in NAMES and (problem := _problem_with_name(value, place)):
            yield (*path, name), problem
        literal = value.literal if isinstance(value, Template) else value
        if name in VALUES and not _PRINTABLE.fullmatch(literal):
            yield (*path, name), _("A value here may hold only printable ASCII characters, and no line break.")


def _problem_with_name(name: Any, place: str) -> Any:
    if place == "querys":
        return (
            "" if _PARAMETER.fullmatch(name) else _("Enter a parameter name of letters, digits, hyphens and underscores, such as api_key.")
        )
    if not _HEADER.fullmatch(name):
        return _("Enter a header name of letters, digits and hyphens, such as x-api-key.")
    if name.lower() in _FIXED or name.lower().startswith(_OURS):
        return _("This header belongs to the connection or to the gateway, and cannot be changed.")
    return ""


_SENT = Secret(
    inbound=False,
    required=False,
    travels=_("Delivered to the gateway as a secret, which Envoy never shows, and put into the request there."),
)
_TOLD = _("Callers read the answer: a key's value would be handed to them.")

PLUGIN = Official(
    name="transformer",
    title=_("Request and response transformation"),
    summary=_("Adds, replaces, renames and removes headers and query parameters."),
    documentation=(
        _("Operations run one after the other, on the request after the caller was let in, and on the answer."),
        _("“add” leaves a value that is there already alone; “replace” changes only what is there; “append” adds a further value."),
        _("Values of request headers and query parameters may refer to keys: $ref{name}."),
    ),
    version="1.0.0",
    phase="default",
    priority=410,
    schema=SCHEMA,
    example=EXAMPLE,
    secret_fields={f"reqRules[*].{place}[*].{name}": _SENT for place in ("headers", "querys") for name in VALUES},
    no_secret={f"respRules[*].headers[*].{name}": _TOLD for name in VALUES},
    check=check,
    sends=sends,
    native=native,
)
