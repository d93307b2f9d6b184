"""Rules of plugins, as what they add to the routes of an instance.

A rule that lacks a value which it would send, or whose text no longer passes, closes the routes that it is for, and no others.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any as Message
from uuid import UUID

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.route.v3.route_components_pb2 import FilterConfig, RateLimit
from envoy.extensions.common.ratelimit.v3.ratelimit_pb2 import LocalRateLimitDescriptor, RateLimitDescriptor
from envoy.extensions.filters.http.local_ratelimit.v3.local_rate_limit_pb2 import LocalRateLimit
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from google.protobuf.any_pb2 import Any

from gateway.compile.markers import Filled, HeaderValueMatch, filled
from gateway.compile.memo import Memo
from gateway.compile.problems import Problem
from gateway.compile.values import Value
from gateway.compile.wire import always, packed
from gateway.inventory import Instance, Rule, Service
from gateway.names import ENTRY_PLUGINS, FIRST_PLUGINS, LAST_PLUGINS, RATE_LIMIT, loop_mark, route_name
from gateway.plugins import CATALOGUE
from gateway.plugins.base import INSTANCE, SERVICE, Config, Native, Official
from gateway.plugins.document import Document, Placed
from gateway.plugins.examine import examine
from gateway.plugins.identity import only_authorizes
from gateway.plugins.installed import plugin_of
from gateway.plugins.paths import LONGEST, written
from gateway.sources import Source

_LIMITING = CATALOGUE["rate-limit"]


@dataclass(frozen=True, slots=True)
class Fitting:
    """What the rules of a service add to its route."""

    chains: Mapping[str, "Chain"] = field(default_factory=dict)  # by the filter that runs them
    slots: Mapping[str, Any] = field(default_factory=dict)  # by filter
    limits: tuple[RateLimit, ...] = ()
    looks_at: frozenset[Source] = frozenset()
    keeps: frozenset[str] = frozenset()
    works: bool = True  # otherwise its calls are answered 503


@dataclass(frozen=True, slots=True)
class Chain:
    """Equal keys, equal filters: most services of an instance have the same ones."""

    key: tuple[Hashable, ...]
    filters: tuple[TypedExtensionConfig, ...]


@dataclass(frozen=True, slots=True)
class Plugins:
    """What the rules of an instance come to."""

    fittings: Mapping[int, Fitting]  # by service; no rule touches one that is not there
    rate_limit: Any
    clusters: tuple[Cluster, ...]
    secrets: tuple[Secret, ...]
    problems: tuple[Problem, ...]


def plugins(instance: Instance, values: Mapping[UUID, Value], memo: Memo) -> Plugins:
    """An instance without rules costs nothing."""
    mark = loop_mark(instance)
    made = {rule.id: _made(rule, level, above, mark, values, memo) for rule, level, above in _rules(instance)}
    effective = list(_effective(instance, made)) if made else []
    # Nobody asks for what no route uses, and what nobody asks for is never acknowledged.
    used = {id(rule): rule.filled for service, rules in effective for rule in _working(service, rules)}.values()
    return Plugins(
        fittings={service.id: _fitting(service, rules) for service, rules in effective},
        rate_limit=_rate_limit(effective),
        clusters=tuple(cluster for one in used for cluster in one.clusters),
        secrets=tuple(secret for one in used for secret in one.secrets),
        problems=tuple(dict.fromkeys([*_withheld(instance), *(problem for rule in made.values() for problem in rule.filled.problems)])),
    )


@dataclass(frozen=True, slots=True)
class _Made:
    """A rule by itself, whatever services it is for. What it came to depends on nothing but its key."""

    key: Hashable
    id: int
    plugin: Official
    config: Config | None  # None: the text does not pass
    native: Native
    filled: Filled


def _rules(instance: Instance) -> Iterator[tuple[Rule, str, Rule | None]]:
    """All of them, each with its level, and those of services with the instance's own of the same plugin."""
    above = {rule.plugin: rule for rule in instance.rules}
    yield from ((rule, INSTANCE, None) for rule in instance.rules)
    for service in instance.services:
        yield from ((rule, SERVICE, above.get(rule.plugin)) for rule in service.rules)


def _made(rule: Rule, level: str, above: Rule | None, mark: str, values: Mapping[UUID, Value], memo: Memo) -> _Made:
    """Changes with the texts, with the versions of the keys that they name, and with whether there is a value for each."""
    keys = [use for one in (rule, above) if one for _name, use in one.keys]
    readable = frozenset(version.id for use in keys for version in use.versions if version.id in values)
    key = ("rule", rule, level, above, mark, readable)
    return memo.once(key, lambda: _map(key, rule, level, above, mark, values))  # type: ignore[no-any-return]


def _map(key: Hashable, rule: Rule, level: str, above: Rule | None, mark: str, values: Mapping[UUID, Value]) -> _Made:
    plugin = plugin_of(rule)
    config, higher = _config(plugin, rule, level), _config(plugin, above, INSTANCE) if above else None
    if config is None or (above and higher is None):
        return _Made(key, rule.id, plugin, config, Native(), Filled(works=False, problems=tuple(_unfit(plugin, rule, level))))
    native = plugin.native(config, level, higher)
    origin = above if above and only_authorizes(config) else rule
    return _Made(key, rule.id, plugin, config, native, filled(native, origin, mark, values))


def _config(plugin: Official, rule: Rule, level: str) -> Config | None:
    """It passed when it was saved; since then the schema may have grown stricter, or a row been changed by hand."""
    document, faults = examine(plugin, rule.text, level)
    return None if faults or any(_missing(rule, document)) else document.tree


def _missing(rule: Rule, document: Document) -> Iterator[Placed]:
    known = {name.lower() for name, _use in rule.keys}
    return (placed for placed in document.refs if placed.ref.name.lower() not in known)


def _unfit(plugin: Official, rule: Rule, level: str) -> Iterator[Problem]:
    """Why the text is refused here as it would be when somebody saved it: the first fault, or each place that names a missing key."""
    document, faults = examine(plugin, rule.text, level)
    if faults:
        yield Problem("plugin", rule.id, faults[0].path[:LONGEST], None, "text")
        return
    for path in dict.fromkeys(written(placed.path)[:LONGEST] for placed in _missing(rule, document)):
        yield Problem("plugin", rule.id, path, None, "missing")


def _effective(instance: Instance, made: Mapping[int, _Made]) -> Iterator[tuple[Service, list[_Made]]]:
    """By service, in the order in which a request meets them. Its own rule takes the place of the instance's of the same plugin."""
    ruled = {rule.plugin for service in instance.services for rule in service.rules}
    everywhere = {
        rule.plugin: general
        for rule in instance.rules
        if (general := made[rule.id]).config is None or general.plugin.covers(general.config, rule.plugin in ruled)
    }
    for service in instance.services:
        rules = everywhere | {rule.plugin: made[rule.id] for rule in service.rules}
        if rules:
            yield service, sorted(rules.values(), key=lambda rule: rule.plugin.order)


def _working(service: Service, rules: Iterable[_Made]) -> list[_Made]:
    withheld = {one.rule for one in service.withheld}
    return [rule for rule in rules if rule.filled.works and rule.id not in withheld]


def _withheld(instance: Instance) -> Iterator[Problem]:
    for service in instance.services:
        yield from (Problem("plugin", one.rule, one.path, one.key_id, "policy") for one in service.withheld)


def _fitting(service: Service, rules: list[_Made]) -> Fitting:
    working = _working(service, rules)
    slots = {name: config for rule in working for name, config in rule.filled.slots.items()}
    limits = [limit for rule in working for limit in rule.filled.limits]
    if limits:
        # "config" has to be there, and may be empty.
        slots[RATE_LIMIT] = packed(FilterConfig(config=Any()))
    return Fitting(
        chains={name: chain for name in (FIRST_PLUGINS, ENTRY_PLUGINS, LAST_PLUGINS) if (chain := _chain(name, working)).filters},
        slots=slots,
        limits=tuple(_taking(service, number, match) for number, (match, _bucket) in enumerate(limits)),
        looks_at=frozenset(source for rule in rules for source in rule.native.looks_at),
        keeps=frozenset(name for rule in rules for name in rule.native.keeps),
        works=len(working) == len(rules),
    )


def _chain(name: str, rules: list[_Made]) -> Chain:
    mine = [rule for rule in rules if rule.filled.filters and _place(rule.plugin) == name]
    return Chain(tuple(rule.key for rule in mine), tuple(one for rule in mine for one in rule.filled.filters))


def _place(plugin: Official) -> str:
    if plugin.order <= _LIMITING.order:
        return FIRST_PLUGINS
    return ENTRY_PLUGINS if plugin.phase in ("authentication", "authorization") else LAST_PLUGINS


def _taking(service: Service, number: int, match: Message) -> RateLimit:
    """Which requests take from the service's bucket of this number."""
    named = HeaderValueMatch(descriptor_key=route_name(service), descriptor_value=str(number))
    named.MergeFrom(match)
    return RateLimit(actions=[RateLimit.Action(header_value_match=named)])


def _rate_limit(effective: list[tuple[Service, list[_Made]]]) -> Any:
    """The buckets. A request takes from those that its route names, and a route without a limit from none."""
    buckets = LocalRateLimit(stat_prefix="rate_limit", filter_enabled=always(), filter_enforced=always())
    for service, rules in effective:
        limits = [limit for rule in _working(service, rules) for limit in rule.filled.limits]
        for number, (_match, bucket) in enumerate(limits):
            entry = RateLimitDescriptor.Entry(key=route_name(service), value=str(number))
            buckets.descriptors.append(LocalRateLimitDescriptor(entries=[entry], token_bucket=bucket))
    return packed(TypedExtensionConfig(name=RATE_LIMIT, typed_config=packed(buckets)))
