"""A part of JSON Schema 2020-12, enough for configurations of plugins, with messages for people that never repeat a value.

Only what KEYWORDS names is understood. A library would bring every keyword, and with them patterns that take minutes,
references into the network, and messages that quote what stands in the text: credentials too. A schema that a person
declares for a custom plugin is checked by `problem_with`, and may hold no pattern.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from gateway.plugins.base import Finding
from gateway.plugins.paths import Path
from secrets_app.refs import Template

TYPES: dict[str, Promise] = {
    "object": _("This must be a group of fields."),
    "array": _("This must be a list: put “- ” in front of each item."),
    "string": _("This must be text. Put it in quotes."),
    "integer": _("This must be a whole number."),
    "number": _("This must be a number."),
    "boolean": _("This must be true or false."),
}

KEYWORDS = {
    "$schema", "title", "description", "default", "examples", "type", "enum", "properties", "required", "additionalProperties",
    "items", "minItems", "maxItems", "uniqueItems", "minLength", "maxLength", "minimum", "maximum", "pattern", "x-pattern-text",
    "x-secret",
}  # fmt: skip


class UnknownField(str):
    """A message about a field's name, not about its value. `meant` is the field that was probably meant."""

    meant = ""


def findings(config: Any, schema: Mapping[str, Any], path: Path = ()) -> Iterator[Finding]:
    """What a value lacks to be what its schema asks for. A reference fits wherever text does."""
    kind = schema.get("type")
    if kind is not None and not _is(config, kind):
        yield path, TYPES[kind] if config is not None else _("A value is missing here.")
        return
    if "enum" in schema and not isinstance(config, Template) and config not in schema["enum"]:
        yield path, _("This must be one of: %(choices)s.") % {"choices": ", ".join(map(str, schema["enum"]))}
    elif isinstance(config, dict):
        yield from _of_fields(config, schema, path)
    elif isinstance(config, list):
        yield from _of_items(config, schema, path)
    elif isinstance(config, str):
        yield from _of_text(config, schema, path)
    elif isinstance(config, int | float) and not isinstance(config, bool):
        yield from _of_number(config, schema, path)


def nearest(name: str, known: Sequence[str]) -> str:
    """The known name that was probably meant; empty when none is close."""
    folded = {other.lower(): other for other in known}
    found = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.7)
    return folded[found[0]] if found else ""


def _is(value: Any, kind: str) -> bool:
    match kind:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str | Template)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case _:
            return isinstance(value, int | float) and not isinstance(value, bool)


def _of_fields(config: Mapping[str, Any], schema: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    known: Mapping[str, Any] = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in config:
            yield path, _("The field “%(name)s” is missing here.") % {"name": name}
    others = schema.get("additionalProperties", True)
    for name, value in config.items():
        if name in known:
            yield from findings(value, known[name], (*path, name))
        elif others is False:
            yield (*path, name), _unknown(name, list(known))
        elif isinstance(others, Mapping):
            yield from findings(value, others, (*path, name))


def _unknown(name: str, known: Sequence[str]) -> UnknownField:
    if meant := nearest(name, known):
        told = UnknownField(_("There is no such field here. Did you mean “%(name)s”?") % {"name": meant})
        told.meant = meant
        return told
    if not known:
        return UnknownField(_("There is no such field here."))
    return UnknownField(_("There is no such field here. Choose from: %(names)s.") % {"names": ", ".join(known)})


def _of_items(config: Sequence[Any], schema: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    if len(config) < (least := schema.get("minItems", 0)):
        text = ngettext_lazy("This list needs at least %(count)d item.", "This list needs at least %(count)d items.", least)
        yield path, str(text % {"count": least})
    if len(config) > (most := schema.get("maxItems", len(config))):
        text = ngettext_lazy("This list takes at most %(count)d item.", "This list takes at most %(count)d items.", most)
        yield path, str(text % {"count": most})
        return
    if "items" in schema:
        for number, item in enumerate(config):
            yield from findings(item, schema["items"], (*path, number))
    if schema.get("uniqueItems"):
        seen: dict[str, int] = {}
        for number, item in enumerate(config):
            if (first := seen.setdefault(repr(item), number)) != number:
                yield (*path, number), _("This item stands in the list twice; it is number %(first)d already.") % {"first": first + 1}


def _of_text(config: str, schema: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    if len(config) < (least := schema.get("minLength", 0)):
        text = ngettext_lazy("Enter at least %(count)d character.", "Enter at least %(count)d characters.", least)
        yield path, str(text % {"count": least})
    elif len(config) > (most := schema.get("maxLength", len(config))):
        text = ngettext_lazy("Enter at most %(count)d character.", "Enter at most %(count)d characters.", most)
        yield path, str(text % {"count": most})
    elif "pattern" in schema and not re.fullmatch(schema["pattern"], config):
        yield path, _("This may hold only %(characters)s.") % {"characters": schema["x-pattern-text"]}


def _of_number(config: int | float, schema: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    if config < schema.get("minimum", config):
        yield path, _("This must be at least %(least)s.") % {"least": schema["minimum"]}
    elif config > schema.get("maximum", config):
        yield path, _("This must be at most %(most)s.") % {"most": schema["maximum"]}


def problem_with(schema: Any, where: str = "", depth: int = 0) -> str:
    """Why a schema that a person declares cannot be taken; empty when it can."""
    place = where or str(_("the schema"))
    if not isinstance(schema, dict):
        return str(_("%(place)s must be a JSON object.") % {"place": place})
    if depth > 8:
        return str(_("%(place)s is nested too deep.") % {"place": place})
    if strange := schema.keys() - KEYWORDS | schema.keys() & {"pattern", "x-pattern-text"}:
        text = _("%(place)s uses “%(keyword)s”, which is not understood here. Choose from: %(known)s.")
        known = ", ".join(sorted(KEYWORDS - {"pattern", "x-pattern-text"}))
        return str(text % {"place": place, "keyword": min(strange)[:64], "known": known})
    for keyword, fits in _SHAPES.items():
        if keyword in schema and not fits(schema[keyword]):
            return str(_("“%(keyword)s” of %(place)s has a value that it cannot have.") % {"keyword": keyword, "place": place})
    for name, inner in schema.get("properties", {}).items():
        if problem := problem_with(inner, f"{where}.{name}" if where else name, depth + 1):
            return problem
    if strange := set(schema.get("required", ())) - schema.get("properties", {}).keys():
        return str(_("%(place)s requires “%(name)s”, which it does not describe.") % {"place": place, "name": min(strange)})
    others = schema.get("additionalProperties")
    inner = [(others, ".*")] if isinstance(others, dict) else []
    inner += [(schema["items"], "[*]")] if "items" in schema else []
    return next((problem for of, step in inner if (problem := problem_with(of, where + step, depth + 1))), "")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 1000


def _is_simple(value: Any) -> bool:
    """What a page can show in a line."""
    simple = value if isinstance(value, list) else [value]
    return len(simple) <= 100 and all(isinstance(one, str | int | float | bool | None) for one in simple)


_SHAPES: dict[str, Callable[[Any], bool]] = {
    "type": lambda value: isinstance(value, str) and value in TYPES,
    "enum": lambda value: isinstance(value, list) and bool(value) and all(isinstance(one, str | int | float | bool) for one in value),
    "properties": lambda value: isinstance(value, dict) and len(value) <= 100,
    "required": lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
    "additionalProperties": lambda value: isinstance(value, bool | dict),
    "uniqueItems": lambda value: isinstance(value, bool),
    "x-secret": lambda value: isinstance(value, bool),
    **dict.fromkeys(("minItems", "maxItems", "minLength", "maxLength"), _is_count),
    **dict.fromkeys(("minimum", "maximum"), _is_number),
    **dict.fromkeys(("title", "description"), _is_text),
    "default": _is_simple,
}
