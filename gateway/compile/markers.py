"""A plugin's mapping with its markers filled in. One of the places where a value is exposed.

What a caller presents is left out when there is no value for it, and whoever presents it is turned away. Without a value that
would be sent the rule as a whole does not work.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any as Json
from uuid import UUID

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.route.v3.route_components_pb2 import RateLimit
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from envoy.type.v3.token_bucket_pb2 import TokenBucket
from google.protobuf.any_pb2 import Any
from google.protobuf.descriptor_pool import Default
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from gateway.address import parse_address
from gateway.compile import messages  # noqa: F401 (knows them)
from gateway.compile.clusters import callee_cluster
from gateway.compile.problems import Problem
from gateway.compile.secrets import generic_secret
from gateway.compile.values import Value, header_safe
from gateway.compile.wire import packed
from gateway.inventory import Rule, Use
from gateway.names import callee_name, client_name, secret_name
from gateway.plugins.base import Accepted, Callee, Here, Native, SecretName
from gateway.plugins.paths import Path, written
from secrets_app.refs import Template

HeaderValueMatch = RateLimit.Action.HeaderValueMatch

_BEARER = b"Bearer "
_PREFIX_AND_KEY = 2


@dataclass(frozen=True, slots=True)
class Filled:
    """A mapping as messages. Without `works` its filters are not to be used."""

    filters: tuple[TypedExtensionConfig, ...] = ()
    slots: Mapping[str, Any] = field(default_factory=dict)
    limits: tuple[tuple[Json, TokenBucket], ...] = ()  # a HeaderValueMatch, and what it takes from
    clusters: tuple[Cluster, ...] = ()
    secrets: tuple[Secret, ...] = ()
    problems: tuple[Problem, ...] = ()
    works: bool = True


def filled(native: Native, rule: Rule, loop_mark: str, values: Mapping[UUID, Value]) -> Filled:
    """`rule` is the one whose text the mapping's markers come from."""
    filler = _Filler(rule, loop_mark, values)
    filters = tuple(
        TypedExtensionConfig(name=f"{rule.plugin}/{number}", typed_config=_message(filler.fill(config)))
        for number, config in enumerate(native.filters)
    )
    slots = {name: _message(filler.fill(config)) for name, config in native.slots.items()}
    return Filled(
        filters=filters,
        slots=slots,
        limits=tuple((ParseDict(one.match, HeaderValueMatch()), ParseDict(one.bucket, TokenBucket())) for one in native.limits),
        clusters=tuple(filler.clusters.values()),
        secrets=tuple(filler.secrets.values()),
        problems=tuple(filler.problems.values()),
        works=filler.works,
    )


def _message(config: Json) -> Any:
    """Same configuration, same bytes: ParseDict alone writes maps in any order."""
    body = Any()
    ParseDict(config, body)
    message = GetMessageClass(Default().FindMessageTypeByName(body.TypeName()))()
    body.Unpack(message)
    return packed(message)


class _Filler:
    def __init__(self, rule: Rule, loop_mark: str, values: Mapping[UUID, Value]) -> None:
        self._rule, self._loop_mark, self._values = rule, loop_mark, values
        self._owners: dict[bytes, str] = {}  # of what callers present
        self.clusters: dict[str, Cluster] = {}
        self.secrets: dict[str, Secret] = {}
        self.problems: dict[str, Problem] = {}  # the first of each place
        self.works = True

    def fill(self, config: Json) -> Json:
        match config:
            case Mapping():
                return {name: self.fill(value) for name, value in config.items()}
            case list() | tuple():
                return [part for one in config for part in self._parts(one)]
            case SecretName():
                return self._secret(config)
            case Callee():
                return self._callee(config)
            case Here.LOOP_MARK:
                return self._loop_mark
            case _:
                return config

    def _parts(self, item: Json) -> Iterator[Json]:
        if isinstance(item, Accepted):
            yield from self._accepted(item)
        else:
            yield self.fill(item)

    def _accepted(self, accepted: Accepted) -> Iterator[dict[str, str]]:
        """Each version that counts: during an overlap there are two. Of two equal ones the first in the text is taken."""
        uses = self._uses(accepted)
        self._report(uses, accepted.path, newest_only=False)
        for versions in product(*(use.versions for use in uses)):
            if any(version.id not in self._values for version in versions):
                continue
            key = _presented(_fill(accepted.template, [self._values[version.id] for version in versions]), accepted.basic)
            if not header_safe(key):
                self._problem(uses[0], accepted.path, "charset")
            elif self._owners.setdefault(key, accepted.client) != accepted.client:
                self._problem(uses[0], accepted.path, "duplicate")
            else:
                yield {"client": client_name(accepted.client, versions[0], uses[0].versions), "key": key.decode("ascii")}

    def _secret(self, secret: SecretName) -> str:
        """There is one, empty, also where there is no value: Envoy waits for it otherwise, and goes on using an earlier value."""
        uses = self._uses(secret)
        missing = self._report(uses, secret.path, newest_only=True)
        value = b"" if missing else _fill(secret.template, [self._values[use.versions[0].id] for use in uses])
        if value and not header_safe(value):
            self._problem(uses[0], secret.path, "charset")
            value = b""
        self.works = self.works and bool(value)
        name = _secret_name(secret.template, uses)
        self.secrets[name] = generic_secret(name, value)
        return name

    def _callee(self, callee: Callee) -> str:
        name = callee_name(self._rule.id)
        injected = [(self._secret(secret), header) for header, secret in callee.headers]
        self.clusters[name] = callee_cluster(name, parse_address(callee.address), injected)
        return name

    def _uses(self, marker: Accepted | SecretName) -> list[Use]:
        """In the order of the template's references. Names of keys are unique whatever their case."""
        by_name = {name.lower(): use for name, use in self._rule.keys}
        return [by_name[ref.name.lower()] for ref in marker.template.refs]

    def _report(self, uses: list[Use], path: Path, *, newest_only: bool) -> bool:
        """Whether a value is missing."""
        missing = False
        for use in uses:
            wanted = use.versions[:1] if newest_only else use.versions
            if not wanted:
                self._problem(use, path, "policy" if use.withheld else "disabled")
            elif any(version.id not in self._values for version in wanted):
                self._problem(use, path, "unreadable")
            else:
                continue
            missing = True
        return missing

    def _problem(self, use: Use, path: Path, reason: str) -> None:
        place = written(path)
        self.problems.setdefault(place, Problem("plugin", self._rule.id, place, use.key_id, reason))


def _fill(template: Template, values: list[Value]) -> bytes:
    rest = iter(values)
    return template.fill(lambda ref: next(rest).expose())


def _presented(value: bytes, basic: bool) -> bytes:
    """As Envoy compares it: of a header that begins with "Bearer " only what comes after."""
    if basic:
        return b"Basic " + base64.b64encode(value) if value.partition(b":")[1] else b""
    return value.removeprefix(_BEARER)


def _secret_name(template: Template, uses: list[Use]) -> str:
    """By what is in it. Were it by its place, a new text there would for a moment have its value sent to where the last one's went."""
    ids = iter(use.key_id for use in uses)
    parts = [part if isinstance(part, str) else next(ids) for part in template.parts]
    if len(uses) == 1 and isinstance(parts[-1], UUID) and len(parts) <= _PREFIX_AND_KEY:
        return secret_name(parts[-1], "".join(str(part) for part in parts[:-1]))
    return "template/" + hashlib.sha256(repr(parts).encode()).hexdigest()
