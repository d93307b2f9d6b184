"""What follows from the reference rows and is stored or kept beside them: checked, and mended, region by region.

A key's `reference_count` is the number of its distinct holders; a reference whose holder is gone, and an inline key that nothing
refers to, are left-overs that no deed makes. So is a rule whose text refers to other keys, or elsewhere, than its rows say.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from gateway.holders import KINDS
from gateway.models import Rule
from gateway.plugins.paths import written
from gateway.plugins.reading import read
from secrets_app.actor import Actor
from secrets_app.db import reading
from secrets_app.models import Key, Reference, Region, deed

_BATCH = 500
_RULES = 50


@dataclass(slots=True)
class Findings:
    references: int = 0
    counts: dict[UUID, tuple[str, int, int]] = field(default_factory=dict)  # key: (name, stored, true)
    orphans: list[tuple[int, str]] = field(default_factory=list)  # references whose holder is gone: id, and as text
    inline: list[UUID] = field(default_factory=list)  # inline keys that nothing refers to
    rules: list[tuple[int, str]] = field(default_factory=list)  # whose text and references differ: id, and as text

    @property
    def wrong(self) -> int:
        return len(self.counts) + len(self.orphans) + len(self.inline) + len(self.rules)

    def lines(self) -> Iterator[str]:
        for name, stored, true in self.counts.values():
            yield f"key {name or '(inline)'} says {stored} holders and has {true}"
        for _id, text in self.orphans:
            yield f"{text} refers to a key, but is gone"
        for key in self.inline:
            yield f"inline key {key} has no holder"
        for _id, text in self.rules:
            yield f"{text} refers to other keys in its text than in the table of references"


def examine(region: Region) -> Findings:
    """One pass over the references in one consistent view; memory grows with what is wrong, not with what is there."""
    found = Findings()
    with reading():
        _look_for_orphans(region, found)
        _look_at_rules(region, found)
        gone = {pk for pk, _text in found.orphans}
        rows = Reference.objects.filter(key__region=region).order_by("key_id", "holder_kind", "holder_id")
        holders = _holders(rows.values_list("pk", "key_id", "holder_kind", "holder_id").iterator(chunk_size=_BATCH), gone)
        key_id, true = next(holders, (None, 0))
        for pk, name, stored in (
            Key.objects.filter(region=region).order_by("pk").values_list("pk", "name", "reference_count").iterator(chunk_size=_BATCH)
        ):
            number = true if pk == key_id else 0
            if pk == key_id:
                key_id, true = next(holders, (None, 0))
            if name is None and number == 0:
                found.inline.append(pk)
            elif number != stored:
                found.counts[pk] = (name or "", stored, number)
    return found


def repair(region: Region, *, by: Actor) -> None:
    """One deed: what examine() finds now is mended."""
    with deed(by, "reference.repair", region) as entry:
        astray = examine(region).rules
        for rule in Rule.objects.filter(pk__in=[pk for pk, _text in astray]).order_by("pk"):
            rule._mend_references(by)
        found = examine(region)
        Reference.objects.filter(pk__in=[pk for pk, _text in found.orphans]).delete()
        for pk, (_name, _stored, true) in found.counts.items():
            Key.objects.filter(pk=pk).update(reference_count=true)
        for key in Key.objects.filter(pk__in=found.inline):
            key._erase()
        entry.facts = {"recounted": len(found.counts), "orphans": len(found.orphans) + len(found.inline) + len(astray)}


def _look_for_orphans(region: Region, found: Findings) -> None:
    batch: list[tuple[int, str, int, str]] = []
    rows = Reference.objects.filter(key__region=region).order_by("pk").values_list("pk", "holder_kind", "holder_id", "path")
    for row in rows.iterator(chunk_size=_BATCH):
        found.references += 1
        batch.append(row)
        if len(batch) == _BATCH:
            found.orphans += _orphans(batch)
            batch = []
    found.orphans += _orphans(batch)


def _orphans(batch: list[tuple[int, str, int, str]]) -> list[tuple[int, str]]:
    """Of kinds that this version knows; a newer one's are left alone."""
    kinds = {kind for _pk, kind, _holder, _path in batch} & KINDS.keys()
    there = {kind: KINDS[kind].describe({holder for _pk, of, holder, _path in batch if of == kind}).keys() for kind in kinds}
    return [(pk, f"{kind} {holder} ({path})") for pk, kind, holder, path in batch if kind in kinds and holder not in there[kind]]


def _look_at_rules(region: Region, found: Findings) -> None:
    """Memory grows with one batch of rules."""
    batch: list[Rule] = []
    for rule in Rule.objects.filter(plugin__instance__region=region).select_related("plugin__instance").order_by("pk").iterator(_RULES):
        batch.append(rule)
        if len(batch) == _RULES:
            found.rules += _astray(batch)
            batch = []
    found.rules += _astray(batch)


def _astray(batch: list[Rule]) -> Iterator[tuple[int, str]]:
    there: dict[int, set[tuple[str, str | None]]] = defaultdict(set)
    rows = Reference.objects.filter(holder_kind=Rule.audit_kind, holder_id__in=[rule.pk for rule in batch])
    for holder, path, name in rows.values_list("holder_id", "path", "key__name_folded"):
        there[holder].add((path, name))
    for rule in batch:
        if {(written(placed.path), placed.ref.name.lower()) for placed in read(rule.text).refs} != there[rule.pk]:
            yield rule.pk, f"the rule {rule.name} of {rule.plugin.instance.ref}"


def _holders(rows: Iterator[tuple[int, UUID, str, int]], gone: set[int]) -> Iterator[tuple[UUID, int]]:
    """(key, number of distinct holders) of each key in turn; the rows are ordered by key, then holder."""
    current: UUID | None = None
    last, number = ("", 0), 0
    for pk, key, kind, holder in rows:
        if pk in gone:
            continue
        if key != current:
            if current is not None:
                yield current, number
            current, last, number = key, (kind, holder), 1
        elif (kind, holder) != last:
            last, number = (kind, holder), number + 1
    if current is not None:
        yield current, number
