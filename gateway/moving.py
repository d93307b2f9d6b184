"""Every reference of one key made a reference to another: first as a plan that people read, then as one deed that does just that.

What the plan says is what happens, or nothing does: the deed plans anew under the locks of both keys, and compares.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db.models import F
from django.utils.translation import gettext as now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from gateway.holders import KINDS, Holder, describe
from gateway.models import AiService, Consumer, Credential, Rule, Service
from gateway.plugins.renaming import renamed, without
from gateway.policing import ways
from secrets_app.actor import Actor
from secrets_app.errors import Conflict, Invalid, StaleEdit
from secrets_app.models import Key, KeyVersion, Reference, deed
from secrets_app.models.admitting import not_in_team, outside
from secrets_app.models.binding import refusal, repoint
from secrets_app.models.version import taken
from secrets_app.scope import Scope

HOLDERS_A_MOVE = 1000
NAMED = 100  # holders that the audit entry tells by name


@dataclass(frozen=True, slots=True)
class Step:
    """One holder. `kept` are places that refer to the target already, of `places` that will: where both are, one is left out.

    `before` and `after` are a rule's texts. `refused` says why it cannot be moved.
    """

    kind: str
    id: int
    name: str
    places: tuple[Holder, ...]
    merges: bool = False
    before: str = ""
    after: str = ""
    refused: str = ""

    @property
    def first(self) -> Holder:
        return self.places[0]

    @property
    def inbound(self) -> bool:
        return any(place.inbound for place in self.places)

    @property
    def mark(self) -> str:
        """Another one when anything of this step is."""
        told = (self.first.changed_seq, [place.path for place in self.places], self.merges, self.after, self.refused)
        return f"{self.kind}:{self.id}:{hashlib.blake2b(repr(told).encode(), digest_size=6).hexdigest()}"


@dataclass(frozen=True)
class Plan:
    source: Key
    target: Key
    steps: tuple[Step, ...]

    @property
    def refused(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.refused)

    @property
    def dual(self) -> bool:
        """Afterwards a caller will hold what services send upstream."""
        there = set(Reference.objects.filter(key=self.target).order_by().values_list("inbound", flat=True).distinct())
        return len(there | {place.inbound for step in self.steps for place in step.places}) > 1

    @cached_property
    def seen(self) -> str:
        """What whoever confirms has seen, for `move` to compare."""
        keys = f"{self.source.version}.{self.target.version}.{self.source.enabled:d}"
        return " ".join([keys, *(step.mark for step in self.steps)])


class PlanChanged(StaleEdit):
    """It would not do any more what was seen. `current["changes"]` says what is different, in words."""


def plan(source: Key, target: Key, *, by: Actor) -> Plan:
    """Raises Invalid (field "key") for a target that no holder could refer to, Conflict for more holders than one deed takes.

    A fixed number of queries, and for each rule what a review of its text costs.
    """
    if target.pk == source.pk:
        raise Invalid({"key": [_("This is the key itself. Choose another one.")]})
    if target.region_id != source.region_id:
        raise Invalid({"key": [_("This key is of another region. Its holders can refer to keys of their own region alone.")]})
    references = list(Reference.objects.filter(key=source).order_by("holder_kind", "pk"))
    if why := refusal(target, inbound=any(reference.inbound for reference in references)):
        raise Invalid({"key": [why]})
    if not by.may("key.set_policy", target) and not target.policy.closed and not target.policy.lets_bind(by.teams):
        raise not_in_team(target.audit_name)
    if source.reference_count > HOLDERS_A_MOVE:
        text = _("A move takes at most %(most)d holders; this key has %(count)d. Change some of them at their own pages first.")
        raise Conflict(text % {"most": HOLDERS_A_MOVE, "count": source.reference_count})
    return Plan(source, target, tuple(_steps(source, target, references, by)))


def move(source: Key, target: Key, *, seen: str, by: Actor, once: UUID | None = None) -> int:
    """The number of holders moved. Raises PlanChanged where the plan is not the one that was seen, Conflict where a holder cannot be
    moved, NotAllowed without key.bind."""
    with deed(by, "key.move", source, once=once, facts={"to": target.audit_name}) as entry:
        by.require("key.bind", source)
        _lock(source, target)
        decided = plan(source, target, by=by)
        if not decided.steps:
            raise Conflict(_("Nothing refers to this key any more."))
        if decided.seen != seen:
            raise PlanChanged({"changes": _changes(seen, decided)})
        if refused := decided.refused:
            text = ngettext("%(n)d holder cannot be moved, so none is.", "%(n)d holders cannot be moved, so none is.", len(refused))
            raise Conflict(text % {"n": len(refused)})
        entry.stamp(source, target, *_done(decided, by))
        entry.facts |= {
            "holders": len(decided.steps),
            "merged": sum(step.merges for step in decided.steps),
            "rules": sum(step.kind == Rule.audit_kind for step in decided.steps),
            "moved": [_told(step) for step in decided.steps[:NAMED]],
        }
    return len(decided.steps)


# ── The plan ──


def _steps(source: Key, target: Key, references: list[Reference], by: Actor) -> Iterator[Step]:
    there: dict[tuple[str, int], list[Reference]] = defaultdict(list)
    ids = {reference.holder_id for reference in references}
    for reference in Reference.objects.filter(key=target, holder_id__in=ids):
        there[reference.holder_kind, reference.holder_id].append(reference)
    rules, astray = _rules(references), _astray(source, target, references)
    for (kind, pk), places in _by_holder(references).items():
        step = Step(kind, pk, places[0].name, tuple(places))
        step = replace(step, merges=bool(there[kind, pk]) and kind in _ONCE_A_HOLDER)
        if not by.may(KINDS[kind].edit, Scope(source.region_id, places[0].instance_id)):
            yield replace(step, refused=now("Your roles do not let you change it."))
        elif (kind, pk) in astray:
            yield replace(step, refused=astray[kind, pk])
        elif kind == Rule.audit_kind:
            yield _of_rule(step, rules[pk], source, target, by)
        elif kind == Consumer.audit_kind:
            yield replace(step, refused=_refusal_of_consumer(step, source, target))
        else:
            yield step


def _astray(source: Key, target: Key, references: list[Reference]) -> dict[tuple[str, int], str]:
    """By holder, why the target may not go where the holder sends the source."""
    return {
        (way.reference.holder_kind, way.reference.holder_id): outside(target.audit_name, target.policy, way.to).errors["key"][0]
        for way in ways(source, references)
        if target.policy.refuses(way.to)
    }


_ONCE_A_HOLDER = (Consumer.audit_kind, AiService.audit_kind)  # several keys in a list; each is enough once


def _by_holder(references: Iterable[Reference]) -> dict[tuple[str, int], list[Holder]]:
    """In the order of kinds, then of names. Holders that are gone are left out."""
    kinds = list(KINDS)
    found: dict[tuple[str, int], list[Holder]] = defaultdict(list)
    for holder in sorted(describe(references), key=lambda holder: (kinds.index(holder.kind), holder.name, holder.id)):
        found[holder.kind, holder.id].append(holder)
    return found


def _rules(references: Iterable[Reference]) -> dict[int, Rule]:
    ids = {reference.holder_id for reference in references if reference.holder_kind == Rule.audit_kind}
    rules = Rule.objects.filter(pk__in=ids).select_related("plugin__instance__region", "plugin__custom", "service")
    return {rule.pk: rule for rule in rules}


def _of_rule(step: Step, rule: Rule, source: Key, target: Key, by: Actor) -> Step:
    """The text with other names in it. Of a list that would hold the target twice, one item goes."""
    was, becomes = source.audit_name, target.audit_name
    shorter = without(rule.text, was, becomes)
    after = renamed(shorter, was, becomes)
    if after is None:
        why = _("Its text hides the reference behind quoting, or cannot be read any more. Edit the rule.")
        return replace(step, before=rule.text, after=rule.text, refused=str(why))
    step = replace(step, merges=shorter != rule.text, before=rule.text, after=after)
    return replace(step, refused=rule.refusal_of(after, by=by))


def _refusal_of_consumer(step: Step, source: Key, target: Key) -> str:
    """Callers are told apart by what they present."""
    others = Reference.objects.filter(key=target, realm=Reference.REGION).exclude(holder_kind=step.kind, holder_id=step.id)
    if other := next(iter(describe(others[:1])), None):
        text = now(
            "The consumer “%(name)s” presents this key already. Two consumers cannot share a credential: nobody could tell them apart."
        )
        return text % {"name": other.name}
    equal = KeyVersion.equal_to(target).exclude(key=source)
    there = Reference.objects.filter(realm=Reference.REGION, key__in=equal.values("key")).exists()
    return taken(Reference.REGION).errors["key"][0] if there else ""


# ── The deed ──


def _lock(source: Key, target: Key) -> None:
    """Read anew and held until the deed ends, in the order in which every deed takes keys."""
    for key in sorted((source, target), key=lambda key: key.pk):
        key._lock()


def _done(decided: Plan, by: Actor) -> Iterator[Any]:
    """The holders, which changed."""
    of_kind: dict[str, list[Step]] = defaultdict(list)
    for step in decided.steps:
        of_kind[step.kind].append(step)
    for kind, steps in of_kind.items():
        if kind == Rule.audit_kind:
            yield from (_rewrite(step, by) for step in steps)
        else:
            yield from _repointed(kind, steps, decided)


def _rewrite(step: Step, by: Actor) -> Rule:
    """Its references follow from its text."""
    rule = Rule.objects.select_related("plugin__instance__region", "plugin__custom", "service").get(pk=step.id)
    rule._lock()
    rule._write(step.after, None, by)
    return rule


def _repointed(kind: str, steps: list[Step], decided: Plan) -> list[Any]:
    ids = [step.id for step in steps]
    holders = list(KINDS[kind].rows.filter(pk__in=ids))
    merging = {step.id for step in steps if step.merges}
    repoint(kind, ids, decided.source, decided.target, leaving_out=merging)
    KINDS[kind].rows.filter(pk__in=ids).update(lock_version=F("lock_version") + 1)
    for step in steps:
        if step.merges:
            _close_ranks(step)
    return holders


def _close_ranks(step: Step) -> None:
    """A credential ends with its reference; the API keys of a service are numbered without a gap, as its form shows them."""
    if step.kind == Consumer.audit_kind:
        gone = [int(place.path.removeprefix("credentials[").removesuffix("]")) for place in step.places]
        Credential.objects.filter(consumer=step.id, number__in=gone).delete()
        return
    for number, reference in enumerate(Service.objects.get(pk=step.id).uses):
        if reference.path != (path := f"api_keys[{number}]"):
            Reference.objects.filter(pk=reference.pk).update(path=path)


def _told(step: Step) -> str:
    where = f" ({step.first.instance_ref})" if step.first.instance_ref else ""
    return f"{KINDS[step.kind].one} {step.name}{where}"


# ── What is different ──


def _changes(seen: str, decided: Plan) -> list[str]:
    """Between what was seen and what would be done now, in words."""
    keys, *marks = seen.split(" ")
    was = dict(mark.rpartition(":")[::2] for mark in marks)
    told = [] if keys == decided.seen.split(" ")[0] else [now("One of the two keys was rotated, enabled or disabled.")]
    for step in decided.steps:
        before, after = was.pop(f"{step.kind}:{step.id}", None), step.mark.rpartition(":")[2]
        if before != after:
            text = now("%(holder)s refers to the key by now.") if before is None else now("%(holder)s was changed.")
            told.append(text % {"holder": _told(step)})
    if was:
        text = ngettext("%(n)d holder does not refer to the key any more.", "%(n)d holders do not refer to the key any more.", len(was))
        told.append(text % {"n": len(was)})
    return told
