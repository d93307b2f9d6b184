"""Who may do what at each address, written by hand as the specification: the product must agree with it, and each address must be here."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from django.urls import reverse

from gateway.models import Consumer, CustomPlugin, McpService, Service
from secrets_app.models import Key
from tests import cast
from tests.security.world import World

ANYBODY = "anybody"
TOKENS = "tokens"  # of the API: a cookie opens nothing there
SIGNED_IN = "alice kim olive vera audrey mallory"
NOBODY = ""  # it is another person's, whoever asks
ALL = "alice kim olive vera audrey"  # everybody with a role
NOUNS = "alice kim olive vera"
KEYS = "alice kim"
WIRING = "alice olive"
LOG = "alice audrey"
OWNERS = "alice"

Place = Callable[[World], dict[str, str]]
Body = Callable[[World], dict[str, str]]


@dataclass(frozen=True, slots=True)
class Row:
    """`who` may come, by name. `place` fills the address. `body` is a post that does the deed `action`; without one, nothing is posted.

    `does` names those who may do it where not everybody may who comes. `sets_up`: also whoever owes a second factor comes here.

    `level` is how narrowly a role that opens the address can be held: "instance", "region" or "deployment", where it is not what the
    address itself tells; "shared" is what whoever holds a role in a region, or in an instance of it, sees of the region. `of` says where
    the thing lies that an address without a region names, and `deed` where the body's deed is done, if not where the address lies: who
    may not act there is refused; "held" is the place where the person holds the right, which the deed then keeps to.
    """

    who: str
    place: Place = lambda world: {}
    body: Body | None = None
    action: str = ""
    reads: bool = True  # answers GET
    level: str = ""
    of: str = ""
    deed: str = ""
    also: str = ""  # what is written down besides, such as by the control plane when it has answered
    does: str = ""
    sets_up: bool = False

    def url(self, address: str, world: World, /, **instead: str) -> str:
        return reverse(address, kwargs=self.place(world) | instead)

    @property
    def somebody(self) -> str:
        """Who may: the owner where the owner does."""
        return "alice" if self.may("alice") else self.who.split()[0]

    def may(self, name: str) -> bool:
        return self.who == ANYBODY or name in self.who.split()

    def may_do(self, name: str) -> bool:
        return name in self.does.split() if self.does else self.may(name)


def _once() -> dict[str, str]:
    return {"once": str(uuid.uuid4())}


def _region(world: World) -> dict[str, str]:
    return {"region": world.region.name}


def _named(name: str) -> Place:
    return lambda world: _region(world) | {"name": name}


def _credential(name: str) -> Place:
    return lambda world: _region(world) | {"name": name, "number": "0"}


def _in_gateway(world: World) -> dict[str, str]:
    return _region(world) | {"ref": world.gateway.ref}


def _service(name: str, **more: str) -> Place:
    return lambda world: _in_gateway(world) | {"name": name} | more


def _rule(place: str = "instance", **more: str) -> Place:
    return _service("key-auth", place=place, **more)


def _person(name: str) -> Place:
    return lambda world: {"username": name}


def _team(**more: str) -> Place:
    return lambda world: {"team": str(world.team.pk)} | more


def _says(**fields: str) -> Body:
    return lambda world: fields | _once()


_CONSUMER = {"authentication": "api_key", "source_kind": "bearer", "header": "x-api-key", "parameter": "api_key", "description": "posted"}
_JWT = {"position": "header", "placed_at": "Authorization", "token_prefix": "Bearer", "claim": "uid", "claim_value": "posted"}
_SERVICE = {"supplier": "custom", "protocol": "OpenAI/v1", "address": "https://llm.example.com/v1", "generation": "custom"}

_SCRIPT = {"description": "posted", "phase": "statistics", "priority": "7", "source": cast.SCRIPT, "schema": cast.SCHEMA}

_MCP = {"address": "https://tools.example.com", "transport": "streamable-http", "path": "/mcp"}

ROWS: dict[str, Row] = {
    "home": Row(ALL, level="shared"),
    "sign-in": Row(ANYBODY, body=_says(login="kim", password="correct horse battery"), action="user.sign_in"),
    "sign-out": Row(ANYBODY, body=_says(), action="user.sign_out"),
    "theme": Row(SIGNED_IN, body=_says(theme="dark"), action="user.edit_theme", reads=False),
    "sign-in-second-factor": Row(ANYBODY),
    "sso": Row(ANYBODY),
    "sso-callback": Row(ANYBODY),
    "account": Row(SIGNED_IN),
    "confirm": Row(SIGNED_IN, sets_up=True),
    "account-set-up": Row(SIGNED_IN, sets_up=True),
    "account-password": Row(
        SIGNED_IN,
        body=_says(old=cast.PASSWORD, password="three unrelated words", again="three unrelated words"),
        action="user.change_password",
    ),
    "account-add-app": Row(SIGNED_IN, sets_up=True),
    "account-add-key": Row(SIGNED_IN, sets_up=True),
    "account-rename-factor": Row(NOBODY, lambda world: {"pk": "1"}),
    "account-remove-factor": Row(NOBODY, lambda world: {"pk": "1"}),
    "account-recovery-codes": Row(SIGNED_IN),
    "account-end-other-sessions": Row(SIGNED_IN, body=_says(), action="user.end_session"),
    "account-end-session": Row(NOBODY, lambda world: {"ref": str(uuid.uuid4())}),
    "healthz": Row(ANYBODY),
    "readyz": Row(ANYBODY),
    "stylesheet": Row(ANYBODY),
    "styleguide": Row(ALL, level="shared"),
    "styleguide-options": Row(ALL, level="shared"),
    "styleguide-scene": Row(ALL, lambda world: {"name": "consumer"}, level="shared"),
    "audit-list": Row(LOG, level="region"),
    "audit-export": Row(LOG, body=_says(format="jsonl"), action="audit.export", level="region", deed="held"),
    "audit-detail": Row(LOG, lambda world: {"seq": "1"}, level="region", of="everywhere"),
    "settings": Row(OWNERS),
    "admin-list": Row(LOG, level="deployment"),
    "admin-detail": Row(LOG, lambda world: {"seq": "1"}, level="deployment"),
    "settings-edit-second-factor": Row(OWNERS, body=_says(roles="auditor"), action="settings.edit_second_factor"),
    "settings-edit-reveal": Row(OWNERS, body=_says(policy="on"), action="settings.edit_reveal"),
    "region-create": Row(OWNERS, body=_says(name="posted", title="Posted"), action="region.create"),
    "user-list": Row(OWNERS, level="instance"),
    "user-detail": Row(OWNERS, _person("pat"), level="instance", of="region"),
    "user-disable": Row(OWNERS, _person("pat"), _says(), "user.disable"),
    "user-enable": Row(OWNERS, _person("dan"), _says(), "user.enable"),
    "user-delete": Row(OWNERS, _person("pat"), _says(confirm="pat"), "user.delete"),
    "user-grant": Row(
        OWNERS, _person("pat"), _says(role="operator", where="everywhere"), "role.grant", level="instance", of="region", deed="everywhere"
    ),
    "team-list": Row(OWNERS, level="instance"),
    "team-create": Row(OWNERS, body=_says(name="Posted", description="posted"), action="team.create"),
    "team-detail": Row(OWNERS, _team(), level="instance", of="everywhere"),
    "team-edit": Row(OWNERS, _team(), _says(name="Posted", description="posted", lock_version="1"), "team.edit"),
    "team-delete": Row(OWNERS, _team(), _says(confirm="Platform"), "team.delete"),
    "team-grant": Row(OWNERS, _team(), _says(role="operator", where="everywhere"), "role.grant", level="instance", of="everywhere"),
    "team-add-member": Row(OWNERS, _team(), _says(username="dan"), "team.add_member"),
    "team-remove-member": Row(OWNERS, _team(username="pat"), _says(), "team.remove_member"),
    "invitation-list": Row(OWNERS),
    "invitation-create": Row(OWNERS, body=_says(username="posted", role="viewer", where="everywhere"), action="invitation.create"),
    "invitation-revoke": Row(OWNERS, lambda world: {"invitation": world.invited}, _says(), "invitation.revoke"),
    "invitation-accept": Row(
        ANYBODY,
        lambda world: {"token": world.token},
        _says(password="three unrelated words", again="three unrelated words"),
        "invitation.accept",
        also="user.sign_in",
    ),
    "token-list": Row(OWNERS),
    "token-own": Row(ALL, level="region"),
    "token-create": Row(
        ALL,
        body=lambda world: {"name": "posted", "region": world.region.name, "permissions": "key.view", "days": "30"} | _once(),
        action="token.create",
        level="region",
        deed="region",
        does=NOUNS,  # whoever reads the log alone gives a token that right alone
    ),
    "token-revoke": Row(OWNERS, lambda world: {"token": world.token_pk}, of="own"),
    "api-audit": Row(TOKENS),
    "api-keys": Row(TOKENS, _region),
    "api-key": Row(TOKENS, _named("partner")),
    "api-key-rotate": Row(TOKENS, _named("partner"), reads=False),
    "api-key-disable": Row(TOKENS, _named("partner"), reads=False),
    "api-key-enable": Row(TOKENS, _named("partner"), reads=False),
    "api-consumers": Row(TOKENS, _region),
    "role-list": Row(SIGNED_IN),
    "role-revoke": Row(
        OWNERS, lambda world: {"grant": str(world.grant.pk)}, _says(), "role.revoke", level="instance", of="region", deed="region"
    ),
    "overview": Row(ALL, _region, level="shared"),
    "region-switch": Row(ALL, lambda world: _region(world) | {"page": "keys/partner/"}, level="shared"),
    #
    "key-list": Row(NOUNS, _region, level="shared"),
    "key-options": Row(NOUNS, _region, level="shared"),
    "key-name": Row(KEYS, _region),
    "key-create": Row(
        KEYS, _region, _says(name="posted", description="posted", generation="custom", value="a value that was posted"), "key.create"
    ),
    "key-detail": Row(NOUNS, _named("partner"), level="shared"),
    "key-references": Row(NOUNS, _named("partner"), level="shared"),
    "key-use": Row(WIRING, _named("partner"), level="instance"),
    "key-policy": Row(NOUNS, _named("partner"), level="shared"),
    "key-set-policy": Row(
        KEYS,
        _named("spare"),
        lambda world: (
            {"reach": "bounded", "kinds": "ai_service", "hosts": "api.example.com", "lock_version": world.lock(Key, "spare")} | _once()
        ),
        "key.set_policy",
    ),
    "key-move": Row(
        WIRING,
        _named("edge2"),
        lambda world: {"to": "spare", "step": "move", "seen": world.plan("edge2", "spare")} | _once(),
        "key.move",
    ),
    "key-edit": Row(
        KEYS, _named("spare"), lambda world: {"description": "posted", "lock_version": world.lock(Key, "spare")} | _once(), "key.edit"
    ),
    "key-rotate": Row(
        KEYS, _named("partner"), _says(generation="custom", value="another value that was posted", overlap="24"), "key.rotate"
    ),
    "key-roll-back": Row(KEYS, lambda world: _named("turned")(world) | {"number": "1"}, _says(lock_version="2"), "key.roll_back"),
    "key-reveal": Row("kim", _named("spare"), _says(reason="a reason that was posted", lock_version="1"), "key.reveal", also="key.show"),
    "key-approve-reveal": Row(
        "kim",
        lambda world: _region(world) | {"name": "spare", "asked": str(world.asked)},
        _says(decision="deny"),
        "key.deny_reveal",
    ),
    "key-disable": Row(KEYS, _named("spare"), _says(), "key.disable"),
    "key-enable": Row(KEYS, _named("resting"), _says(), "key.enable"),
    "key-delete": Row(KEYS, _named("spare"), _says(confirm="spare"), "key.delete"),
    #
    "consumer-list": Row(NOUNS, _region, level="shared"),
    "consumer-bind-summary": Row(NOUNS, _region, level="shared"),
    "consumer-create": Row(
        WIRING,
        _region,
        _says(name="posted", generation="custom", value="a value that was posted", state="enabled", **_CONSUMER),
        "consumer.create",
    ),
    "consumer-detail": Row(NOUNS, _named("acme"), level="shared"),
    "consumer-edit": Row(
        WIRING,
        _named("own"),
        lambda world: {"lock_version": world.lock(Consumer, "own"), **_CONSUMER} | _once(),
        "consumer.edit",
    ),
    "consumer-switch-method": Row(
        WIRING,
        _named("own"),
        lambda world: {"key_type": "symmetric", "lock_version": world.lock(Consumer, "own"), **_JWT} | _once(),
        "consumer.switch_method",
    ),
    "consumer-rotate-jwt": Row(WIRING, _named("bearer"), _says(overlap="24"), "consumer.rotate_jwt"),
    "consumer-add-credential": Row(
        WIRING, _named("own"), _says(generation="custom", value="a value that was posted"), "consumer.add_credential"
    ),
    "consumer-edit-credential": Row(
        WIRING,
        _credential("own"),
        lambda world: {"generation": "custom", "value": "a value that was posted", "lock_version": world.lock(Consumer, "own")} | _once(),
        "consumer.edit_credential",
    ),
    "consumer-rotate": Row(WIRING, _credential("own"), _says(value="another value that was posted", overlap="24"), "consumer.rotate"),
    "consumer-remove-credential": Row(WIRING, _credential("twofold"), _says(), "consumer.remove_credential"),
    "consumer-authorize": Row(
        WIRING,
        lambda world: _region(world) | {"name": "newcomer", "kind": "ai"},
        lambda world: {"instance": world.gateway.ref, "services": "chat"} | _once(),
        "service.authorize",
        level="instance",
        deed="instance",
    ),
    "consumer-authorize-mcp": Row(
        WIRING,
        _named("newcomer"),
        lambda world: {"instance": world.gateway.ref, "services": "tools"} | _once(),
        "mcp.authorize",
        level="instance",
        deed="instance",
    ),
    "consumer-disable": Row(WIRING, _named("own"), _says(), "consumer.disable"),
    "consumer-enable": Row(WIRING, _named("asleep"), _says(), "consumer.enable"),
    "consumer-delete": Row(WIRING, _named("own"), _says(confirm="own"), "consumer.delete"),
    #
    "instance-list": Row(NOUNS, _region, level="instance"),
    "instance-create": Row(WIRING, _region, _says(name="Posted", version="2.1.25"), "instance.create"),
    "instance-detail": Row(NOUNS, _in_gateway),
    "instance-keys": Row(NOUNS, _in_gateway),
    "instance-upgrade": Row(WIRING, lambda world: _region(world) | {"ref": world.empty.ref}, _says(version="2.1.25"), "instance.upgrade"),
    "instance-delete": Row(WIRING, lambda world: _region(world) | {"ref": world.empty.ref}, _says(confirm="Empty"), "instance.delete"),
    "node-list": Row(NOUNS, _in_gateway),
    "node-remove": Row(WIRING, lambda world: _in_gateway(world) | {"name": "gone"}, _says(confirm="gone"), "node.remove"),
    "service-list": Row(NOUNS, _in_gateway),
    "service-preset": Row(WIRING, _in_gateway),
    "service-key-row": Row(WIRING, _in_gateway),
    "service-create": Row(
        WIRING, _in_gateway, _says(name="posted", source="ai", value_0="a value that was posted", **_SERVICE), "service.create"
    ),
    "service-detail": Row(NOUNS, _service("chat")),
    "service-edit": Row(
        WIRING,
        _service("open-house"),
        lambda world: (
            _SERVICE | {"value_0": "", "address": "https://api.example.com/v2", "lock_version": world.lock(Service, "open-house")} | _once()
        ),
        "service.edit",
    ),
    "service-test": Row(WIRING, _service("chat"), _says(), "service.test", also="service.call"),
    "service-delete": Row(WIRING, _service("open-house"), _says(confirm="open-house"), "service.delete"),
    "service-open": Row(WIRING, _service("chat"), _says(), "service.open"),
    "service-require-authentication": Row(WIRING, _service("open-house"), _says(), "service.require_authentication"),
    "service-authorize": Row(WIRING, _service("chat"), _says(consumers="newcomer"), "service.authorize"),
    "service-revoke": Row(WIRING, _service("chat", consumer="acme"), _says(), "service.revoke"),
    #
    "mcp-list": Row(NOUNS, _in_gateway),
    "mcp-preview": Row(WIRING, _in_gateway),
    "mcp-create": Row(WIRING, _in_gateway, _says(name="posted", consumer_authentication="on", **_MCP), "mcp.create"),
    "mcp-detail": Row(NOUNS, _service("tools")),
    "mcp-edit": Row(
        WIRING, _service("tools"), lambda world: {"lock_version": world.lock(McpService, "tools"), **_MCP} | _once(), "mcp.edit"
    ),
    "mcp-configure-backend-auth": Row(
        WIRING,
        _service("tools"),
        lambda world: (
            {
                "lock_version": world.lock(McpService, "tools"),
                "enabled": "on",
                "header": "x-posted",
                "generation": "custom",
                "value": "a value that was posted",
            }
            | _once()
        ),
        "mcp.configure_backend_auth",
    ),
    "mcp-test": Row(WIRING, _service("tools"), _says(), "mcp.test", also="service.call"),
    "mcp-delete": Row(WIRING, _service("tools"), _says(confirm="tools"), "mcp.delete"),
    "mcp-open": Row(WIRING, _service("tools"), _says(), "mcp.open"),
    "mcp-require-authentication": Row(WIRING, _service("open-tools"), _says(), "mcp.require_authentication"),
    "mcp-authorize": Row(WIRING, _service("tools"), _says(consumers="newcomer"), "mcp.authorize"),
    "mcp-revoke": Row(WIRING, _service("tools", consumer="acme"), _says(), "mcp.revoke"),
    #
    "custom-plugin-list": Row(NOUNS, _region, level="shared"),
    "custom-plugin-detail": Row(NOUNS, _named("stamp"), level="shared"),
    "custom-plugin-create": Row(WIRING, _region, _says(name="posted", **_SCRIPT), "custom_plugin.create"),
    "custom-plugin-edit": Row(
        WIRING,
        _named("stamp"),
        lambda world: {"lock_version": world.lock(CustomPlugin, "stamp"), **_SCRIPT} | _once(),
        "custom_plugin.edit",
    ),
    "custom-plugin-delete": Row(WIRING, _named("stamp"), _says(confirm="stamp"), "custom_plugin.delete"),
    #
    "plugin-list": Row(NOUNS, _in_gateway),
    "plugin-detail": Row(NOUNS, _service("key-auth")),
    "plugin-install": Row(WIRING, _service("cors"), _says(), "plugin.install"),
    "plugin-uninstall": Row(WIRING, _service("key-auth"), _says(confirm="key-auth"), "plugin.uninstall"),
    "rule-place": Row(WIRING, _service("key-auth")),
    "rule-detail": Row(NOUNS, _rule()),
    "rule-write": Row(
        WIRING,
        _rule(),
        lambda world: (
            {"step": "save", "enabled": "on", "lock_version": world.rule(), "text": "credentials: ['$ref{spare}']\nkeys: [apikey]\n"}
            | _once()
        ),
        "rule.write",
    ),
    "rule-check": Row(WIRING, _rule(), reads=False),
    "rule-enable": Row(WIRING, _rule("services/chat"), _says(), "rule.enable"),
    "rule-disable": Row(WIRING, _rule(), _says(), "rule.disable"),
    "rule-delete": Row(WIRING, _rule(), _says(), "rule.delete"),
    "rule-restore": Row(WIRING, _rule(number="1"), lambda world: {"lock_version": world.rule()} | _once(), "rule.restore"),
}
WRITING = {name: row for name, row in ROWS.items() if row.body}
ENTERING = {"sign-in", "invitation-accept"}  # done by whoever is not in yet
