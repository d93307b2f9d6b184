"""The plug-in of a rule as the inventory has it: of the catalogue, or of a script of one's own."""

import hashlib

from gateway.inventory import Rule, Script
from gateway.plugins import CATALOGUE, custom
from gateway.plugins.base import Official


def plugin_of(rule: Rule) -> Official:
    if (own := rule.script) is None:
        return CATALOGUE[rule.plugin]
    return custom.official(rule.plugin, "", own.schema, own.phase, own.priority, 0, own.source)


def script_name(plugin: str, script: Script | str) -> str:
    """What a policy calls a script: by what it does, so that the same name with another text is another one."""
    source = script if isinstance(script, str) else script.source
    return f"plugin:{plugin}@{hashlib.sha256(source.encode()).hexdigest()[:16]}"
