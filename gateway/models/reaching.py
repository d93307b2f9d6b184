"""What the rules of an instance send past their keys' policies, asked within deeds that change rules, services or scripts.

The same question as stocktaking asks, of the rows as the deed has made them: so no deed leaves behind what would be withheld afterwards.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from gateway.address import parse_address
from gateway.destinations import Ruled, Stray, strays
from gateway.inventory import Rule, Script, Use
from gateway.models.instance import Instance
from secrets_app.errors import Invalid
from secrets_app.models import Key, Reference
from secrets_app.models.admitting import outside
from secrets_app.models.policy import Policy

HOLDER = "plugin"  # rules, as references call them


@dataclass(frozen=True)
class Reach:
    """Of an instance, held by the deed: nobody changes its services and another its rules at the same moment."""

    instance: Instance
    also: int | None = None  # a rule that counts though it is disabled

    @cached_property
    def strays(self) -> list[Stray]:
        """Three queries where some rule sends a key, one otherwise."""
        self.instance._lock()
        return list(self._found(self._policies)) if self._sent().exists() else []

    def ways_of(self, key: UUID) -> Iterator[Stray]:
        """Wherever rules that are enabled send this key, allowed or not. Three queries."""
        return (stray for stray in self._found({}) if stray.key_id == key)

    def _found(self, policies: Mapping[UUID, Policy]) -> Iterator[Stray]:
        hosts = {pk: parse_address(address).origin for pk, address in self.instance.services.values_list("pk", "address")}
        return strays(self.instance.ref, hosts, self._rules(), policies)

    def refusal(self, stray: Stray) -> str:
        """In words that name the rule and its key."""
        key = Key.objects.get(pk=stray.key_id)
        name = self._names[stray.rule]
        text = _("The rule “%(rule)s” of this instance would have a key sent along. %(why)s")
        return str(text % {"rule": name, "why": outside(key.audit_name, key.policy, stray.to).errors["key"][0]})

    def _sent(self) -> "QuerySet[Reference]":
        rules = self.instance.plugins.filter(self._counts).values("rules")
        return Reference.objects.filter(holder_kind=HOLDER, inbound=False, holder_id__in=rules)

    @property
    def _counts(self) -> Q:
        enabled = Q(rules__enabled=True)
        return enabled | Q(rules=self.also) if self.also else enabled

    @cached_property
    def _table(self) -> list[tuple[int, str, str, str, int | None, str | None, str | None]]:
        columns = ("rules", "rules__name", "name", "rules__text", "rules__service_id", "custom__source", "custom__schema")
        return list(self.instance.plugins.filter(self._counts).values_list(*columns))

    @property
    def _names(self) -> Mapping[int, str]:
        return {pk: name for pk, name, *_rest in self._table}

    def _rules(self) -> Iterator[Ruled]:
        keys: dict[int, dict[str, UUID]] = {}
        for holder, name, key_id, _policy in self._uses:
            keys.setdefault(holder, {})[name or ""] = key_id
        for pk, _name, plugin, text, service, source, schema in self._table:
            script = Script(source, schema, "default", 0) if source and schema else None
            named = tuple((name, Use("", key_id, ())) for name, key_id in keys.get(pk, {}).items())
            yield service, Rule(pk, plugin, text, named, script)

    @cached_property
    def _uses(self) -> list[tuple[int, str | None, UUID, Policy]]:
        return list(self._sent().values_list("holder_id", "key__name_folded", "key", "key__policy"))

    @property
    def _policies(self) -> Mapping[UUID, Policy]:
        return {key_id: policy for _holder, _name, key_id, policy in self._uses}


def check_reached(instance: Instance, service: int, field: str = "address") -> None:
    """For a deed that made this service, or gave it another address. Raises Invalid."""
    reach = Reach(instance)
    if found := next((stray for stray in reach.strays if stray.service == service), None):
        raise Invalid({field: [reach.refusal(found)]})
