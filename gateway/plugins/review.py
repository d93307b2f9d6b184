"""Everything that can be said of a rule's text before it is saved: what is wrong and where, and which keys it refers to."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from gateway.address import is_ours, parse_address
from gateway.plugins.base import Official
from gateway.plugins.document import FAULT_LIMIT, Document, Fault, Placed
from gateway.plugins.examine import examine
from gateway.plugins.paths import LONGEST, written
from gateway.plugins.schema import nearest
from gateway.plugins.withhold import told
from gateway.versions import FIRST_WITH_REFERENCES, supports_references
from secrets_app.actor import Actor
from secrets_app.errors import Invalid
from secrets_app.models import Key, KeyVersion, Region
from secrets_app.models.version import GONE

_GUESSES = 3  # unknown names for which a near one is looked for
_NEAR = 200  # names that are compared with each


@dataclass(frozen=True, slots=True)
class Mention:
    """A reference in the text. `key` is None for a name that is unknown here, or that this person may not know of."""

    name: str
    path: str
    line: int
    column: int
    inbound: bool
    key: Key | None

    @property
    def known(self) -> bool:
        return self.key is not None

    @property
    def enabled(self) -> bool:
        return self.key is not None and self.key.enabled


@dataclass(frozen=True, slots=True)
class Review:
    document: Document
    faults: tuple[Fault, ...]  # in the order of the text
    mentions: tuple[Mention, ...]  # in the order of the text; also those with a fault

    @property
    def passes(self) -> bool:
        return not self.faults


class RuleRefused(Invalid):
    """The text cannot be a rule. `faults` say where and why; the field is "text"."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__({"text": [str(fault) for fault in faults]})
        self.faults = faults


def review(plugin: Official, text: str, level: str, region: Region, version: str, ours: set[int], *, by: Actor) -> Review:
    """Never raises. Two queries, and one more for each of the first three names that are unknown.

    `version` is the instance's; `ours` are the ports on which the console, the control plane and the gateways listen.
    """
    document, faults = examine(plugin, text, level)
    if not faults:
        faults = [
            document.fault(path, problem) for path, address in plugin.destinations(document.tree) if (problem := _misled(address, ours))
        ]
    keys = _keys(document, region, by)
    mentions = tuple(_mention(plugin, placed, keys) for placed in document.refs)
    faults += _unusable(mentions, region, by)
    if mentions and not supports_references(version):
        first = mentions[0]
        needs = _("References need version %(needed)s or later; this instance has %(version)s. Upgrade the instance first.")
        faults.append(Fault(first.line, first.column, first.path, str(needs % {"needed": FIRST_WITH_REFERENCES, "version": version})))
    faults.sort(key=lambda fault: (fault.line, fault.column))
    return Review(document, tuple(told(fault) for fault in faults[:FAULT_LIMIT]), mentions)


def _keys(document: Document, region: Region, by: Actor) -> dict[str, Key]:
    """By folded name, those that this person may know of."""
    names = {placed.ref.name.lower() for placed in document.refs}
    if not names:
        return {}
    return {key.name_folded or "": key for key in Key.visible_to(by, region).filter(name_folded__in=names)}


def _mention(plugin: Official, placed: Placed, keys: dict[str, Key]) -> Mention:
    secret = plugin.secret_at(placed.path)
    return Mention(
        name=placed.ref.name,
        path=written(placed.path),
        line=placed.mark.line,
        column=placed.mark.column,
        inbound=bool(secret and secret.inbound),
        key=keys.get(placed.ref.name.lower()),
    )


def _unusable(mentions: tuple[Mention, ...], region: Region, by: Actor) -> Iterator[Fault]:
    meant: dict[str, str] = {}
    versions = _versions(mentions)
    for mention in mentions:
        near = ""
        if mention.key is None:
            if mention.name not in meant:
                meant[mention.name] = _nearest(mention.name, region, by) if len(meant) < _GUESSES else ""
            message = str(_("No key is named “%(name)s” in this region.") % {"name": mention.name})
            if near := meant[mention.name]:
                message += " " + str(_("Did you mean “%(name)s”?") % {"name": near})
        elif not mention.key.enabled:
            message = str(_("The key “%(name)s” is disabled. Enable it, or refer to another.") % {"name": mention.name})
        elif len(mention.path) > LONGEST:
            message = str(_("The names around this reference are too long: together at most %(limit)d characters.") % {"limit": LONGEST})
        else:
            current = versions.get(mention.key.pk)
            message = current.why_unusable(inbound=mention.inbound) if current else str(GONE)
        if message:
            yield Fault(mention.line, mention.column, mention.path, message, near)


def _misled(address: str, ours: set[int]) -> str:
    try:
        parsed = parse_address(address)
    except Invalid as refused:
        return refused.errors["address"][0]
    return str(_("This is the console's, the control plane's or a gateway's own address.")) if is_ours(parsed, ours) else ""


def _versions(mentions: tuple[Mention, ...]) -> dict[UUID, KeyVersion]:
    """The current one of each key, by the key's id; without what is sealed in it."""
    keys = {mention.key.pk for mention in mentions if mention.key}
    current = KeyVersion.objects.filter(key__in=keys, stage=KeyVersion.CURRENT) if keys else KeyVersion.objects.none()
    return {version.key_id: version for version in current.defer("body", "wrapped")}


def _nearest(name: str, region: Region, by: Actor) -> str:
    """The key that was probably meant: a slip of one letter leaves one half or the other as it is. One query."""
    folded = name.lower()
    half = len(folded) // 2
    alike = Q(name_folded__startswith=folded[: half or 1]) | Q(name_folded__endswith=folded[half:])
    names = Key.visible_to(by, region).filter(alike).order_by("name_folded").values_list("name", flat=True)[:_NEAR]
    return nearest(name, [found for found in names if found])
