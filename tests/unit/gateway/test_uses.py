"""The uses of one key, counted and named."""

from pytest_django.fixtures import DjangoAssertNumQueries

from gateway import uses
from gateway.models import Problem
from gateway.uses import Census
from secrets_app.models import Region
from tests import cast


def test_the_census_counts_holders_by_kind_and_direction(region: Region) -> None:
    key, gateway = cast.key(region), cast.instance(region)
    assert (Census.of(key).total, Census.of(key).by_kind, Census.of(key).dual) == (0, {}, False)
    for _ in range(3):
        cast.service(gateway, keys=[key, cast.key(region)])
    assert (Census.of(key).outbound, Census.of(key).inbound) == ({"ai_service": 3}, {})
    cast.consumer(region, bound_to=key)
    census = Census.of(key)
    assert (census.by_kind, census.total, census.dual) == ({"consumer": 1, "ai_service": 3}, 4, True)


def test_the_first_are_named_in_order_and_searched(region: Region, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    key, gateway = cast.key(region), cast.instance(region)
    for name in ("beta", "alpha", "gamma", "alphabet"):
        cast.service(gateway, name, keys=[key])
    cast.service(gateway, "alpine")
    with django_assert_num_queries(3):
        assert [holder.name for holder in uses.named(key, "ai_service", most=3)] == ["alpha", "alphabet", "beta"]
    assert [holder.name for holder in uses.named(key, "ai_service", "ALPHA", most=9)] == ["alpha", "alphabet"]
    assert uses.named(key, "ai_service", "%", most=9) == []
    assert uses.number(key, "ai_service", "alp") == 2
    assert uses.named(key, "consumer", most=9) == []


def test_instances_are_those_whose_services_refer_to_it(region: Region) -> None:
    key, east, west = cast.key(region), cast.instance(region, "east"), cast.instance(region, "west")
    cast.instance(region, "idle")
    north, south = cast.instance(region, "north"), cast.instance(region, "south")
    for gateway in (east, east, west):
        cast.service(gateway, keys=[key])
    assert set(uses.instances(key)) == {east, west}
    cast.agent(north, keys=[key])
    cast.mcp(south, key=key)
    assert set(uses.instances(key)) == {east, west, north, south}
    assert Census.of(key).outbound == {"ai_service": 3, "agent_service": 1, "mcp_service": 1}
    edge = cast.instance(region, "edge")
    cast.rule(cast.plugin(edge), cast.key_auth(key))
    assert set(uses.instances(key)) == {east, west, north, south, edge}
    assert Census.of(key).inbound == {"plugin": 1}


def test_rules_are_named_with_their_service_and_searched(region: Region) -> None:
    key, gateway = cast.key(region), cast.instance(region)
    cast.rule(cast.plugin(gateway), cast.key_auth(key))
    cast.rule(cast.plugin(gateway), cast.key_auth(key), cast.service(gateway, "chat"))
    assert [holder.name for holder in uses.named(key, "plugin", most=9)] == ["key-auth", "key-auth on chat"]
    assert [holder.name for holder in uses.named(key, "plugin", "chat", most=9)] == ["key-auth on chat"]
    assert uses.number(key, "plugin", "auth") == 2


def test_unserved_are_the_places_of_this_key_alone(region: Region) -> None:
    key, gateway = cast.key(region), cast.instance(region)
    mixed = cast.service(gateway, "mixed", keys=[cast.key(region), key])
    consumer = cast.consumer(region, "acme", bound_to=key)
    problems = [("ai_service", mixed.pk, "api_keys[0]", "charset"), ("consumer", consumer.pk, "credentials[0]", "duplicate")]
    Problem.rewrite(region.pk, problems)
    assert [(one.holder.name, one.holder.path, one.reason) for one in uses.unserved(key)] == [("acme", "credentials[0]", "duplicate")]
    Problem.rewrite(region.pk, [*problems, ("ai_service", mixed.pk, "api_keys[1]", "unreadable")])
    assert {(one.holder.name, one.reason) for one in uses.unserved(key)} == {("acme", "duplicate"), ("mixed", "unreadable")}
    Problem.rewrite(region.pk, [])
    assert list(uses.unserved(key)) == []
