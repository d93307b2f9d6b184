"""Somebody with an operator's rights who tries whatever there is to have a key sent elsewhere, and who looks at what gateways are told.

The looking (`leaks`) knows nothing of policies but their stored text, and of the product but Envoy's own messages: values are followed by
their bytes, from the secret to the filter, the cluster and the host.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator
from random import Random
from typing import Any
from uuid import UUID

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.route.v3.route_components_pb2 import Route
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.api_key_auth.v3.api_key_auth_pb2 import ApiKeyAuth
from envoy.extensions.filters.http.credential_injector.v3.credential_injector_pb2 import CredentialInjector
from envoy.extensions.filters.http.ext_authz.v3.ext_authz_pb2 import ExtAuthz
from envoy.extensions.http.injected_credentials.generic.v3.generic_pb2 import Generic
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from gateway import moving, policing, stocktaking
from gateway.compile import Compiled, Memo, compile_region
from gateway.compile.chains import filters_of
from gateway.models import (
    AgentService,
    AiService,
    Authorization,
    Consumer,
    Credential,
    CustomPlugin,
    Instance,
    McpService,
    NewAgent,
    NewCredential,
    NewKeys,
    Revision,
    Rule,
    Service,
)
from gateway.type_urls import CLUSTER, EXTENSION, ROUTE, SECRET
from secrets_app.errors import Conflict, Invalid, NotFound
from secrets_app.models import Key, KeyVersion, Reference, Region
from secrets_app.models.policy import CLOSED, Policy
from secrets_app.plaintext import Plaintext
from tests import cast

KEYS = ("one", "two", "three")
ADDRESSES = (
    "https://api.example.com/v1", "https://eu.example.com/v1", "https://example.com", "https://api.example.com:8443", "http://api.example.com",
    "https://evil.example", "https://api.example.com.evil.example", "http://10.0.0.7:8080/v1", "https://tools.example.org",
)  # fmt: skip
HOSTS = ("api.example.com", "*.example.com", "http://10.0.0.7:8080", "tools.example.org", "api.example.com:8443")
HEADERS = ("authorization", "x-api-key", "x-partner")
KINDS = ("consumer", "ai_service", "agent_service", "mcp_service", "plugin")
SCRIPTS = tuple(cast.SCRIPT.replace("x-token", name) for name in ("x-one", "x-two"))
_VALUE = re.compile(rb"KEY([0-9a-f]{32})END")
_SCRIPT_NAME = re.compile(r'local NAME, SOURCE = "([a-z0-9_-]+)"')


class Operator:
    """`log` says what was done, for whoever has to find out. Now and then a key manager does something, as they may."""

    def __init__(self, region: Region, seed: int, only: Collection[str] = ()) -> None:
        """`only`: deeds by name, for a search that knows what it is after."""
        self.random, self.region, self.log = Random(seed), region, [f"seed {seed}"]
        self.olive, self.kim = cast.actor("olive"), cast.actor("kim")
        self.instances = [cast.instance(region, name) for name in ("east", "west")]
        for name in KEYS:
            cast.key(region, name, policy=self._policy())
        for name in ("alpha", "beta"):
            cast.custom_plugin(region, name, source=SCRIPTS[0])
        cast.custom_plugin(region, "plain", source=SCRIPTS[0], schema='{"type": "object"}')  # is told nothing, and sees everything
        self.deeds: list[Callable[[], Any]] = [
            *(self.create_service, self.create_service, self.edit_service, self.edit_service, self.delete_service),
            *(self.create_agent, self.edit_agent, self.create_mcp, self.edit_mcp, self.configure_mcp, self.configure_mcp),
            *(self.write_rule, self.write_rule, self.write_rule, self.switch_rule, self.restore_rule, self.delete_rule),
            *(self.edit_script, self.move, self.bind_consumer, self.set_policy, self.set_policy),
        ]
        self.deeds = [deed for deed in self.deeds if not only or deed.__name__ in only]

    def act(self) -> None:
        deed = self.random.choice(self.deeds)
        try:
            deed()
        except (Invalid, Conflict, NotFound) as refused:
            self.log.append(f"{deed.__name__}: {refused.message[:160]}")
        else:
            self.log.append(f"{deed.__name__}: done")

    def begin_anew(self) -> None:
        """Nothing stands any more but instances, keys and scripts; the keys' policies are others."""
        for model in (Reference, Revision, Rule, Authorization, Service, Credential, Consumer):
            model._default_manager.all().delete()
        inline = Key.objects.filter(name=None)
        KeyVersion.objects.filter(key__in=inline).delete()
        inline.delete()
        for key in Key.objects.named():
            Key.objects.filter(pk=key.pk).update(policy=self._policy(), reference_count=0)
        self.log = self.log[:1]

    # Services

    def create_service(self) -> None:
        AiService.create(self._instance(), self._name("s"), *self._led(), self._keys(), by=self.olive).open(by=self.olive)

    def edit_service(self) -> None:
        service = self._some(AiService)
        supplier, protocol, address = self._led()
        keys = self._keys() if self.random.random() < 0.4 else None
        where = {"supplier": supplier, "protocol": protocol, "address": address}
        service.edit(**where, keys=keys, lock_version=service.lock_version, by=self.olive)

    def create_agent(self) -> None:
        AgentService.create(self._instance(), self._name("a"), self._agent(), self._keys(1), by=self.olive).open(by=self.olive)

    def edit_agent(self) -> None:
        agent = self._some(AgentService)
        keys = self._keys(1) if self.random.random() < 0.4 else None
        agent.edit(self._agent(), keys=keys, lock_version=agent.lock_version, by=self.olive)

    def create_mcp(self) -> None:
        address = self._address().removesuffix("/v1")
        McpService.create(self._instance(), self._name("m"), address, "streamable-http", "/mcp", by=self.olive).open(by=self.olive)

    def edit_mcp(self) -> None:
        service, address = self._some(McpService), self._address().removesuffix("/v1")
        service.edit(address=address, transport="streamable-http", path="/mcp", lock_version=service.lock_version, by=self.olive)

    def configure_mcp(self) -> None:
        service = self._some(McpService)
        credential = NewCredential("reference", key_name=self._key_name()) if self.random.random() < 0.7 else None
        service.configure_backend_auth(self.random.choice(HEADERS), credential, lock_version=service.lock_version, by=self.olive)

    def delete_service(self) -> None:
        self._some(Service).delete(by=self.olive)

    # Rules and scripts

    def write_rule(self) -> None:
        instance = self._instance()
        name = self.random.choice(("transformer", "transformer", "transformer", "plain", "plain", "ext-auth", "alpha", "beta", "key-auth"))
        plugin = cast.plugin(instance, name)
        service = self.random.choice([None, None, *instance.services.order_by("pk")])
        there = Rule.at(plugin, service)
        version = there.lock_version if there else None
        enabled = self.random.random() < 0.8
        Rule.write(plugin, service, self._text(name), lock_version=version, enabled=enabled, by=self.olive)

    def switch_rule(self) -> None:
        rule = self._some(Rule)
        (rule.disable if rule.enabled else rule.enable)(by=self.olive)

    def restore_rule(self) -> None:
        rule = self._some(Rule)
        rule.restore(self.random.randint(1, rule.number), lock_version=rule.lock_version, by=self.olive)

    def delete_rule(self) -> None:
        self._some(Rule).delete(by=self.olive)

    def edit_script(self) -> None:
        plugin = self._some(CustomPlugin)
        fields = {"description": "", "schema": plugin.schema, "phase": self.random.choice(("authentication", "default")), "priority": 10}
        plugin.edit(source=self.random.choice(SCRIPTS), **fields, lock_version=plugin.lock_version, by=self.olive)

    # Keys

    def move(self) -> None:
        was, becomes = self._key(), self._key()
        moving.move(was, becomes, seen=moving.plan(was, becomes, by=self.olive).seen, by=self.olive)

    def bind_consumer(self) -> None:
        Consumer.create(self.region, self._name("c"), NewCredential("reference", key_name=self._key_name()), by=self.olive)

    def set_policy(self) -> None:
        key = self._key()
        policing.set_policy(key, self._policy(), lock_version=key.lock_version, by=self.kim)

    # What there is to choose from

    def _policy(self) -> Policy:
        scripts = [_digest(plugin.name, plugin.source) for plugin in CustomPlugin.objects.exclude(name="plain")]
        match self.random.randint(0, 19):
            case 0 | 1:
                return self.random.choice((CLOSED, Policy(open=True)))
            case 2 | 3 | 4 | 5 | 6:  # wide enough that much is done with the key
                return Policy(kinds=KINDS, hosts=(*HOSTS, *scripts))
        return Policy(
            kinds=tuple(kind for kind in KINDS if self.random.random() < 0.7),
            hosts=tuple(host for host in (*HOSTS, *scripts) if self.random.random() < 0.5),
            instances=tuple(one.ref for one in self.instances if self.random.random() < 0.3),
            headers=() if self.random.random() < 0.6 else tuple(name for name in HEADERS if self.random.random() < 0.6),
        )

    def _address(self) -> str:
        """Mostly one that policies know, so that much is done before something is refused."""
        return self.random.choice(ADDRESSES if self.random.random() < 0.5 else ADDRESSES[:1])

    def _led(self) -> tuple[str, str, str]:
        supplier, protocol = self.random.choice((("custom", "OpenAI/v1"), ("claude", "native")))
        return supplier, protocol, self._address()

    def _agent(self) -> NewAgent:
        return NewAgent("custom", self._address(), header=self.random.choice(("", "x-api-key")))

    def _keys(self, number: int = 0) -> NewKeys:
        count = number or self.random.choice((1, 1, 2))
        if self.random.random() < 0.3:
            return NewKeys("custom", [cast.value() for _ in range(count)])
        return NewKeys("reference", key_names=self.random.sample(KEYS, count))

    def _text(self, name: str) -> str:
        ref = f"$ref{{{self._key_name()}}}"
        header = self.random.choice(HEADERS[1:])
        if name == "transformer":
            if self.random.random() < 0.3:
                return "reqRules:\n- operate: remove\n  headers:\n  - key: x-nothing\n"
            added = f"reqRules:\n- operate: add\n  headers:\n  - key: {header}\n    value: {ref}\n"
            return added + (f"- operate: map\n  headers:\n  - fromKey: {header}\n    toKey: x-else\n" if self.random.random() < 0.3 else "")
        if name == "ext-auth":
            asked = f"http_service:\n  endpoint:\n    address: {self._address()}\n"
            return asked + (f"  authorization_request:\n    headers_to_add:\n      {header}: {ref}\n" if self.random.random() < 0.6 else "")
        if name == "plain":
            return "{}"
        if name == "key-auth":
            return f"credentials: ['{ref}']\nkeys: [apikey]\n"
        return f"token: {ref}\n"

    def _instance(self) -> Instance:
        return self.random.choice(self.instances)

    def _name(self, letter: str) -> str:
        return f"{letter}{self.random.randint(1, 4)}"

    def _key_name(self) -> str:
        return self.random.choice(KEYS)

    def _key(self) -> Key:
        return Key.objects.get(name=self._key_name())

    def _some(self, model: Any) -> Any:
        rows = list(model.objects.order_by("pk"))
        if not rows:
            raise NotFound()
        return self.random.choice(rows)


# ── What gateways are told ──


def compiled(region: Region) -> dict[UUID, Compiled]:
    values = {pk: Plaintext(f"KEY{key.hex}END") for pk, key in KeyVersion.objects.values_list("pk", "key_id")}
    return compile_region(stocktaking.load(region.pk), values, Memo())


def withheld(region: Region) -> list[str]:
    """What only stocktaking kept back: no deed should have left it behind."""
    return [str(problem) for one in compiled(region).values() for problem in one.problems if problem.reason == "policy"]


def leaks(region: Region) -> list[str]:
    """(key, way) pairs that are in what gateways are told and outside the key's policy as it is stored."""
    policies = {pk: json.loads(text or "{}") for pk, text in Key.objects.extra(select={"raw": "policy"}).values_list("pk", "raw")}
    sources = dict(CustomPlugin.objects.values_list("name", "source"))
    found = []
    refs = {instance.pk: instance.ref for instance in Instance.objects.all()}
    for pk, state in compiled(region).items():
        for key, kind, host, header in _ways(state, sources):
            if why := _outside(policies[key], kind, host, header, refs[pk]):
                found.append(f"{Key.objects.get(pk=key).audit_name or 'inline'}: {why}: {kind} {host} {header} on {refs[pk]}")
    return found


def _ways(state: Compiled, sources: dict[str, str]) -> Iterator[tuple[UUID, set[str], str, str]]:
    """Key, kinds of holder that it could be for, host ("" where it is only let in), header ("" where it is not known)."""
    secrets = {
        name: _keys_in(Secret.FromString(one.value).generic_secret.secret.inline_bytes) for name, one in state.resources[SECRET].items()
    }
    clusters = {name: Cluster.FromString(one.value) for name, one in state.resources[CLUSTER].items()}
    for name, cluster in clusters.items():  # whether a route leads there or not
        first = name.partition("/")[0]
        kind = {"plugin" if first == "plugin" else f"{first}_service"}
        for secret, header in _injected(cluster):
            yield from ((key, kind, _host(cluster), header) for key in secrets[secret])
    [table] = (RouteConfiguration.FromString(one.value) for one in state.resources[ROUTE].values())
    for host in table.virtual_hosts:
        for route in host.routes:
            yield from _of_route(route, clusters, secrets, sources)
    for one in state.resources[EXTENSION].values():
        config = TypedExtensionConfig.FromString(one.value).typed_config
        if config.Is(ApiKeyAuth.DESCRIPTOR):
            accepted = ApiKeyAuth.FromString(config.value)
            yield from ((key, {"consumer"}, "", "") for credential in accepted.credentials for key in _keys_in(credential.key.encode()))


def _of_route(
    route: Route, clusters: dict[str, Cluster], secrets: dict[str, set[UUID]], sources: dict[str, str]
) -> Iterator[tuple[UUID, set[str], str, str]]:
    names = [route.route.cluster] if route.route.cluster else [one.name for one in route.route.weighted_clusters.clusters]
    chain = [one.typed_config for config in route.typed_per_filter_config.values() for one in filters_of(config)]
    put_on = {key for config in chain for secret, _header in _injecting(config) for key in secrets[secret]}
    scripts = [name for config in chain for name in _SCRIPT_NAME.findall(config.value.decode("latin-1"))]
    for key in put_on:
        yield from ((key, {"plugin"}, _host(clusters[name]), "") for name in names)
        yield from ((key, {"plugin"}, _digest(name, sources[name]), "") for name in scripts)
    for config in chain:
        if config.Is(ExtAuthz.DESCRIPTOR):
            asked = clusters[ExtAuthz.FromString(config.value).http_service.server_uri.cluster]
            for secret, header in _injected(asked):
                yield from ((key, {"plugin"}, _host(asked), header) for key in secrets[secret])
            if scripts:  # which may have put on the request whatever they were told
                told = {
                    key
                    for other in chain
                    for secret, _header in _injecting(other)
                    for key in secrets[secret]
                    if _is_of_script(chain, other)
                }
                yield from ((key, {"plugin"}, _host(asked), "") for key in told)
        if config.Is(ApiKeyAuth.DESCRIPTOR):
            accepted = ApiKeyAuth.FromString(config.value)
            yield from ((key, {"plugin"}, "", "") for credential in accepted.credentials for key in _keys_in(credential.key.encode()))


def _is_of_script(chain: list[Any], injection: Any) -> bool:
    """Whether what this filter injects is handed to a custom script: the next filter behind it that is no injection is one."""
    behind = chain[chain.index(injection) :]
    taker = next((config for config in behind if not config.Is(CredentialInjector.DESCRIPTOR)), None)
    return taker is not None and bool(_SCRIPT_NAME.search(taker.value.decode("latin-1")))


def _injected(cluster: Cluster) -> Iterator[tuple[str, str]]:
    for options in cluster.typed_extension_protocol_options.values():
        for one in HttpProtocolOptions.FromString(options.value).http_filters:
            yield from _injecting(one.typed_config)


def _injecting(config: Any) -> Iterator[tuple[str, str]]:
    if config.Is(CredentialInjector.DESCRIPTOR):
        generic = Generic.FromString(CredentialInjector.FromString(config.value).credential.typed_config.value)
        yield generic.credential.name, generic.header


def _host(cluster: Cluster) -> str:
    """As policies write it: https on its own port goes without saying."""
    address = cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address
    secure = cluster.HasField("transport_socket")
    port = "" if address.port_value == (443 if secure else 80) else f":{address.port_value}"
    return f"{'' if secure else 'http://'}{address.address.rstrip('.')}{port}"


def _keys_in(value: bytes) -> set[UUID]:
    return {UUID(found.decode()) for found in _VALUE.findall(value)}


def _digest(name: str, source: str) -> str:
    return f"plugin:{name}@{hashlib.sha256(source.encode()).hexdigest()[:16]}"


def _outside(policy: dict[str, Any], kinds: set[str], host: str, header: str, instance: str) -> str:
    if policy.get("open"):
        return ""
    if not kinds & set(policy.get("kinds", ())):
        return "kind"
    if host and not any(_allows(pattern, host) for pattern in policy.get("hosts", ())):
        return "host"
    if kinds != {"consumer"} and policy.get("instances") and instance not in policy["instances"]:
        return "instance"
    if header and policy.get("headers") and header not in policy["headers"]:
        return "header"
    return ""


def _allows(pattern: str, host: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", r"[a-z0-9_.-]+")
    return re.fullmatch(expression, host) is not None
