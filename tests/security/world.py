"""Two regions with the same names in both, and one noun in each state that an address asks for: what the security tests walk through."""

import hashlib
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from django.apps import apps
from django.db import connection

from gateway import moving
from gateway.models import Consumer, CustomPlugin, Instance, NewCredential, Node, Rule, Service
from secrets_app.models import ApiToken, Invitation, Key, Region, RoleGrant, Team
from tests import cast

# Written by the act of asking, not by what is asked: sessions, and the counters of the sign-in limit.
ASIDE = {"console_session", "console_cache"}


@dataclass(frozen=True, slots=True)
class World:
    """Names in `region`; `abroad` is another region that has none of them."""

    region: Region
    abroad: Region
    gateway: Instance
    empty: Instance
    foreign: Instance  # abroad, as are a key, a consumer and a service named "foreign"
    team: Team  # with pat in it, who is a viewer in the region by `grant`; dan is disabled
    grant: RoleGrant
    invited: str  # the number of an invitation, and what stands in its link
    token: str
    asked: UUID  # what another key manager asked for: to be shown "spare"
    token_pk: str  # of an API token of somebody else's

    @classmethod
    def make(cls) -> "World":
        region = cast.deployment()
        for name in cast.ROLES:
            cast.person(name)
        abroad = Region.create("abroad", "Abroad", by=cast.SETUP)
        foreign = cast.instance(abroad, "Foreign")
        cast.service(foreign, "foreign", keys=[cast.key(abroad, "foreign")])
        cast.consumer(abroad, "foreign")
        cast.mcp(foreign, "foreign")
        cast.custom_plugin(abroad, "foreign")
        gateway, empty = cast.instance(region, "Main"), cast.instance(region, "Empty", version="2.1.11")
        _furnish(region)
        _furnish_gateway(gateway)
        pat = cast.somebody("pat")
        cast.somebody("dan").disable(by=cast.SETUP)
        grant = RoleGrant.grant(pat, "viewer", region, by=cast.SETUP)
        invitation, token = Invitation.create("nina", "", "viewer", cast.everywhere(), by=cast.actor("alice"))
        platform, asked = cast.team("Platform", pat), _asked(region)
        return cls(region, abroad, gateway, empty, foreign, platform, grant, str(invitation.pk), token, asked, str(_token().pk))

    def cells(self) -> "list[World]":
        """This world with a second gateway beside the first, and both again abroad: the same nouns stand in each."""
        beside, far, farther = (
            cast.instance(self.region, "Beside"),
            cast.instance(self.abroad, "Main"),
            cast.instance(self.abroad, "Beside"),
        )
        nothing = cast.instance(self.abroad, "Empty", version="2.1.11")
        _furnish(self.abroad)
        for gateway in (beside, far, farther):
            _furnish_gateway(gateway)
        there = replace(self, region=self.abroad, abroad=self.region, foreign=self.gateway, empty=nothing, asked=_asked(self.abroad))
        return [self, replace(self, gateway=beside), replace(there, gateway=far), replace(there, gateway=farther)]

    def lock(self, kind: type[Key] | type[Consumer] | type[CustomPlugin] | type[Service], name: str) -> str:
        """The version that an edit form of it carries."""
        return str(kind._default_manager.get(name=name, **self._in_region(kind)).lock_version)

    def rule(self) -> str:
        """The version of the rule of the gateway."""
        return str(Rule.objects.get(plugin__instance=self.gateway, service=None).lock_version)

    def plan(self, was: str, becomes: str) -> str:
        """What whoever confirms this move of references has seen."""
        one, other = (Key.objects.get(region=self.region, name=name) for name in (was, becomes))
        return moving.plan(one, other, by=cast.SETUP).seen

    def _in_region(self, kind: type) -> dict[str, object]:
        return {"instance": self.gateway} if issubclass(kind, Service) else {"region": self.region}


def _token() -> ApiToken:
    """Of somebody else, whoever of the cast asks."""
    kai = cast.somebody("kai", "key_manager")
    return ApiToken.create("ci", None, ["key.view"], 90, by=kai.as_actor())[0]


def _furnish(region: Region) -> None:
    """With one of what a region shares, in each state."""
    for name in ("spare", "partner", "upstream", "tools", "edge", "edge2"):
        cast.key(region, name)
    cast.key(region, "resting").disable(by=cast.SETUP)
    cast.key(region, "turned").rotate(cast.value(), by=cast.SETUP)
    cast.consumer(region, "acme", bound_to=_key(region, "partner"))
    for name in ("own", "newcomer"):
        cast.consumer(region, name)
    cast.consumer(region, "twofold").add_credential(NewCredential("custom", cast.value()), by=cast.SETUP)
    cast.consumer(region, "asleep", enabled=False)
    cast.bearer(region, "bearer")
    Consumer.create(region, "made", NewCredential("system", cast.value()), by=cast.SETUP)
    cast.custom_plugin(region, "stamp")


def _furnish_gateway(gateway: Instance) -> None:
    """With one of what lies in an instance, using what its region shares."""
    region = gateway.region
    chat = cast.service(gateway, "chat", keys=[_key(region, "upstream")])
    cast.service(gateway, "open-house").open(by=cast.SETUP)
    Node.join(gateway, "gone", "127.0.0.1", 8089, by=cast.SETUP)
    tools = cast.mcp(gateway, "tools", key=_key(region, "tools"))
    cast.mcp(gateway, "open-tools").open(by=cast.SETUP)
    edge = cast.plugin(gateway)
    cast.rule(edge, cast.key_auth(_key(region, "edge")))
    cast.rule(edge, cast.key_auth(_key(region, "edge2")))
    cast.rule(edge, "allow: []\n", chat, enabled=False)
    chat.authorize(["acme"], by=cast.SETUP)
    tools.authorize(["acme"], by=cast.SETUP)


def _key(region: Region, name: str) -> Key:
    return Key.objects.get(region=region, name=name)


def _asked(region: Region) -> UUID:
    """The request of another key manager to be shown "spare"."""
    cast.revealing("two")
    keeper = cast.somebody("keeper", "key_manager").as_actor()
    asked = Key.objects.get(region=region, name="spare").ask_reveal("a reason that was asked", by=keeper, version=1, once=uuid4())
    cast.revealing()
    return asked.id


def fingerprint() -> str:
    """Of every row of every table of ours, whatever order the database keeps them in."""
    rows = [f"{table}: {row!r}" for table in _tables() for row in _rows(table)]
    return hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()


def everything() -> str:
    """All that is stored, as text: for looking whether something got in."""
    return "\n".join(f"{table}: {row!r}" for table in _tables() for row in _rows(table))


def things() -> list[str]:
    """Everything stored but the log itself."""
    return sorted(line for line in everything().splitlines() if not line.startswith(("secrets_app_audit", "secrets_app_refusal")))


def _tables() -> list[str]:
    ours = {model._meta.db_table for model in apps.get_models(include_auto_created=True)}
    return sorted(ours - ASIDE)


def _rows(table: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 (a table of ours)
        return list(cursor.fetchall())
