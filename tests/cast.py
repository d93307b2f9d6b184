"""The cast of every test: who acts, and one of each noun. Names are the same everywhere, so a test reads as a sentence."""

from itertools import count
from typing import Any

from django.test import Client

from gateway.models import Consumer, Instance, NewCredential, NewKeys, Service
from secrets_app import setup
from secrets_app.actor import Actor
from secrets_app.models import Key, Region, User
from secrets_app.plaintext import Plaintext

PASSWORD = "correct horse battery"
ROLES = {"alice": "owner", "kim": "key_manager", "olive": "operator", "vera": "viewer", "audrey": "auditor", "mallory": None}

_number = count(1)


def person(name: str) -> User:
    """alice (owner), kim (key manager), olive (operator), vera (viewer), audrey (auditor), mallory (no role)."""
    role = ROLES[name]
    return User.objects.filter(username=name).first() or User.create(name, PASSWORD, {role} if role else set(), by=SETUP)


def actor(name: str) -> Actor:
    return person(name).as_actor("127.0.0.1")


def client(name: str = "", **options: Any) -> Client:
    """A browser with nobody signed in, or one of the cast. Options are Django's, such as enforce_csrf_checks."""
    client = Client(**options)
    if name:
        client.force_login(person(name))
    return client


SETUP = Actor.system("tests")


def deployment() -> Region:
    """A deployment set up, with its first region."""
    setup.prepare(SETUP)
    return setup.first_region(SETUP)[0]


def value(text: str = "") -> Plaintext:
    """A value no other call gives, or the one given."""
    return Plaintext(text or f"value-{next(_number):06d}-of-the-cast")


def key(region: Region, name: str = "", text: str = "", **fields: Any) -> Key:
    return Key.create(region, name or f"key_{next(_number)}", value(text), by=SETUP, **fields)


def instance(region: Region, name: str = "", **fields: Any) -> Instance:
    return Instance.create(region, name or f"instance {next(_number)}", by=SETUP, **fields)


def consumer(region: Region, name: str = "", *, bound_to: Key | None = None, text: str = "", **fields: Any) -> Consumer:
    """Bound to a key, or with a custom value of its own."""
    credential = NewCredential("reference", key_name=bound_to.name or "") if bound_to else NewCredential("custom", value(text))
    return Consumer.create(region, name or f"consumer-{next(_number)}", credential, by=SETUP, **fields)


def service(
    instance: Instance,
    name: str = "",
    *,
    keys: list[Key] | None = None,
    address: str = "https://api.example.com/v1",
    supplier: str = "custom",
    protocol: str = "OpenAI/v1",
) -> Service:
    """Referring to keys, or with a custom value of its own."""
    chosen = NewKeys("reference", key_names=[key.name or "" for key in keys]) if keys else NewKeys("custom", [value()])
    return Service.create(instance, name or f"service-{next(_number)}", supplier, protocol, address, chosen, by=SETUP)
