"""Values that gateways send to providers, as Envoy secrets. One of the places where a value is exposed.

Every reference gets a resource, empty where there is no value to send. Both halves matter: Envoy waits up to 15 s at its start
for a secret that never comes, and keeps using the last value of one that is removed. An empty one is answered 401 at once.
"""

from collections.abc import Iterator, Mapping
from uuid import UUID

from envoy.config.core.v3.base_pb2 import DataSource
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import GenericSecret, Secret

from gateway.compile.problems import Problem
from gateway.compile.values import Value, header_safe
from gateway.inventory import Service, Use
from gateway.names import WITHHELD, secret_name


def secrets(services: tuple[Service, ...], values: Mapping[UUID, Value]) -> Iterator[Secret]:
    """One per key and prefix that these services send, the newest version of each."""
    forms = {(use.key_id, service.prefix): use for service in services for use in service.keys if not use.withheld}
    for (key_id, prefix), use in forms.items():
        value = b"" if problem_of(use, values) else prefix.encode() + values[use.versions[0].id].expose()
        yield generic_secret(secret_name(key_id, prefix), value)
    if any(use.withheld for service in services for use in service.keys):
        yield generic_secret(WITHHELD, b"")


def generic_secret(name: str, value: bytes) -> Secret:
    return Secret(name=name, generic_secret=GenericSecret(secret=DataSource(inline_bytes=value)))


def problem_of(use: Use, values: Mapping[UUID, Value]) -> str:
    """Why the newest version cannot be sent, or nothing. An older one is no substitute: it was replaced for a reason."""
    if not use.versions:
        return "policy" if use.withheld else "disabled"
    value = values.get(use.versions[0].id)
    if value is None:
        return "unreadable"
    return "" if header_safe(value.expose()) else "charset"


def problems(services: tuple[Service, ...], values: Mapping[UUID, Value]) -> Iterator[Problem]:
    for service in services:
        for use in service.keys:
            if reason := problem_of(use, values):
                yield Problem(f"{service.kind}_service", service.id, use.path, use.key_id, reason)
