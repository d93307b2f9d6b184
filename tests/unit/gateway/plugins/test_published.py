"""From a saved rule to what a gateway would be told: nothing between the two loses a reference."""

import pytest

from gateway import stocktaking
from gateway.compile import Compiled, compile_region
from gateway.compile.memo import Memo
from gateway.models import Instance
from gateway.plugins import CATALOGUE
from gateway.plugins.document import read
from secrets_app.models import Key, KeyVersion, Region
from secrets_app.plaintext import Plaintext
from tests import cast


@pytest.fixture
def instance(region: Region) -> Instance:
    instance = cast.instance(region, "east")
    cast.service(instance, "chat")
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
