"""From a saved rule to what a gateway would be told: nothing between the two loses a reference."""

import pytest
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from gateway import stocktaking
from gateway.compile import Compiled, compile_region
from gateway.compile.memo import Memo
from gateway.models import Instance, Rule
from gateway.names import ROUTES
from gateway.plugins import CATALOGUE
from gateway.plugins.reading import read
from gateway.type_urls import ROUTE
from secrets_app.models import Key, KeyVersion, Reference, Region
from secrets_app.plaintext import Plaintext
from tests import cast


@pytest.fixture
def instance(region: Region) -> Instance:
    instance = cast.instance(region, "east")
    cast.service(instance, "chat").open(by=cast.SETUP)
    return instance


def compiled(instance: Instance) -> Compiled:
    values = {version.pk: Plaintext(f"value of {version.key_id} {version.number}") for version in KeyVersion.objects.all()}
    return compile_region(stocktaking.load(instance.region_id), values, Memo())[instance.pk]


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("level", ["instance", "service"])
def test_every_example_is_served_without_a_problem(instance: Instance, name: str, level: str) -> None:
    text = CATALOGUE[name].example
    for placed in read(text).refs:
        cast.key(instance.region, placed.ref.name)
    cast.rule(cast.plugin(instance, name), text, instance.services.get() if level == "service" else None)
    assert compiled(instance).problems == ()


def test_a_custom_plugin_is_served_without_a_problem(instance: Instance) -> None:
    cast.key(instance.region, "t")
    cast.custom_plugin(instance.region, "signer")
    cast.rule(cast.plugin(instance, "signer"), "token: Bearer $ref{t}\n")
    assert compiled(instance).problems == ()


def test_a_key_disabled_later_is_a_problem_of_its_own_place_alone(instance: Instance) -> None:
    a, b = cast.key(instance.region, "a"), cast.key(instance.region, "b")
    rule = cast.rule(cast.plugin(instance), cast.key_auth(a, b))
    b.disable(by=cast.SETUP)
    [problem] = compiled(instance).problems
    assert (problem.holder_kind, problem.holder_id, problem.path, problem.key_id, problem.reason) == (
        "plugin",
        rule.pk,
        "credentials[1]",
        b.pk,
        "disabled",
    )


def test_a_disabled_rule_is_not_served(instance: Instance) -> None:
    before = compiled(instance).resources
    rule = cast.rule(cast.plugin(instance), cast.key_auth(cast.key(instance.region)))
    assert compiled(instance).resources != before
    rule.disable(by=cast.SETUP)
    assert compiled(instance).resources == before
    assert Key.objects.named().get().reference_count == 1


# ── What would be refused at a save is refused here as well: an old backup was restored, or a row changed by hand ──


def without_key(name: str) -> None:
    key = Key.objects.get(name=name)
    Reference.objects.filter(key=key).delete()
    key._erase()


@pytest.mark.parametrize("name", ["key-auth", "transformer"])
def test_a_text_that_names_a_missing_key_is_told_and_closes_its_own_routes_alone(instance: Instance, name: str) -> None:
    cast.service(instance, "other").open(by=cast.SETUP)
    cast.key(instance.region, "a")
    text = "reqRules:\n- operate: add\n  headers:\n  - key: x-token\n    value: Bearer $ref{a}\n"
    rule = cast.rule(
        cast.plugin(instance, name),
        cast.key_auth(Key.objects.get(name="a")) if name == "key-auth" else text,
        instance.services.get(name="chat"),
    )
    path = "credentials[0]" if name == "key-auth" else "reqRules[0].headers[0].value"
    before = compiled(instance)
    assert before.problems == ()
    without_key("a")
    after = compiled(instance)
    assert [(one.holder_kind, one.holder_id, one.path, one.key_id, one.reason) for one in after.problems] == [
        ("plugin", rule.pk, path, None, "missing")
    ]
    assert answers(after) == {"ai/chat": 503, "ai/other": 0}
    assert answers(before) == {"ai/chat": 0, "ai/other": 0}
    cast.key(instance.region, "a")
    assert compiled(instance).problems != ()  # a name alone is no reference
    Rule.write(rule.plugin, rule.service, rule.text, lock_version=rule.lock_version, by=cast.SETUP)
    assert compiled(instance).problems == ()


def test_a_text_that_does_not_pass_any_more_is_told(instance: Instance) -> None:
    rule = cast.rule(cast.plugin(instance), cast.key_auth(cast.key(instance.region, "a")))
    Rule.objects.update(text=rule.text + "strange: field\n")
    [problem] = compiled(instance).problems
    assert (problem.holder_id, problem.path, problem.reason) == (rule.pk, "strange", "text")
    assert answers(compiled(instance)) == {"ai/chat": 503}


def answers(found: Compiled) -> dict[str, int]:
    """By route of a service, what it answers by itself; 0 where it asks the back end."""
    table = RouteConfiguration()
    found.resources[ROUTE][ROUTES].Unpack(table)
    return {route.name: route.direct_response.status for route in table.virtual_hosts[0].routes if route.name.startswith("ai/")}
