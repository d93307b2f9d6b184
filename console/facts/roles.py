"""The table of rights in words: what each role may do, noun by noun, and how narrowly it can be held."""

from collections import defaultdict
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext as now
from django.utils.translation import gettext_lazy as _

from secrets_app.access import ACTIONS, DEPLOYMENT, EVERYBODY, FOR_AN_INSTANCE, INSTANCE, REGION, ROLES, SYSTEM, level_of

NOUNS: dict[str, Promise] = {
    "overview": _("Overview"),
    "key": _("Keys"),
    "consumer": _("Consumers"),
    "instance": _("Instances"),
    "node": _("Nodes"),
    "service": _("AI and Agent services"),
    "mcp": _("MCP services"),
    "plugin": _("Plug-ins on instances"),
    "rule": _("Rules of plug-ins"),
    "custom_plugin": _("Custom plug-ins"),
    "audit": _("Audit log"),
    "user": _("People"),
    "team": _("Teams"),
    "role": _("Roles"),
    "invitation": _("Invitations"),
    "token": _("API tokens"),
    "region": _("Regions"),
    "settings": _("Settings"),
}
LEVELS: dict[str, Promise] = {
    DEPLOYMENT: _("All regions"),
    REGION: _("A region"),
    INSTANCE: _("An instance"),
}


@dataclass(frozen=True, slots=True)
class Right:
    """One row of the table: what it is in a word or two, how narrowly it can be held, and who has it in the order of ROLES."""

    permission: str
    level: Promise
    held: tuple[bool, ...]

    @property
    def verb(self) -> str:
        return capfirst(self.permission.partition(".")[2].replace("_", " ")).replace("jwt", "JWT")


@dataclass(frozen=True, slots=True)
class Role:
    name: str
    label: Promise
    text: Promise

    @property
    def places(self) -> str:
        return now("All regions, a region or an instance") if self.name in FOR_AN_INSTANCE else now("All regions or a region")


def roles() -> list[Role]:
    return [Role(name, label, text) for name, (label, text) in ROLES.items()]


def rights() -> list[tuple[str, list[Right]]]:
    """By noun: what roles differ in, so not what everybody may, nor what only the console's own processes do."""
    groups: dict[str, list[Right]] = defaultdict(list)
    for name, action in ACTIONS.items():
        if EVERYBODY not in action.roles and action.roles != {SYSTEM}:
            groups[name.partition(".")[0]].append(Right(name, LEVELS[level_of(name)], tuple(role in action.roles for role in ROLES)))
    ordered = [noun for noun in NOUNS if noun in groups] + [noun for noun in groups if noun not in NOUNS]
    return [(str(NOUNS.get(noun) or capfirst(noun.replace("_", " "))), groups[noun]) for noun in ordered]
