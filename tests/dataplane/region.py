"""A small region to compile, changed step by step: build it, publish it, call it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from textwrap import dedent
from typing import Any
from uuid import UUID, uuid5

from gateway.inventory import Consumer, Credential, Instance, Inventory, Jwt, Rule, Script, Service, Use, Version
from gateway.methods import JWT
from gateway.names import JWKS_PATH
from gateway.plugins.paths import written
from gateway.plugins.reading import read
from gateway.sources import BEARER, Source

NAMESPACE = UUID("00000000-0000-0000-0000-00000000aaaa")


def header(name: str) -> Source:
    return Source("header", name)


def query(name: str) -> Source:
    return Source("query", name)


@dataclass(frozen=True)
class Value:
    """Stands in for a Plaintext."""

    raw: bytes = field(repr=False)

    def expose(self) -> bytes:
        return self.raw


@dataclass
class Region:
    """Keys are known by a word, and holders name them by it, so that a rotation is seen by all of them."""

    keys: dict[str, list[tuple[int, str]]] = field(default_factory=dict)  # accepted versions, newest first
    consumers: dict[str, tuple[tuple[str, ...], tuple[Source, ...]]] = field(default_factory=dict)  # keys, sources
    bearers: dict[str, tuple[str, Jwt]] = field(default_factory=dict)  # the key that holds a shared secret, or ""
    services: dict[str, tuple[Service, tuple[str, ...]]] = field(default_factory=dict)  # without and with its keys
    places: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of a service's keys, where they are not a list
    rules: dict[tuple[str, str], tuple[str, Script | None]] = field(default_factory=dict)  # by service ("" for all) and plugin
    disabled: set[str] = field(default_factory=set)  # consumers
    unreadable: set[str] = field(default_factory=set)
    seq: int = 0
    ref: str = "gw-test"

    def key(self, name: str, *versions: str) -> None:
        """Newest first, as in `key("alice", "new", "old")`. A value not known yet gets the next number. None at all: disabled."""
        known = {value: number for number, value in self.keys.get(name, [])}
        newest = max(known.values(), default=0)
        fresh = [value for value in reversed(versions) if value not in known]
        known |= {value: newest + 1 + position for position, value in enumerate(fresh)}
        self.keys[name] = [(known[value], value) for value in versions]

    def consumer(self, name: str, *keys: str, sources: tuple[Source, ...] = (BEARER,)) -> None:
        self.consumers[name] = keys, sources

    def bearer(self, name: str, key: str = "", *, place: Source = BEARER, prefix: str = "Bearer", **fields: Any) -> None:
        """A consumer known by tokens: signed with a shared secret, or as `public` or `url` say. Its claim is its name."""
        plain = Jwt(place=place, prefix=prefix, pass_through=False, claim="uid", value=name)
        self.bearers[name] = key, replace(plain, **fields)

    def service(self, name: str, port: int, *keys: str, authorized: tuple[str, ...] = (), **fields: Any) -> None:
        plain = Service(
            id=_number(name),
            kind="ai",
            name=name,
            scheme="http",
            host="127.0.0.1",
            port=port,
            path="/v1",
            message_path="",
            header="authorization",
            prefix="Bearer ",
            extra_headers=(),
            keys=(),
            consumer_authentication=True,
            authorized=authorized,
        )
        self.services[name] = replace(plain, **fields), keys

    def agent(self, name: str, port: int, *keys: str, apps: tuple[str, ...] = (), **fields: Any) -> None:
        """With apps, one key for each of them."""
        self.service(name, port, *keys, kind="agent", **fields)
        if apps:
            self.places[name] = tuple(f"apps[{app}]" for app in apps)

    def mcp(self, name: str, port: int, key: str = "", *, path: str = "/mcp", header: str = "x-api-key", **fields: Any) -> None:
        """Without a key its back end is shown none."""
        sent = {"header": header, "prefix": ""} if key else {"header": "", "prefix": ""}
        self.service(name, port, *([key] if key else []), kind="mcp", path=path, **sent | fields)
        self.places[name] = ("backend_auth",)

    def token_service(self, name: str, port: int, *keys: str, authorized: tuple[str, ...] = (), **fields: Any) -> None:
        self.service(name, port, *keys, authorized=authorized, authentication_method=JWT, **fields)

    def change(self, name: str, **fields: Any) -> None:
        service, keys = self.services[name]
        self.services[name] = replace(service, **fields), keys

    def rule(self, plugin: str, text: str, *, service: str = "", script: Script | None = None) -> None:
        """Enabled. Without a service it is the instance's."""
        self.rules[service, plugin] = dedent(text), script

    @property
    def inventory(self) -> Inventory:
        consumers = tuple(
            Consumer(_number(name), name, tuple(Credential(use, sources) for use in self._uses("credentials", keys)))
            for name, (keys, sources) in sorted(self.consumers.items())
            if name not in self.disabled
        )
        consumers += tuple(
            Consumer(_number(name), name, (), replace(jwt, use=Use(JWKS_PATH, key_id(key), self._versions(key)) if key else None))
            for name, (key, jwt) in sorted(self.bearers.items())
            if name not in self.disabled
        )
        sources = {source for _, group in self.consumers.values() for source in group} | {jwt.place for _, jwt in self.bearers.values()}
        services = tuple(
            replace(
                service,
                keys=self._uses("api_keys", keys, self.places.get(name, ())),
                authorized=tuple(sorted(service.authorized)),
                rules=self._rules(name),
            )
            for name, (service, keys) in sorted(self.services.items())
        )
        instance = Instance(uuid5(NAMESPACE, self.ref), self.ref, services, self._rules(""))
        return Inventory(uuid5(NAMESPACE, "region"), self.seq, consumers, tuple(sources), (instance,), None)

    @property
    def values(self) -> dict[UUID, Value]:
        return {
            _version_id(key, number, value): Value(value.encode())
            for key, versions in self.keys.items()
            for number, value in versions
            if key not in self.unreadable
        }

    def _rules(self, service: str) -> tuple[Rule, ...]:
        return tuple(
            Rule(_number(f"{place} {plugin}"), plugin, text, tuple(self._named(text)), script)
            for (place, plugin), (text, script) in sorted(self.rules.items())
            if place == service
        )

    def _named(self, text: str) -> Iterator[tuple[str, Use]]:
        for placed in read(text).refs:
            yield placed.ref.name, Use(written(placed.path), key_id(placed.ref.name), self._versions(placed.ref.name))

    def _uses(self, field: str, keys: tuple[str, ...], paths: tuple[str, ...] = ()) -> tuple[Use, ...]:
        paths = paths or tuple(f"{field}[{place}]" for place in range(len(keys)))
        return tuple(Use(path, key_id(key), self._versions(key)) for path, key in zip(paths, keys, strict=False))

    def _versions(self, key: str) -> tuple[Version, ...]:
        return tuple(Version(_version_id(key, number, value), number) for number, value in self.keys[key])


def key_id(key: str) -> UUID:
    return uuid5(NAMESPACE, key)


def _version_id(key: str, number: int, value: str) -> UUID:
    """A version never has another value."""
    return uuid5(NAMESPACE, f"{key}/{number}/{value}")


def _number(name: str) -> int:
    return uuid5(NAMESPACE, name).int % 1_000_000
