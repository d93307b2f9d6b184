"""Texts against plug-ins, and what is said of them."""

from textwrap import dedent

from gateway.plugins import CATALOGUE
from gateway.plugins.examine import examine

INSTANCE, SERVICE = "instance", "service"


def said(plugin: str, text: str, level: str = INSTANCE) -> list[tuple[str, str]]:
    """Place and message of each fault, in the order of the text."""
    _document, faults = examine(CATALOGUE[plugin], dedent(text), level)
    return [(fault.path, fault.message) for fault in faults]


def passes(plugin: str, text: str, level: str = INSTANCE) -> bool:
    return said(plugin, text, level) == []


def only_fault(plugin: str, text: str, level: str = INSTANCE) -> tuple[str, str]:
    faults = said(plugin, text, level)
    assert len(faults) == 1, faults
    return faults[0]
