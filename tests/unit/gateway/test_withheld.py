"""What came past every deed (rows changed by hand, two deeds in one moment) is withheld before gateways get it, and harms itself alone."""

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.route.v3.route_components_pb2 import Route
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

from gateway import stocktaking, uses
from gateway.compile import Compiled, compile_region
from gateway.compile.chains import filters_of
from gateway.compile.memo import Memo
from gateway.models import Instance, Problem, Service
from gateway.names import LAST_PLUGINS, ROUTES, WITHHELD
from gateway.type_urls import CLUSTER, ROUTE, SECRET
from secrets_app.models import Key, KeyVersion, Region
from secrets_app.models.policy import CLOSED, Policy
from secrets_app.plaintext import Plaintext
from tests import cast

ADDING = "reqRules:\n- operate: add\n  headers:\n  - key: x-partner\n    value: $ref{partner}\n"
EVIL = "https://evil.example"


@pytest.fixture
def region(db: None) -> Region:
    return cast.deployment()


@pytest.fixture
def east(region: Region) -> Instance:
    return cast.instance(region, "east")


def compiled(instance: Instance) -> Compiled:
    stock = stocktaking.load(instance.region_id)
    values = {version.pk: Plaintext(f"value of {version.key_id}") for version in KeyVersion.objects.all()}
    found = compile_region(stock, values, Memo())[instance.pk]
    assert stocktaking.load(instance.region_id, stock) == stock
    return found


def narrowed(key: Key, policy: Policy) -> None:
    """By hand, as no deed would."""
    Key.objects.filter(pk=key.pk).update(policy=policy)


def told(found: Compiled) -> set[tuple[str, int, str, str]]:
    return {(one.holder_kind, one.holder_id, one.path, one.reason) for one in found.problems}


def secrets(found: Compiled) -> dict[str, bytes]:
    packed = found.resources[SECRET].items()
    return {name: Secret.FromString(one.value).generic_secret.secret.inline_bytes for name, one in packed}


def route(found: Compiled, name: str) -> Route:
    table = RouteConfiguration.FromString(found.resources[ROUTE][ROUTES].value)
    return next(route for route in table.virtual_hosts[0].routes if route.name == name)


def test_a_service_outside_the_policy_is_shown_an_empty_secret_and_its_neighbour_goes_on(east: Instance) -> None:
    key = cast.key(east.region)
    cast.service(east, "good", keys=[key])
    bad = cast.service(east, "bad", keys=[key])
    narrowed(key, CLOSED.with_these([Service.objects.get(name="good").destination]))
    Service.objects.filter(pk=bad.pk).update(address=EVIL)
    found = compiled(east)
    assert told(found) == {("ai_service", bad.pk, "api_keys[0]", "policy")}
    assert secrets(found) == {f"{key.pk}/Bearer ": f"Bearer value of {key.pk}".encode(), WITHHELD: b""}
    clusters = {name: Cluster.FromString(one.value) for name, one in found.resources[CLUSTER].items()}
    assert str(key.pk) in str(clusters["ai/good/0"])
    assert str(key.pk) not in str(clusters["ai/bad/0"])


def test_a_value_that_no_one_may_use_is_not_even_opened(east: Instance) -> None:
    key = cast.key(east.region)
    cast.service(east, keys=[key])
    cast.consumer(east.region, bound_to=key)
    narrowed(key, CLOSED)
    stock = stocktaking.load(east.region_id)
    assert not [use.versions for use in (*stock.instances[0].services[0].keys, *stock.consumers[0].uses) if use.versions]


def test_callers_with_a_key_that_is_not_for_consumers_are_refused(east: Instance) -> None:
    key = cast.key(east.region)
    consumer = cast.consumer(east.region, bound_to=key)
    narrowed(key, CLOSED)
    assert told(compiled(east)) == {("consumer", consumer.pk, "credentials[0]", "policy")}


def test_a_rule_of_the_instance_is_followed_where_it_may_be_and_closes_the_other_service_alone(east: Instance) -> None:
    key = cast.key(east.region, "partner")
    good, bad = cast.service(east, "good"), cast.service(east, "bad")
    rule = cast.rule(cast.plugin(east, "transformer"), ADDING)
    narrowed(key, Policy(kinds=("plugin",), hosts=("api.example.com",)))
    good.open(by=cast.SETUP)
    bad.open(by=cast.SETUP)
    assert told(compiled(east)) == set()
    Service.objects.filter(pk=bad.pk).update(address=EVIL)
    found = compiled(east)
    assert ("plugin", rule.pk, "reqRules[0].headers[0].value", "policy") in told(found)
    assert route(found, "ai/bad").direct_response.status == 503
    assert LAST_PLUGINS not in route(found, "ai/bad").typed_per_filter_config
    assert filters_of(route(found, "ai/good").typed_per_filter_config[LAST_PLUGINS])
    assert route(found, "ai/good").HasField("route")


def test_a_rule_that_may_be_followed_nowhere_sends_its_secret_to_no_gateway(east: Instance) -> None:
    key = cast.key(east.region, "partner")
    cast.service(east, "bad", address=EVIL).open(by=cast.SETUP)
    cast.rule(cast.plugin(east, "transformer"), ADDING)
    narrowed(key, Policy(kinds=("plugin",), hosts=("api.example.com",)))
    assert not [value for name, value in secrets(compiled(east)).items() if str(key.pk) in name]


def test_a_script_beside_a_rule_closes_it(east: Instance) -> None:
    key = cast.key(east.region, "partner")
    cast.custom_plugin(east.region, "reader", schema='{"type": "object"}')
    cast.service(east, "chat").open(by=cast.SETUP)
    cast.rule(cast.plugin(east, "transformer"), ADDING)
    cast.rule(cast.plugin(east, "reader"), "{}")
    narrowed(key, Policy(kinds=("plugin",), hosts=("api.example.com",)))
    found = compiled(east)
    assert {reason for _kind, _id, _path, reason in told(found)} == {"policy"}
    assert not [value for name, value in secrets(found).items() if str(key.pk) in name]


def test_it_is_shown_like_any_reference_that_cannot_be_served(east: Instance) -> None:
    key = cast.key(east.region)
    service = cast.service(east, "chat", keys=[key])
    narrowed(key, CLOSED)
    Problem.rewrite(east.region_id, told(compiled(east)))
    assert [(one.holder.name, one.reason) for one in uses.unserved(key)] == [("chat", "policy")]
    page = cast.client("vera").get(f"/{east.region.name}/instances/{east.ref}/services/{service.name}/").content.decode()
    assert "policy does not let it be used here" in page
