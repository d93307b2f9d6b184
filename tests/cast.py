"""The cast of every test: who acts, and one of each noun. Names are the same everywhere, so a test reads as a sentence."""

from itertools import count
from time import time as now
from typing import Any

from allauth.account.internal.flows.login import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.mfa.totp.internal import auth as totp
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.test import Client

from console import factors
from console.models import Session
from console.sessions import SessionStore
from gateway.jwks import shared_keys
from gateway.models import (
    AgentService,
    AiService,
    Consumer,
    CustomPlugin,
    Instance,
    McpService,
    NewAgent,
    NewCredential,
    NewJwt,
    NewKeys,
    Plugin,
    Rule,
    Service,
)
from secrets_app import setup
from secrets_app.actor import Actor, Held
from secrets_app.models import Deployment, Key, Region, RoleGrant, Team, User
from secrets_app.models.policy import OPEN
from secrets_app.plaintext import Plaintext
from secrets_app.scope import EVERYWHERE, Scope

PASSWORD = "correct horse battery"
ROLES = {"alice": "owner", "kim": "key_manager", "olive": "operator", "vera": "viewer", "audrey": "auditor", "mallory": None}

_number = count(1)


def person(name: str) -> User:
    """alice (owner), kim (key manager), olive (operator), vera (viewer), audrey (auditor), mallory (no role)."""
    role = ROLES[name]
    return User.objects.filter(username=name).first() or User.create(name, PASSWORD, {role} if role else set(), by=SETUP)


def actor(name: str) -> Actor:
    return person(name).as_actor("127.0.0.1")


def somebody(name: str, *roles: str, at: Scope = EVERYWHERE) -> User:
    """A person with these roles at a place, made when there is none of that name."""
    user = User.objects.filter(username=name).first() or User.create(name, PASSWORD, set(), by=SETUP)
    for role in roles:
        RoleGrant.objects.get_or_create(user=user, role=role, region_id=at.region, instance_id=at.instance)
    return user


def everywhere() -> Deployment:
    """The place of a role held for all regions."""
    return Deployment.here()


def team(name: str, *members: User) -> Team:
    team = Team.create(name, by=SETUP)
    for member in members:
        team.add_member(member, by=SETUP)
    return team


def holding(name: str, *roles: str, at: Scope = EVERYWHERE) -> Actor:
    """Somebody with these roles at a place, who is no row."""
    return Actor(name, frozenset(Held(role, at) for role in roles))


def client(name: str = "", **options: Any) -> Client:
    """A browser with nobody signed in, or one of the cast, who came in just now by password. Options are Django's, such as
    enforce_csrf_checks."""
    client = Client(**options)
    if name:
        client.force_login(person(name), settings.AUTHENTICATION_BACKENDS[0])
        passed(client, 0)
    return client


def app_of(name: str) -> str:
    """Give one of the cast an authenticator app: its seed."""
    seed, offer = factors.offer_app(person(name))
    factors.add_app(person(name), offer, code(seed), by=person(name).as_actor())
    factors.Authenticator.objects.filter(user=person(name)).update(last_used_at=None)
    return seed


def code(seed: str, steps: int = 0) -> str:
    """What the app shows now, or so many steps of 30 seconds later."""
    return str(totp.format_hotp_value(totp.hotp_value(seed, int(now()) // 30 + steps)))


def passed(client: Client, seconds: int) -> Client:
    """So long ago it was that somebody showed in this browser who is there."""
    session = client.session
    shown = session.get(AUTHENTICATION_METHODS_SESSION_KEY) or [{"method": "password"}]
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [aged(record, now() - seconds) for record in shown]
    session["account_authentication_methods_user"] = session[SESSION_KEY]
    session.save()
    return client


def aged(record: dict[str, Any], then: float) -> dict[str, Any]:
    """The note of a proof as if it had been given then, here or at a provider."""
    return record | {"at": then} | ({"shown_at": then} if record.get("shown_at") else {})


def grow_old(name: str) -> None:
    """In every browser of this person it was long ago that anybody showed who is there."""
    for row in Session.objects.filter(user__username=name):
        data = row.get_decoded()
        data[AUTHENTICATION_METHODS_SESSION_KEY] = [aged(record, 1) for record in data.get(AUTHENTICATION_METHODS_SESSION_KEY, [])]
        row.session_data = SessionStore().encode(data)
        row.save()


SETUP = Actor.system("tests")
CONTROL_PLANE = Actor.system("control-plane")


def deployment() -> Region:
    """A deployment set up, with its first region."""
    setup.prepare(SETUP)
    return setup.first_region(SETUP)[0]


def revealing(policy: str = "on") -> None:
    """The policy on revealing values."""
    Deployment.here().edit_reveal(policy, by=actor("alice"))


def value(text: str = "") -> Plaintext:
    """A value no other call gives, or the one given."""
    return Plaintext(text or f"value-{next(_number):06d}-of-the-cast")


def key(region: Region, name: str = "", text: str = "", **fields: Any) -> Key:
    """Open to any destination, unless a policy is given."""
    return Key.create(region, name or f"key_{next(_number)}", value(text), by=SETUP, **{"policy": OPEN, **fields})


def instance(region: Region, name: str = "", **fields: Any) -> Instance:
    return Instance.create(region, name or f"instance {next(_number)}", by=SETUP, **fields)


def consumer(region: Region, name: str = "", *, bound_to: Key | None = None, text: str = "", **fields: Any) -> Consumer:
    """Bound to a key, or with a custom value of its own."""
    credential = NewCredential("reference", key_name=bound_to.name or "") if bound_to else NewCredential("custom", value(text))
    return Consumer.create(region, name or f"consumer-{next(_number)}", credential, by=SETUP, **fields)


def jwt(claimed: str = "", key_type: str = "symmetric", **fields: Any) -> NewJwt:
    """With a shared secret of its own, unless the type is another."""
    return NewJwt(key_type, "uid", claimed or f"identity-{next(_number)}", shared_keys() if key_type == "symmetric" else None, **fields)


def bearer(region: Region, name: str = "", new: NewJwt | None = None, **fields: Any) -> Consumer:
    """A consumer with tokens, known by the value of their claim uid."""
    return Consumer.create(region, name or f"bearer-{next(_number)}", new or jwt(), by=SETUP, **fields)


def service(
    instance: Instance,
    name: str = "",
    *,
    keys: list[Key] | None = None,
    address: str = "https://api.example.com/v1",
    supplier: str = "custom",
    protocol: str = "OpenAI/v1",
) -> AiService:
    """Referring to keys, or with a custom value of its own."""
    chosen = NewKeys("reference", key_names=[key.name or "" for key in keys]) if keys else NewKeys("custom", [value()])
    return AiService.create(instance, name or f"service-{next(_number)}", supplier, protocol, address, chosen, by=SETUP)


def agent(
    instance: Instance,
    name: str = "",
    *,
    keys: list[Key] | None = None,
    apps: list[str] | None = None,
    kind: str = "",
    address: str = "https://agent.example.com/v1",
    **fields: str,
) -> AgentService:
    """With apps a Model Studio agent, else a Dify chatbot. Referring to keys, or with custom values of its own."""
    kind = kind or ("model-studio" if apps else "dify")
    names, values = [key.name or "" for key in keys or ()], [value() for _ in apps or [""]]
    chosen = NewKeys("reference", key_names=names, app_ids=apps or ()) if keys else NewKeys("custom", values, app_ids=apps or ())
    what = NewAgent(kind, address, **({"bot_type": "chatbot"} | fields))
    return AgentService.create(instance, name or f"agent-{next(_number)}", what, chosen, by=SETUP)


def mcp(instance: Instance, name: str = "", *, key: Key | None = None, transport: str = "streamable-http", **fields: Any) -> McpService:
    """Showing the key to its back end in X-Api-Key, or showing none."""
    given = {"address": "https://tools.example.com", "path": "/sse" if transport == "sse" else "/mcp"} | fields
    service = McpService.create(instance, name or f"mcp-{next(_number)}", transport=transport, by=SETUP, **given)
    if key:
        service.configure_backend_auth("X-Api-Key", NewCredential("reference", key_name=key.name or ""), lock_version=1, by=SETUP)
    return service


def plugin(instance: Instance, name: str = "key-auth") -> Plugin:
    """Installed, also when it is already."""
    return Plugin.objects.filter(instance=instance, name=name).first() or Plugin.install(instance, name, by=SETUP)


def rule(plugin: Plugin, text: str, service: Service | None = None, *, enabled: bool = True) -> Rule:
    """The rule of that place with this text: its first one, or the next revision."""
    there = Rule.at(plugin, service)
    return Rule.write(plugin, service, text, lock_version=there.lock_version if there else None, enabled=enabled, by=SETUP)


def key_auth(*keys: Key) -> str:
    """A rule of key-auth that admits these keys."""
    return "credentials:\n" + "".join(f"- $ref{{{key.name}}}\n" for key in keys) + "keys:\n- apikey\n- x-api-key\n"


SCRIPT = "function envoy_on_request(handle)\n  handle:headers():add('x-token', config.token)\nend\n"
SCHEMA = (
    '{"type": "object", "properties": {"token": {"type": "string", "x-secret": true}, "mode": {"type": "string"}}, "required": ["token"]}'
)


def custom_plugin(region: Region, name: str = "", **fields: Any) -> CustomPlugin:
    given = {"source": SCRIPT, "schema": SCHEMA, "phase": "default", "priority": 10} | fields
    return CustomPlugin.create(region, name or f"custom-{next(_number)}", by=SETUP, **given)
