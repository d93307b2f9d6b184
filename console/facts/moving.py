"""What a move of references would change, as its preview tells it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from django.utils.translation import gettext as now

from console.facts.diff import Changed, changes
from console.facts.landing import field_of
from console.facts.places import may_open
from gateway.holders import KINDS, Holder
from gateway.models import Consumer, Rule
from gateway.moving import Plan, Step
from secrets_app.actor import Actor


@dataclass(frozen=True, slots=True)
class Row:
    """One holder. `becomes` says what happens to it; `hidden` as in Place."""

    step: Step
    holder: Holder
    where: str
    url: str
    becomes: str
    hidden: bool


@dataclass(frozen=True, slots=True)
class Text:
    """A rule whose text is rewritten."""

    name: str
    url: str
    changes: list[Changed]


@dataclass(frozen=True, slots=True)
class Told:
    rows: tuple[Row, ...]
    texts: tuple[Text, ...]
    refused: int
    callers: tuple[str, ...]  # who has to present another value from that moment
    dual: bool

    @property
    def moved(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, plan: Plan, actor: Actor) -> Self:
        rows = tuple(_row(step, plan, actor) for step in plan.steps)
        written = [row for row in rows if row.step.kind == Rule.audit_kind and not row.hidden and not row.step.refused]
        return cls(
            rows=rows,
            texts=tuple(Text(row.holder.name, row.url, changes(row.step.before, row.step.after)) for row in written),
            refused=len(plan.refused),
            callers=tuple(row.holder.name for row in rows if row.step.inbound and not row.hidden),
            dual=plan.dual,
        )


def _row(step: Step, plan: Plan, actor: Actor) -> Row:
    hidden = not may_open(step.first, plan.source.region, actor)
    return Row(
        step=step,
        holder=step.first,
        where=str(KINDS[step.kind].place) if hidden else _where(step.places),
        url=field_of(plan.source.region, step.first, actor),
        becomes=_becomes(step, plan),
        hidden=hidden,
    )


def _where(places: Sequence[Holder]) -> str:
    """The first place, and how many more."""
    more = len(places) - 1
    return now("%(place)s and %(n)d more") % {"place": places[0].place, "n": more} if more else places[0].place


def _becomes(step: Step, plan: Plan) -> str:
    to = {"key": plan.target.audit_name, "version": f"v{plan.target.version}"}
    if step.kind == Consumer.audit_kind:
        if step.merges:
            return now("Presents %(key)s already: this credential ends") % to
        return now("Presents %(key)s %(version)s; the old value is refused at once") % to
    if step.kind == Rule.audit_kind:
        return now("Text rewritten; a line that would stand twice goes") if step.merges else now("Text rewritten")
    if step.merges:
        return now("Sends %(key)s already: this place is left out") % to
    return now("Sends %(key)s %(version)s") % to
