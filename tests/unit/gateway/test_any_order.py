"""Whatever is done to holders of every kind and to keys, in any order: counts, drawer, compiled state and a recomputation from scratch
agree, and no reference dangles. A seed is a sequence; `SOAK=200` runs that many, and a failure prints its seed and what was done."""

import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.filters.http.api_key_auth.v3.api_key_auth_pb2 import ApiKeyAuth
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

from console.facts.places import Places
from gateway import bookkeeping, moving, stocktaking
from gateway.compile import Memo, compile_region, listener
from gateway.compile.wire import packed
from gateway.delivery import Delivery
from gateway.holders import describe
from gateway.models import AgentService, AiService, Consumer, Credential, McpService, NewAgent, NewCredential, NewKeys, Rule, Service
from gateway.names import JWKS_PATH, KEY_AUTH, secret_name
from gateway.names import LISTENER as LISTENER_NAME
from gateway.plugins.paths import written
from gateway.plugins.reading import read
from gateway.plugins.renaming import renamed
from gateway.snapshot import Snapshot
from gateway.type_urls import EXTENSION, LISTENER, SECRET
from gateway.uses import Census
from secrets_app.errors import Conflict, Invalid, NotFound
from secrets_app.models import Key, KeyVersion, Reference, Region
from secrets_app.plaintext import Plaintext
from secrets_app.resolver import Resolver
from tests import cast

SEQUENCES, DEEDS = int(os.environ.get("SOAK", "4")), 60
KEYS, NAMES, APPS = ("a", "b", "c", "d", "e"), ("one", "two"), ("alpha", "beta", "gamma")
ADDRESS = "https://api.example.com/v1"


class World:
    """A region that somebody does things to. `log` says what, for whoever has to find out."""

    def __init__(self, region: Region, seed: int) -> None:
        self.random, self.region, self.log = Random(seed), region, [f"seed {seed}"]
        self.instances = [cast.instance(region, "east"), cast.instance(region, "west")]
        for name in KEYS[:-1]:
            cast.key(region, name)
        self._begin()
        self.memo, self.stock = Memo(), stocktaking.load(region.pk)
        self.deeds: list[Callable[[], Any]] = [
            *(self.create_key, self.delete_key, self.switch_key, self.rotate_key, self.rotate_key, self.roll_back_key),
            *(self.create_consumer, self.add_credential, self.edit_credential, self.remove_credential, self.end_consumer),
            *(self.create_service, self.edit_service, self.create_agent, self.edit_agent, self.end_service),
            *(self.create_mcp, self.configure_mcp, self.remove_mcp_auth),
            *(self.write_rule, self.rename_in_rule, self.switch_rule, self.restore_rule, self.delete_rule),
            *(self.move, self.move),
        ]

    def _begin(self) -> None:
        """With a holder of each kind, so that there is something to do from the first deed on."""
        east, (a, b, c) = self.instances[0], Key.objects.filter(name__in=KEYS[:3]).order_by("name")
        cast.consumer(self.region, "one", bound_to=a)
        cast.service(east, "one", keys=[a, b])
        cast.agent(east, "two", keys=[a, b], apps=["alpha", "beta"])
        cast.mcp(east, "one", key=c)
        cast.rule(cast.plugin(east), self._text("key-auth", ["b", "c"]))

    def act(self) -> None:
        """One deed, which may be refused; then nothing of the references has changed."""
        deed = self.random.choice(self.deeds)
        before = list(Reference.objects.order_by("pk").values())
        try:
            said = deed()
        except (Invalid, Conflict, NotFound) as refused:
            self.log.append(f"{deed.__name__}: {type(refused).__name__} {refused.message[:100]}")
            assert list(Reference.objects.order_by("pk").values()) == before, self.log
        else:
            self.log.append(f"{deed.__name__} {said or ''}")

    # Keys

    def create_key(self) -> str:
        return cast.key(self.region, self.random.choice(KEYS)).audit_name

    def delete_key(self) -> None:
        self._key().delete(by=cast.SETUP)

    def switch_key(self) -> None:
        key = self._key()
        (key.disable if key.enabled else key.enable)(by=cast.SETUP)

    def rotate_key(self) -> None:
        self._key().rotate(cast.value(), self.random.choice((0, 24)), by=cast.SETUP)

    def roll_back_key(self) -> None:
        key = self._key()
        numbers = list(key.versions.order_by("number").values_list("number", flat=True))
        key.roll_back(self.random.choice([*numbers, 99]), self.random.choice((0, 24)), by=cast.SETUP)

    def move(self) -> str:
        was, becomes = self._key(), self._key()
        plan = moving.plan(was, becomes, by=cast.SETUP)
        before = {(row.holder_kind, row.holder_id) for row in Reference.objects.filter(key__in=(was, becomes))}
        moving.move(was, becomes, seen=plan.seen, by=cast.SETUP)
        assert not Reference.objects.filter(key=was).exists(), self.log
        assert {(row.holder_kind, row.holder_id) for row in Reference.objects.filter(key=becomes)} == before, self.log
        return f"{was} to {becomes}"

    # Consumers

    def create_consumer(self) -> None:
        name = self.random.choice(NAMES)
        if self.random.random() < 0.1:
            cast.bearer(self.region, name)
        else:
            Consumer.create(self.region, name, self._credential(), by=cast.SETUP, enabled=self.random.random() < 0.8)

    def add_credential(self) -> None:
        self._some(Consumer).add_credential(self._credential(), by=cast.SETUP)

    def edit_credential(self) -> None:
        consumer = self._some(Consumer)
        consumer.edit_credential(self._number(consumer), self._credential(), lock_version=consumer.lock_version, by=cast.SETUP)

    def remove_credential(self) -> None:
        consumer = self._some(Consumer)
        consumer.remove_credential(self._number(consumer), by=cast.SETUP)

    def end_consumer(self) -> None:
        consumer, what = self._some(Consumer), self.random.choice(("switch", "switch", "method", "delete"))
        if what == "delete":
            consumer.delete(by=cast.SETUP)
        elif what == "switch":
            (consumer.disable if consumer.enabled else consumer.enable)(by=cast.SETUP)
        else:
            to = self._credential() if consumer.takes_tokens else cast.jwt()
            consumer.switch_method(to, lock_version=consumer.lock_version, by=cast.SETUP)

    # Services

    def create_service(self) -> None:
        AiService.create(self._instance(), self.random.choice(NAMES), "custom", "OpenAI/v1", ADDRESS, self._keys(), by=cast.SETUP)

    def edit_service(self) -> None:
        service = self._some(AiService)
        where = {"supplier": "custom", "protocol": "OpenAI/v1", "address": ADDRESS}
        service.edit(**where, lock_version=service.lock_version, keys=self._keys(), by=cast.SETUP)

    def create_agent(self) -> None:
        AgentService.create(self._instance(), self.random.choice(NAMES), *self._agent(), by=cast.SETUP)

    def edit_agent(self) -> None:
        agent, (new, keys) = self._some(AgentService), self._agent()
        agent.edit(new, lock_version=agent.lock_version, keys=keys, by=cast.SETUP)

    def end_service(self) -> None:
        self._some(Service).delete(by=cast.SETUP)

    def create_mcp(self) -> None:
        cast.mcp(self._instance(), self.random.choice(NAMES))

    def configure_mcp(self) -> None:
        service = self._some(McpService)
        service.configure_backend_auth("X-Api-Key", self._credential(), lock_version=service.lock_version, by=cast.SETUP)

    def remove_mcp_auth(self) -> None:
        self._some(McpService).remove_backend_auth(by=cast.SETUP)

    # Rules

    def write_rule(self) -> None:
        instance = self._instance()
        services = [None, *instance.services.order_by("pk")]
        plugin = cast.plugin(instance, self.random.choice(("key-auth", "transformer")))
        cast.rule(
            plugin,
            self._text(plugin.name, self.random.choices(KEYS, k=self.random.randint(1, 3))),
            self.random.choice(services),
            enabled=self.random.random() < 0.7,
        )

    def rename_in_rule(self) -> None:
        rule = self._some(Rule)
        text = renamed(rule.text, self.random.choice(KEYS), self.random.choice(KEYS))
        assert text is not None
        Rule.write(rule.plugin, rule.service, text, lock_version=rule.lock_version, by=cast.SETUP)

    def switch_rule(self) -> None:
        rule = self._some(Rule)
        (rule.disable if rule.enabled else rule.enable)(by=cast.SETUP)

    def restore_rule(self) -> None:
        rule = self._some(Rule)
        numbers = list(rule.revisions.values_list("number", flat=True))
        rule.restore(self.random.choice(numbers or [0]), lock_version=rule.lock_version, by=cast.SETUP)

    def delete_rule(self) -> None:
        rule = self._some(Rule)
        rule.plugin.uninstall(by=cast.SETUP) if self.random.random() < 0.2 else rule.delete(by=cast.SETUP)

    # What is chosen

    def _key(self) -> Key:
        return self._some(Key, name__isnull=False)

    def _some(self, model: Any, **which: Any) -> Any:
        there = list(model.objects.filter(**which).order_by("pk")) if model is not Key else list(Key.objects.named().order_by("name"))
        if not there:
            raise NotFound()
        return self.random.choice(there)

    def _instance(self) -> Any:
        return self.random.choice(self.instances)

    def _number(self, consumer: Consumer) -> int:
        return self.random.choice(list(consumer.credentials.order_by("number").values_list("number", flat=True)) or [0])

    def _credential(self) -> NewCredential:
        if self.random.random() < 0.3:
            return NewCredential("custom", cast.value())
        return NewCredential("reference", key_name=self.random.choice(KEYS))

    def _keys(self) -> NewKeys:
        count = self.random.randint(1, 3)
        if self.random.random() < 0.2:
            return NewKeys("custom", [cast.value() for _ in range(count)])
        return NewKeys("reference", key_names=self.random.sample(KEYS, count))

    def _agent(self) -> tuple[NewAgent, NewKeys]:
        if self.random.random() < 0.3:
            return NewAgent("dify", ADDRESS, bot_type="chatbot"), NewKeys("reference", key_names=[self.random.choice(KEYS)])
        apps = self.random.sample(APPS, self.random.randint(1, 3))
        return NewAgent("model-studio", ADDRESS), NewKeys("reference", key_names=self.random.choices(KEYS, k=len(apps)), app_ids=apps)

    def _text(self, plugin: str, chosen: list[str]) -> str:
        if plugin == "key-auth":
            return "keys: [k]\ncredentials:\n" + "".join(f"- $ref{{{name}}}\n" for name in chosen)
        items = "".join(f"  - key: x-{number}\n    value: Bearer $ref{{{name}}}\n" for number, name in enumerate(chosen))
        return f"reqRules:\n- operate: add\n  headers:\n{items}"


class Check:
    """What must hold, read from the holders themselves, not from what deeds keep beside them."""

    def __init__(self, world: World) -> None:
        self.world, self.region = world, world.region
        self.rows = list(Reference.objects.select_related("key").order_by("pk"))
        self.places: dict[tuple[str, int], list[Reference]] = defaultdict(list)
        for row in self.rows:
            self.places[row.holder_kind, row.holder_id].append(row)

    def all(self) -> None:
        self.nothing_dangles()
        self.each_key_has_one_current_version()
        self.places_are_those_of_the_holders()
        self.counts_and_drawer_agree()
        self.compiled_state_is_that_of_the_references()

    def nothing_dangles(self) -> None:
        assert len(describe(self.rows)) == len(self.rows)
        assert {row.key_id for row in self.rows} >= set(Key.objects.filter(name=None).values_list("pk", flat=True))
        assert bookkeeping.examine(self.region).wrong == 0

    def each_key_has_one_current_version(self) -> None:
        for key in Key.objects.all():
            stages = list(key.versions.order_by("number").values_list("stage", "number"))
            assert [number for stage, number in stages if stage == KeyVersion.CURRENT] == [key.version]
            assert [stage for stage, _number in stages].count(KeyVersion.PREVIOUS) <= 1

    def places_are_those_of_the_holders(self) -> None:
        expected: set[tuple[str, int, str]] = set()
        for consumer in Consumer.objects.all():
            numbers = Credential.objects.filter(consumer=consumer).values_list("number", flat=True)
            paths = [JWKS_PATH] if consumer.takes_tokens else [f"credentials[{number}]" for number in numbers]
            assert paths
            expected |= {("consumer", consumer.pk, path) for path in paths}
        for service in Service.objects.all():
            uses = self.places[service.audit_kind, service.pk]
            if isinstance(service, McpService):
                paths = ["backend_auth"] if service.generation else []
            elif isinstance(service, AgentService) and service.agent.apps:
                paths = [use.path for use in uses if use.path.startswith("apps[")]
                assert paths
            else:
                paths = [f"api_keys[{number}]" for number in range(len(uses))]
                assert paths
            expected |= {(service.audit_kind, service.pk, path) for path in paths}
            assert {use.key.is_inline for use in uses} <= {service.generation == "custom"}
        for rule in Rule.objects.all():
            named = {(written(placed.path), placed.ref.name) for placed in read(rule.text).refs}
            assert {(row.path, row.key.name) for row in self.places["plugin", rule.pk]} == named
            expected |= {("plugin", rule.pk, path) for path, _name in named}
        assert {(row.holder_kind, row.holder_id, row.path) for row in self.rows} == expected

    def counts_and_drawer_agree(self) -> None:
        delivery, actor = Delivery.of(self.region), cast.SETUP
        for key in Key.objects.named().select_related("region"):
            mine = [row for row in self.rows if row.key_id == key.pk]
            census = Census.of(key)
            assert key.reference_count == census.total == len({(row.holder_kind, row.holder_id) for row in mine})
            shown = Places(key, delivery, actor).groups(census)
            assert sum(group.total for group in shown) == key.reference_count
            assert sorted(place.place for group in shown for place in group.holders) == sorted(holder.place for holder in describe(mine))
            assert all(place.url for group in shown for place in group.holders)

    def compiled_state_is_that_of_the_references(self) -> None:
        world = self.world
        world.stock = stocktaking.load(self.region.pk, world.stock)
        fresh = stocktaking.load(self.region.pk)
        # Read afresh, it also looks again when the overlap of a disabled consumer's key ends, which changes nothing.
        assert replace(world.stock, next_change=None) == replace(fresh, next_change=None)
        assert world.stock.next_change is None or (fresh.next_change and fresh.next_change <= world.stock.next_change)
        values = Resolver().resolve(KeyVersion.objects.values_list("pk", flat=True))
        carried_on, afresh = (compile_region(world.stock, values, memo) for memo in (world.memo, Memo()))
        told = {(one.holder_kind, one.holder_id, one.path, one.reason) for found in afresh.values() for one in found.problems}
        assert told == self._problems(values)
        for instance in world.instances:
            resources = dict(afresh[instance.pk].resources)
            assert carried_on[instance.pk].resources == resources
            Snapshot.of(resources | {LISTENER: {LISTENER_NAME: packed(listener("127.0.0.1", 0, "log"))}}, b"key").check()
            assert _callers(resources) == self._accepted(values)
            assert resources[SECRET].keys() >= {name for name, _value in self._sent(instance.pk, values)}
            assert set(_secrets(resources).items()) >= self._sent(instance.pk, values)

    def _accepted(self, values: dict[Any, Plaintext]) -> set[bytes]:
        """What consumers may present now."""
        accepting = [row for row in self.rows if row.holder_kind == "consumer" and row.path != JWKS_PATH]
        enabled = set(Consumer.objects.filter(enabled=True).values_list("pk", flat=True))
        keys = {row.key_id for row in accepting if row.holder_id in enabled and row.key.enabled}
        return {values[version.pk].expose() for version in KeyVersion.accepted().filter(key__in=keys)}

    def _sent(self, instance: Any, values: dict[Any, Plaintext]) -> set[tuple[str, bytes]]:
        """What the instance's services show their back ends: by the name of the secret, its value."""
        sent = set()
        for service in Service.objects.filter(instance=instance):
            prefix = service.shape.prefix
            for row in self.places[service.audit_kind, service.pk]:
                value = values[KeyVersion.objects.get(key=row.key, stage=KeyVersion.CURRENT).pk].expose()
                sent.add((secret_name(row.key_id, prefix), prefix.encode() + value if row.key.enabled else b""))
        return sent

    def _problems(self, values: dict[Any, Plaintext]) -> set[tuple[str, int, str, str]]:
        """Disabled keys, and credentials of one consumer that are one key."""
        enabled = set(Rule.objects.filter(enabled=True).values_list("pk", flat=True))
        present = set(Consumer.objects.filter(enabled=True).values_list("pk", flat=True))
        told, seen = set(), set()
        for row in sorted(self.rows, key=lambda row: row.path):
            if (row.holder_kind == "plugin" and row.holder_id not in enabled) or (
                row.holder_kind == "consumer" and row.holder_id not in present
            ):
                continue
            where = (row.holder_kind, row.holder_id, row.path)
            if not row.key.enabled:
                told.add((*where, "disabled"))
            elif row.holder_kind == "consumer" and (row.holder_id, row.key_id) in seen:
                told.add((*where, "duplicate"))
            seen.add((row.holder_id, row.key_id) if row.holder_kind == "consumer" else (0, None))
        return told


def _callers(resources: Any) -> set[bytes]:
    config, accepted = TypedExtensionConfig(), ApiKeyAuth()
    resources[EXTENSION][KEY_AUTH].Unpack(config)
    config.typed_config.Unpack(accepted)
    return {credential.key.encode() for credential in accepted.credentials}


def _secrets(resources: Any) -> dict[str, bytes]:
    found = {}
    for name, body in resources[SECRET].items():
        secret = Secret()
        body.Unpack(secret)
        found[name] = secret.generic_secret.secret.inline_bytes
    return found


@pytest.mark.parametrize("seed", range(SEQUENCES))
def test_any_order_of_deeds(region: Region, seed: int) -> None:
    world = World(region, seed)
    for _ in range(DEEDS):
        world.act()
        try:
            Check(world).all()
        except AssertionError:
            print("\n".join(world.log))
            raise
    done = {line.split()[0] for line in world.log if ":" not in line}
    assert len(done) > 8, world.log  # else it was all refused, and nothing tried
