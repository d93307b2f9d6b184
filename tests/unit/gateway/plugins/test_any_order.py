"""Whatever is done to rules and keys, in any order: counts, references, texts and the inventory agree, and nothing dangles."""

import os
from collections import defaultdict
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from gateway import bookkeeping, stocktaking, uses
from gateway.compile import compile_region
from gateway.compile.memo import Memo
from gateway.models import Consumer, Plugin, Rule, Service
from gateway.plugins.paths import written
from gateway.plugins.reading import read
from gateway.plugins.review import RuleRefused
from gateway.uses import Census
from secrets_app.errors import Conflict, Invalid, KeyInUse
from secrets_app.models import Key, KeyVersion, Reference
from secrets_app.plaintext import Plaintext
from tests import cast

TIMES = int(os.environ.get("SOAK", "8"))  # sequences of deeds; a twentieth of what a soak makes

NAMES = ("a", "b", "c", "d")
SERVICES = ("chat",)
PLUGINS = ("key-auth", "transformer")

names = st.sampled_from(NAMES)
some = st.lists(names, min_size=1, max_size=5)
places = st.tuples(st.sampled_from(PLUGINS), st.sampled_from((None, *SERVICES)))


def text_of(plugin: str, chosen: list[str]) -> str:
    refs = [f"$ref{{{name}}}" for name in chosen]
    if plugin == "key-auth":
        return "keys: [k]\ncredentials:\n" + "".join(f"- {ref}\n" for ref in refs)
    items = "".join(f"  - key: x-{number}\n    value: Bearer {ref}\n" for number, ref in enumerate(refs))
    return f"reqRules:\n- operate: add\n  headers:\n{items}"


class Deeds(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.savepoint = transaction.savepoint()
        self.region = cast.deployment()
        self.instance = cast.instance(self.region)
        for name in SERVICES:
            cast.service(self.instance, name)
        for name in NAMES[:-1]:
            cast.key(self.region, name)
        for plugin in PLUGINS:
            cast.rule(cast.plugin(self.instance, plugin), text_of(plugin, ["a", "b"]))
        self.stock, self.memo = stocktaking.load(self.region.pk), Memo()

    def teardown(self) -> None:
        transaction.savepoint_rollback(self.savepoint)

    # What people do

    @rule(name=names)
    def create_key(self, name: str) -> None:
        if not self._key(name):
            cast.key(self.region, name)

    @rule(name=names)
    def delete_key(self, name: str) -> None:
        if key := self._key(name):
            used = key.reference_count
            try:
                key.delete(by=cast.SETUP)
                assert not used
            except KeyInUse:
                assert used

    @rule(name=names)
    def switch_key(self, name: str) -> None:
        if key := self._key(name):
            (key.disable if key.enabled else key.enable)(by=cast.SETUP)

    @rule(name=names, hours=st.sampled_from((0, 24)))
    def rotate_key(self, name: str, hours: int) -> None:
        if key := self._key(name):
            try:
                key.rotate(cast.value(), hours, by=cast.SETUP)
            except Invalid:
                assert not Reference.objects.filter(key=key, inbound=True).exists()

    @rule(name=names)
    def bind_consumer(self, name: str) -> None:
        try:
            cast.consumer(self.region, f"consumer-{name}", bound_to=Key(name=name))
        except Invalid:
            key = self._key(name)
            assert key is None or not key.enabled or Reference.objects.filter(key=key, holder_kind="consumer").exists()

    @rule(name=names)
    def delete_consumer(self, name: str) -> None:
        if consumer := Consumer.objects.filter(name=f"consumer-{name}").first():
            consumer.delete(by=cast.SETUP)

    @rule(place=places, chosen=some, enabled=st.sampled_from((None, True, False)))
    def write_rule(self, place: tuple[str, str | None], chosen: list[str], enabled: bool | None) -> None:
        self._write(place, chosen, enabled)

    @precondition(lambda self: Rule.objects.exists())
    @rule(data=st.data(), more=st.lists(names, max_size=1))
    def rearrange_rule(self, data: Any, more: list[str]) -> None:
        there = data.draw(st.sampled_from(list(Rule.objects.order_by("name"))), "rule")
        chosen = data.draw(st.permutations([placed.ref.name for placed in read(there.text).refs] + more), "order")
        kept = data.draw(st.integers(1, len(chosen)), "kept")
        self._write((there.plugin.name, there.service and there.service.name), chosen[:kept], None)

    def _write(self, place: tuple[str, str | None], chosen: list[str], enabled: bool | None) -> None:
        plugin, service = cast.plugin(self.instance, place[0]), self._service(place[1])
        if place[1] and service is None:
            return
        there, text = Rule.at(plugin, service), text_of(place[0], chosen)
        before = list(Reference.objects.order_by("pk").values())
        keys = [self._key(name) for name in chosen]
        fits = all(key and key.enabled for key in keys) and (place[0] != "key-auth" or len(set(chosen)) == len(chosen))
        try:
            Rule.write(plugin, service, text, lock_version=there.lock_version if there else None, enabled=enabled, by=cast.SETUP)
            assert fits
        except RuleRefused:
            assert not fits
            assert list(Reference.objects.order_by("pk").values()) == before

    @precondition(lambda self: Rule.objects.exists())
    @rule(data=st.data())
    def change_rule(self, data: Any) -> None:
        chosen = data.draw(st.sampled_from(list(Rule.objects.order_by("name"))), "rule")
        doing = data.draw(st.sampled_from(("switch", "restore", "restore", "delete")), "what")
        try:
            if doing == "delete":
                chosen.delete(by=cast.SETUP)
            elif doing == "switch":
                (chosen.disable if chosen.enabled else chosen.enable)(by=cast.SETUP)
            elif revisions := list(chosen.revisions.order_by("number")):
                number = data.draw(st.sampled_from(revisions), "revision").number
                chosen.restore(number, lock_version=chosen.lock_version, by=cast.SETUP)
        except RuleRefused:
            states = {name: (key := self._key(name)) and key.enabled for name in NAMES}
            assert not all(states.values())

    @rule(data=st.data())
    def end_something(self, data: Any) -> None:
        """Seldom: what is gone cannot go wrong any more."""
        match data.draw(st.sampled_from(("nothing", "nothing", "nothing", "plugin", "service", "instance")), "what"):
            case "plugin":
                for there in Plugin.objects.filter(name=data.draw(st.sampled_from(PLUGINS), "plugin")):
                    there.uninstall(by=cast.SETUP)
            case "service":
                if service := self._service(SERVICES[0]):
                    service.delete(by=cast.SETUP)
                else:
                    cast.service(self.instance, SERVICES[0])
            case "instance":
                self._delete_instance()

    def _delete_instance(self) -> None:
        try:
            self.instance.delete(by=cast.SETUP)
        except Conflict:
            assert self.instance.services.exists() or self.instance.plugins.exists()
        else:
            self.instance = cast.instance(self.region)

    # What must hold after each

    @invariant()
    def references_are_those_of_the_texts(self) -> None:
        for one in Rule.objects.all():
            of_text = {(written(placed.path), placed.ref.name) for placed in read(one.text).refs}
            assert {(row.path, row.key.name) for row in one.references} == of_text
            assert {row.inbound for row in one.references} <= {one.plugin.name == "key-auth"}

    @invariant()
    def counts_are_those_of_the_references(self) -> None:
        holders: dict[Any, set[tuple[str, int]]] = defaultdict(set)
        for row in Reference.objects.all():
            holders[row.key_id].add((row.holder_kind, row.holder_id))
        for key in Key.objects.named():
            assert key.reference_count == len(holders[key.pk]) == Census.of(key).total
            for kind, count in Census.of(key).by_kind.items():
                assert len({holder.id for holder in uses.named(key, kind, most=99)}) == count
        assert bookkeeping.examine(self.region).wrong == 0

    @invariant()
    def an_inventory_carried_on_is_one_read_afresh(self) -> None:
        self.stock = stocktaking.load(self.region.pk, self.stock)
        assert self.stock == stocktaking.load(self.region.pk)
        enabled = {one.pk: one for one in Rule.objects.filter(enabled=True)}
        assert {one.id: one.text for one in self.stock.rules} == {pk: one.text for pk, one in enabled.items()}
        for one in self.stock.rules:
            for name, use in one.keys:
                key = Key.objects.get(pk=use.key_id)
                assert (key.name, bool(use.versions)) == (name, key.enabled)

    @invariant()
    def only_disabled_keys_are_not_served(self) -> None:
        values = {pk: Plaintext(str(pk)) for pk in KeyVersion.objects.values_list("pk", flat=True)}
        compiled = compile_region(self.stock, values, self.memo)
        told = {
            (one.holder_id, one.path, one.key_id) for found in compiled.values() for one in found.problems if one.holder_kind == "plugin"
        }
        rows = Reference.objects.filter(holder_kind="plugin", holder_id__in=Rule.objects.filter(enabled=True), key__enabled=False)
        assert told == set(rows.values_list("holder_id", "path", "key_id"))

    def _key(self, name: str) -> Key | None:
        return Key.objects.filter(name=name).first()

    def _service(self, name: str | None) -> Service | None:
        return Service.objects.filter(instance=self.instance, name=name).first() if name else None


@pytest.mark.django_db
def test_any_order_of_deeds() -> None:
    run_state_machine_as_test(
        Deeds,
        settings=settings(
            max_examples=TIMES,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate),
        ),
    )
