"""A rule's text against its plugin: everything that can be said of it without looking into the database."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from gateway.plugins import reading, schema
from gateway.plugins.base import Official
from gateway.plugins.document import FAULT_LIMIT, Document, Fault
from gateway.plugins.paths import Path
from gateway.plugins.schema import UnknownField
from secrets_app.refs import Template


def examine(plugin: Official, text: str, level: str) -> tuple[Document, list[Fault]]:
    """The text as read, and what is wrong with it: syntax first; then schema and references; then what the plugin knows of itself."""
    read = reading.read(text)
    if read.faults:
        return read, list(read.faults)
    # Each takes time to word: of a text in which thousands of fields are wrong the first ones are looked at.
    found = islice(schema.findings(read.tree, plugin.schema), FAULT_LIMIT)
    faults = [_fault(read, path, message) for path, message in found]
    told = {fault.path for fault in faults}
    faults += [fault for fault in _misplaced(plugin, read) if fault.path not in told]
    if not faults:
        faults = [read.fault(path, message) for path, message in plugin.check(read.tree, level)]
    return read, sorted(faults, key=lambda fault: (fault.line, fault.column))[:FAULT_LIMIT]


def _fault(read: Document, path: Path, message: Promise | str) -> Fault:
    if isinstance(message, UnknownField):
        return read.fault(path, message, of_name=True, meant=message.meant)
    return read.fault(path, message)


def _misplaced(plugin: Official, read: Document) -> Iterator[Fault]:
    """References where none can be served safely, and credentials in the clear where one belongs."""
    for placed in read.refs:
        if plugin.secret_at(placed.path) is None:
            why = plugin.why_no_secret(placed.path) or _NO_CREDENTIAL
            yield Fault(placed.mark.line, placed.mark.column, read.fault(placed.path, "").path, str(why))
    for path, leaf in _leaves(read.tree, ()):
        secret = plugin.secret_at(path)
        if secret and secret.required and isinstance(leaf, str):
            yield read.fault(path, _IN_THE_CLEAR)


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*path, number))
    elif isinstance(value, str | Template):
        yield path, value


_NO_CREDENTIAL = _("A reference cannot stand here: this field is no credential, and what stands in it can be read in the gateway.")
_IN_THE_CLEAR = _("A credential cannot stand here in the clear. Create a key with this value, and refer to it: $ref{name}.")
