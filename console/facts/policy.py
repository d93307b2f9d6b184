"""A key's policy in words that people read: where it may go, and who may bind it."""

from dataclasses import dataclass
from typing import Self

from django.utils.translation import gettext as now
from django.utils.translation import ngettext

from gateway.models import Instance
from secrets_app.models import Key, Team
from secrets_app.models.policy import CONSUMER, KINDS, SENDING, Policy
from secrets_app.texts import listed

NAMED = 3  # instances told by name; of more, how many


@dataclass(frozen=True, slots=True)
class Told:
    """`may_go` are sentences, the first one the most telling; `by` says who may bind it. `state` is "open", "closed" or "bounded"."""

    state: str
    may_go: tuple[str, ...]
    by: str
    hosts: tuple[str, ...]

    @classmethod
    def of(cls, key: Key) -> Self:
        """A query for the instances that are named, and one for the teams."""
        policy = key.policy
        state = "open" if policy.open else "closed" if policy.closed else "bounded"
        return cls(state, tuple(_sentences(policy, key)), _bound_by(policy), policy.hosts)


def _sentences(policy: Policy, key: Key) -> list[str]:
    if policy.open:
        return [now("To any host, in any header, for any use.")]
    if policy.closed:
        return [now("Nowhere yet: an owner or a key manager says where in the policy, or an owner by the first bind.")]
    told = []
    senders = [kind for kind in policy.kinds if kind != CONSUMER and (kind in SENDING or policy.hosts)]
    if senders and policy.hosts:
        text = now("May be sent to %(hosts)s, in %(headers)s, by %(kinds)s%(instances)s.")
        headers = listed(policy.headers) if policy.headers else now("any header")
        fields = {"hosts": listed(policy.hosts), "headers": headers, "kinds": _kinds(senders), "instances": _instances(policy, key)}
        told.append(text % fields)
    elif senders or any(kind != CONSUMER for kind in policy.kinds):
        told.append(now("May let callers in, by plug-ins%(instances)s.") % {"instances": _instances(policy, key)})
    if CONSUMER in policy.kinds:
        told.append(now("Consumers of the region may present it."))
    return told


def _bound_by(policy: Policy) -> str:
    """Whoever sees the key sees which teams may bind it: they are whom an operator has to join."""
    if not policy.teams:
        return now("Whoever may bind keys there.")
    names = dict(Team.objects.filter(pk__in=policy.teams).values_list("pk", "name"))
    gone = len(policy.teams) - len(names)
    told = sorted(names.values()) + ([ngettext("%(n)d team that is gone", "%(n)d teams that are gone", gone) % {"n": gone}] if gone else [])
    return now("Members of %(teams)s.") % {"teams": listed(told)}


def _instances(policy: Policy, key: Key) -> str:
    if not policy.instances:
        return now(" of any instance")
    if len(policy.instances) > NAMED:
        return now(" of %(n)d instances") % {"n": len(policy.instances)}
    names = dict(Instance.objects.filter(region=key.region_id, ref__in=policy.instances).values_list("ref", "name"))
    return now(" of %(names)s") % {"names": listed([names.get(ref, ref) for ref in policy.instances])}


def _kinds(kinds: list[str]) -> str:
    return listed([str(KINDS[kind]) for kind in kinds])
