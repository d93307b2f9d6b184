"""Rules of plug-ins: their lists, the page of one, and what stands beside its text."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from django.db.models import Count, Q

from console.facts.plugins import place_of
from gateway.delivery import Delivery, Effect
from gateway.models import Instance, Problem, Rule, Service
from gateway.plugins.paths import written
from gateway.plugins.reading import read
from gateway.plugins.review import Mention
from secrets_app.models import Key, Reference

USES_SHOWN = 100  # references beside a text
RULES_SHOWN = 20  # of an instance, on its own page


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One line of a plug-in's rules."""

    rule: Rule
    place: str
    keys: list[Key]
    problems: int
    effect: Effect


def rule_rows(rules: Iterable[Rule], instance: Instance, delivery: Delivery) -> list[RuleRow]:
    """Two queries, however many there are."""
    rules = list(rules)
    ids = [rule.pk for rule in rules]
    held: dict[int, dict[UUID, Key]] = {pk: {} for pk in ids}
    for reference in Reference.objects.filter(holder_kind=Rule.audit_kind, holder_id__in=ids).select_related("key").order_by("pk"):
        held[reference.holder_id][reference.key_id] = reference.key
    failing = Problem.objects.filter(holder_kind=Rule.audit_kind, holder_id__in=ids).order_by().values_list("holder_id")
    problems = dict(failing.annotate(Count("pk")))
    return [
        RuleRow(
            rule,
            place_of(rule.service),
            keys := list(held[rule.pk].values()),
            problems.get(rule.pk, 0),
            delivery.effect(max([rule.changed_seq, *(key.changed_seq for key in keys)]), [instance.pk]),
        )
        for rule in rules
    ]


def rules_at(service: Service, delivery: Delivery) -> list[RuleRow]:
    """Those that requests to a service may meet, in the order in which they do. The instance's is left out where the service has one
    of its own that is enabled. Three queries."""
    rules = Rule.objects.filter(Q(service=service) | Q(service=None), plugin__instance=service.instance_id)
    own = {rule.plugin_id for rule in rules if rule.service_id and rule.enabled}
    met = [rule for rule in rules.select_related("plugin__custom", "service") if rule.service_id or rule.plugin_id not in own]
    met.sort(key=lambda rule: (rule.plugin.official.order, rule.service_id is None))
    return rule_rows(met, service.instance, delivery)


def rules_of(instance: Instance, delivery: Delivery) -> list[RuleRow]:
    """The first few of an instance, by name. Three queries."""
    rules = Rule.objects.filter(plugin__instance=instance).select_related("plugin", "service").order_by("name", "pk")
    return rule_rows(rules[:RULES_SHOWN], instance, delivery)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a text. `at`: what the address asks for stands here."""

    number: int
    text: str
    at: bool = False


@dataclass(frozen=True, slots=True)
class RuleFacts:
    row: RuleRow
    lines: list[Line]
    uses: "Uses"
    down: bool
    unfit: bool  # the text does not pass any more, so no gateway works by it

    @classmethod
    def of(cls, rule: Rule, instance: Instance, at: str) -> Self:
        """`at` is the path of a field, or a line. Eight queries."""
        delivery = Delivery.of(instance.region)
        row = rule_rows([rule], instance, delivery)[0]
        reasons = dict(Problem.objects.filter(holder_kind=Rule.audit_kind, holder_id=rule.pk).values_list("path", "reason"))
        known = {key.name_folded: key for key in row.keys}
        document = read(rule.text)
        uses = []
        for placed in document.refs:
            path, secret = written(placed.path), rule.plugin.official.secret_at(placed.path)
            use = Use(
                name=placed.ref.name,
                path=path,
                line=placed.mark.line,
                column=placed.mark.column,
                inbound=bool(secret and secret.inbound),
                key=known.get(placed.ref.name.lower()),
                here=at == path,
                reason=reasons.get(path, ""),
            )
            uses.append(use)
        here = document.find(at)
        lines = [Line(number, text, here is not None and number == here.line) for number, text in enumerate(rule.text.split("\n"), 1)]
        return cls(row, lines, Uses.of(uses), not delivery.control_plane_up, "text" in reasons.values())

    @property
    def moving(self) -> bool:
        effect = self.row.effect
        return effect.total > 0 and not effect.everywhere and not self.down


@dataclass(frozen=True, slots=True)
class Use:
    """A reference in a text, for the list beside it."""

    name: str
    path: str
    line: int
    column: int
    inbound: bool
    key: Key | None
    here: bool = False
    reason: str = ""  # why it is not served, as in Problem

    @property
    def quiet(self) -> bool:
        return self.key is not None and self.key.enabled and not self.here and not self.reason

    @classmethod
    def of(cls, mention: Mention, at: str = "") -> Self:
        here = bool(at) and at == mention.path
        return cls(mention.name, mention.path, mention.line, mention.column, mention.inbound, mention.key, here)


@dataclass(frozen=True, slots=True)
class Uses:
    """The references of a text, as many as help: a text may have 2,000. Those that need attention or were asked for come first."""

    shown: list[Use]
    total: int

    @classmethod
    def of(cls, uses: list[Use]) -> Self:
        first = sorted(uses, key=lambda use: use.quiet)[:USES_SHOWN]
        return cls(sorted(first, key=lambda use: (use.line, use.column)), len(uses))

    @property
    def more(self) -> int:
        return self.total - len(self.shown)
