"""The policy of a key, as people set it: against every way that the key goes already."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.utils.translation import ngettext

from gateway.destinations import of_consumer, of_rule
from gateway.holders import Holder, describe
from gateway.models import SERVICE_HOLDERS, Consumer, Instance, Rule, Service
from gateway.models.reaching import Reach
from secrets_app.actor import Actor
from secrets_app.errors import Conflict
from secrets_app.models import Key, Reference, deed
from secrets_app.models.policy import Destination, Policy

TOLD = 20  # uses that a refusal lists


@dataclass(frozen=True, slots=True)
class Way:
    """One place that has the key, and one destination of it."""

    reference: Reference
    to: Destination


class Excludes(Conflict):
    """The policy would shut out uses that the old one let through. `holders` are the first of them."""

    code = "policy_excludes"

    def __init__(self, holders: Sequence[Holder], count: int) -> None:
        text = ngettext(
            "%(n)d use of this key lies outside. Take the key out there first, or let the policy take it in.",
            "%(n)d uses of this key lie outside. Take the key out there first, or let the policy take them in.",
            count,
        )
        super().__init__(text % {"n": count})
        self.holders = tuple(holders)


def set_policy(key: Key, policy: Policy, *, lock_version: int, by: Actor) -> None:
    """Raises StaleEdit, and Excludes for a policy that would withhold the key from somebody who has it today: whoever narrows a policy
    knows where the key is used, or is told here."""
    with deed(by, "key.set_policy", key) as entry:
        key._lock(lock_version)
        before = key.policy
        if shut_out := excluded(key, policy):
            raise Excludes(describe(shut_out[:TOLD]), len(shut_out))
        key._set_policy(policy)
        entry.stamp(key)
        entry.facts = {"before": str(before), "after": str(policy)}
        if policy.teams != before.teams:
            entry.facts |= {"teams": list(policy.teams)}


def excluded(key: Key, policy: Policy) -> list[Reference]:
    """Uses that the key's present policy lets through and this one would not."""
    found = {way.reference.pk: way.reference for way in ways(key) if policy.refuses(way.to) and not key.policy.refuses(way.to)}
    return list(found.values())


def ways(key: Key, references: Iterable[Reference] | None = None) -> Iterator[Way]:
    """Of these references of the key, or of all. Two queries, and three for each instance whose rules have the key."""
    uses = list(Reference.objects.filter(key=key).order_by("holder_kind", "holder_id", "path") if references is None else references)
    services = _services(uses)
    rules = _rules(key, uses)
    for use in uses:
        if use.holder_kind == Consumer.audit_kind:
            yield Way(use, of_consumer())
        elif use.holder_kind in SERVICE_HOLDERS:
            yield from (Way(use, to) for to in services.get(use.holder_id, ()))
        else:
            yield from (Way(use, to) for to in rules.get(use.holder_id, ()))


def _services(uses: Iterable[Reference]) -> dict[int, list[Destination]]:
    ids = {use.holder_id for use in uses if use.holder_kind in SERVICE_HOLDERS}
    rows = Service.objects.filter(pk__in=ids).select_related("instance") if ids else ()
    return {row.pk: [row.destination] for row in rows}


def _rules(key: Key, uses: Iterable[Reference]) -> dict[int, list[Destination]]:
    ids = {use.holder_id for use in uses if use.holder_kind == Rule.audit_kind}
    if not ids:
        return {}
    at = dict(Rule.objects.filter(pk__in=ids).values_list("pk", "plugin__instance__ref"))
    found = {pk: [of_rule(ref)] for pk, ref in at.items()}
    for instance in Instance.objects.filter(ref__in=set(at.values())):
        for stray in Reach(instance).ways_of(key.pk):
            found[stray.rule].append(stray.to)
    return found
