"""Reference rows told to people."""

from pytest_django.fixtures import DjangoAssertNumQueries

from gateway import holders
from secrets_app.models import Reference, Region
from tests import cast


def test_holders_say_what_where_and_in_which_instance(region: Region) -> None:
    key, instance = cast.key(region), cast.instance(region, "east")
    consumer = cast.consumer(region, "acme", bound_to=cast.key(region))
    service = cast.service(instance, "chat", keys=[cast.key(region), key])
    found = holders.describe(Reference.objects.order_by("pk"))
    assert [(one.kind, one.id, one.name, one.place, one.instance_ref, one.instance_name, one.inbound) for one in found] == [
        ("consumer", consumer.pk, "acme", "Authentication method › Bind Key", "", "", True),
        ("ai_service", service.pk, "chat", "Large Model Configuration › API Key", instance.ref, "east", False),
        ("ai_service", service.pk, "chat", "Large Model Configuration › API Key 2", instance.ref, "east", False),
    ]


def test_agents_and_mcp_services_say_where_too(region: Region) -> None:
    key, instance = cast.key(region), cast.instance(region, "east")
    cast.agent(instance, "studio", keys=[key, key], apps=["Alpha", "beta"])
    cast.agent(instance, "bot", keys=[key])
    cast.mcp(instance, "tools", key=key)
    found = holders.describe(Reference.objects.order_by("pk"))
    assert [(one.kind, one.name, one.place, one.path, one.instance_ref) for one in found] == [
        ("agent_service", "studio", "API Key (Alpha)", "apps[Alpha]", instance.ref),
        ("agent_service", "studio", "API Key (beta)", "apps[beta]", instance.ref),
        ("agent_service", "bot", "API Key", "api_keys[0]", instance.ref),
        ("mcp_service", "tools", "Backend authentication", "backend_auth", instance.ref),
    ]
    assert holders.senders(key) == 3


def test_one_query_a_kind_however_many_there_are(region: Region, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    key, instance = cast.key(region), cast.instance(region)
    for _ in range(5):
        cast.service(instance, keys=[key])
    rows = list(Reference.objects.all())
    with django_assert_num_queries(1):
        assert len(holders.describe(rows)) == 5


def test_a_holder_gone_meanwhile_is_left_out(region: Region) -> None:
    service = cast.service(cast.instance(region), keys=[cast.key(region)])
    rows = list(Reference.objects.all())
    service.delete(by=cast.SETUP)
    assert holders.describe(rows) == []
    assert holders.describe([]) == []


def test_a_rule_says_its_level_and_the_place_in_its_text(region: Region, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    key, instance = cast.key(region), cast.instance(region, "east")
    rule = cast.rule(cast.plugin(instance), cast.key_auth(key))
    of_service = cast.rule(cast.plugin(instance), cast.key_auth(cast.key(region), key), cast.service(instance, "chat"), enabled=False)
    rows = list(Reference.objects.filter(key=key).order_by("pk"))
    with django_assert_num_queries(1):
        found = holders.describe(rows)
    assert [(one.kind, one.id, one.name, one.place, one.service, one.instance_ref, one.enabled, one.inbound) for one in found] == [
        ("plugin", rule.pk, "key-auth", "Rule of the instance › credentials[0]", None, instance.ref, True, True),
        ("plugin", of_service.pk, "key-auth on chat", "Rule of chat › credentials[1]", "chat", instance.ref, False, True),
    ]
