import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from gateway.address import Address
from gateway.agents import AGENTS, BOT_TYPES, Agent
from gateway.headers import check_header
from gateway.models.ai_service import SERVICE_RIGHTS, check_service_name
from gateway.models.credential import CUSTOM, REFERENCE
from gateway.models.instance import Instance
from gateway.models.reach import check_address, leads_here
from gateway.models.reaching import check_reached
from gateway.models.service import AGENT, KEYS_A_SERVICE, NewKeys, Service, told_keys
from gateway.providers import Shape
from secrets_app.actor import Actor
from secrets_app.errors import Invalid
from secrets_app.models import Planned, Reference, deed

_APP_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class NewAgent:
    """Where an agent answers and how it is shown its key. What its kind does not ask for is left out and counts for nothing."""

    kind: str
    address: str
    bot_type: str = ""
    header: str = ""  # empty: Authorization with Bearer


class AgentService(Service):
    """An agent behind the gateway, called at /agents/<name>/. Its kind, of AGENTS, is in `supplier`.

    A Model Studio agent has a key for each App ID, at the path apps[<App ID>]: the references are the list of its apps.
    """

    KIND = AGENT
    audit_kind = "agent_service"
    rights = SERVICE_RIGHTS

    class Meta:
        proxy = True

    @property
    def agent(self) -> Agent:
        return AGENTS[self.supplier]

    @property
    def shape(self) -> Shape:
        return Shape(self.header, "") if self.header else Shape()

    @property
    def supplier_label(self) -> str:
        return str(self.agent.label)

    @property
    def bot_type_label(self) -> str:
        return str(BOT_TYPES.get(self.bot_type, ""))

    @property
    def uses(self) -> list[Reference]:
        """Apps in the order in which they were added."""
        return list(self.references.order_by("pk"))

    @classmethod
    def create(cls, instance: Instance, name: str, agent: NewAgent, keys: NewKeys, *, by: Actor, once: UUID | None = None) -> Self:
        """Raises Invalid (fields name, supplier, address, bot_type, header, generation, app_<i>, key_<i>), NotAllowed without key.bind
        for references."""
        ours = by.may("service.create", instance) and leads_here(agent.address)
        planned = Planned(cls.audit_kind, name, instance, {"instance": instance.ref})
        with deed(by, "service.create", planned, once=once) as entry:
            instance._lock()
            parsed = _check(check_service_name(instance, name), agent, ours)
            service = cls(kind=AGENT, instance=instance, name=name, generation=keys.generation, created_by=by.name)
            service._set(**_columns(agent, parsed))
            service.save(force_insert=True)
            service._bind_all(keys, by)
            check_reached(instance, service.pk)
            entry.target = service
            entry.stamp(service)
            entry.facts = {"instance": instance.ref, **service._told(), **service._told_keys(keys)}
            service._tell_policies(entry)
        return service

    def edit(self, agent: NewAgent, *, lock_version: int, by: Actor, keys: NewKeys | None = None) -> None:
        """`keys` None leaves them as they are. New ones take the place of all, but for apps whose value is None."""
        ours = by.may("service.edit", self) and leads_here(agent.address)
        with deed(by, "service.edit", self) as entry:
            self._lock(lock_version)
            parsed = _check({}, agent, ours)
            if str(parsed) != self.address and self.generation == REFERENCE:
                by.require("key.bind", self)  # another address: the keys go to somebody else
            if keys is None and AGENTS[agent.kind].apps != self.agent.apps:
                raise Invalid({"supplier": [str(_("Another kind of agent has keys of its own. Enter or choose them again."))]})
            columns, was, before = _columns(agent, parsed), self.destination, self._told()
            changed = self._set(**columns)
            entry.compare(before, self._told() | ({"keys": True} if keys is not None else {}))
            facts: dict[str, Any] = {"instance": self.instance.ref, **self._told()}
            if keys is not None:
                facts |= {**self._told_keys(keys), "released": self._replace(keys, by)}
                changed.append("API keys")
            self._save(*columns, "generation")
            self._led_elsewhere(was, by, header="header")
            entry.stamp(self)
            entry.facts = facts | {"changed": changed}
            self._tell_policies(entry)

    # Below the verbs

    def _replace(self, keys: NewKeys, by: Actor) -> list[str]:
        kept = set()
        if self.agent.apps and self.generation == keys.generation == CUSTOM:
            named = zip(keys.app_ids, keys.values, strict=False)
            kept = {_app_path(app) for app, value in named if value is None} & {use.path for use in self.references}
        released = self._release(keep=kept)
        self.generation = keys.generation
        self._bind_all(keys, by, kept)
        return released

    def _bind_all(self, keys: NewKeys, by: Actor, kept: Sequence[str] | set[str] = ()) -> None:
        given: Sequence[object] = keys.key_names if keys.generation == REFERENCE else keys.values
        paths = self._app_paths(keys, len(given)) if self.agent.apps else ["api_keys[0]"]
        if len(given) != len(paths):
            text = _("Enter or choose the API key.") if not given else _("This kind of agent takes exactly one API key.")
            raise Invalid({"key_0": [str(text)]})
        missing = (index for index, one in enumerate(given) if one is None and paths[index] not in kept)
        if (index := next(missing, None)) is not None:
            raise Invalid({f"key_{index}": [str(_("Enter the API key."))]})
        self._bind(keys, paths, by)

    def _app_paths(self, keys: NewKeys, number: int) -> list[str]:
        """One for each key. Raises Invalid (fields app_<i>, key_<i>)."""
        if not keys.app_ids:
            raise Invalid({"app_0": [str(_("Enter at least one App ID, and its API key."))]})
        if len(keys.app_ids) > KEYS_A_SERVICE:
            text = _("A service takes at most %(most)d apps.") % {"most": KEYS_A_SERVICE}
            raise Invalid({f"app_{KEYS_A_SERVICE}": [str(text)]})
        errors: dict[str, list[str]] = {}
        for index, app in enumerate(keys.app_ids):
            if not _APP_ID.fullmatch(app):
                errors[f"app_{index}"] = [str(_("Enter an App ID of 1 to 64 letters, digits, hyphens and underscores."))]
            elif app in keys.app_ids[:index]:
                errors[f"app_{index}"] = [str(_("This App ID stands here twice. Each has one API key."))]
            elif index >= number:
                errors[f"key_{index}"] = [str(_("Enter or choose the API key of this app."))]
        if errors:
            raise Invalid(errors)
        return [_app_path(app) for app in keys.app_ids]

    def _told(self) -> dict[str, Any]:
        """For the audit log: what its kind asks for."""
        agent = self.agent
        asked = {"bot_type": self.bot_type} if agent.bot_types else {"header": self.header} if agent.own_header else {}
        return {"supplier": self.supplier, "address": self.address, **asked}

    def _told_keys(self, keys: NewKeys) -> dict[str, Any]:
        return told_keys(keys) | ({"apps": list(keys.app_ids)} if self.agent.apps else {})

    def _as_edited(self) -> dict[str, Any]:
        return {
            "supplier": self.supplier_label,
            "address": self.address,
            "bot_type": self.bot_type_label,
            "header": self.header,
            "generation": self.generation,
        }


def _app_path(app: str) -> str:
    return f"apps[{app}]"


def _columns(agent: NewAgent, address: Address) -> dict[str, str]:
    row = AGENTS[agent.kind]
    return {
        "supplier": agent.kind,
        "address": str(address),
        "bot_type": agent.bot_type if row.bot_types else "",
        "header": agent.header.lower() if row.own_header else "",
    }


def _check(errors: dict[str, list[str]], agent: NewAgent, ours: bool) -> Address:
    row = AGENTS.get(agent.kind)
    if row is None:
        errors = errors | {"supplier": [str(_("Choose one of the kinds of agent listed."))]}
    elif row.bot_types and agent.bot_type not in BOT_TYPES:
        errors = errors | {"bot_type": [str(_("Choose one of the types listed."))]}
    elif row.own_header and agent.header:
        errors = errors | check_header(agent.header.lower())
    return check_address(agent.address, ours, errors)
