"""The inventory: what a region's gateways shall serve, read in one view, without a value in it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from gateway import inventory, stocktaking
from gateway.compile import compile_instance
from gateway.models import Consumer, Instance, NewCredential, Service
from gateway.snapshot import Snapshot
from gateway.sources import BEARER, Source
from gateway.type_urls import CLUSTER
from secrets_app.models import AuditHead, KeyVersion, Region
from tests import cast


@pytest.fixture
def instance(region: Region) -> Instance:
    return cast.instance(region, "east")


def test_an_empty_region_is_an_empty_inventory(region: Region) -> None:
    found = stocktaking.load(region.pk)
    assert (found.region_id, found.consumers, found.instances, found.next_change) == (region.pk, (), (), None)
    assert found.seq == AuditHead.objects.get().seq


def test_a_service_stands_in_it_as_the_gateway_needs_it(instance: Instance) -> None:
    key = cast.key(instance.region, "shared")
    service = cast.service(instance, "chat", keys=[key], supplier="claude", protocol="native", address="https://api.anthropic.com/v1/")
    cast.consumer(instance.region, "beta")
    cast.consumer(instance.region, "acme")
    service.authorize(["beta", "acme"], by=cast.SETUP)
    version = KeyVersion.objects.get(key=key)
    [found] = stocktaking.load(instance.region_id).instances
    assert (found.id, found.ref) == (instance.pk, instance.ref)
    assert found.services == (
        inventory.Service(
            id=service.pk,
            kind="ai",
            name="chat",
            scheme="https",
            host="api.anthropic.com",
            port=443,
            path="/v1",
            message_path="",
            header="x-api-key",
            prefix="",
            extra_headers=(("anthropic-version", "2023-06-01"),),
            keys=(inventory.Use("api_keys[0]", key.pk, (inventory.Version(version.pk, 1),)),),
            consumer_authentication=True,
            authorized=("acme", "beta"),
        ),
    )


def test_an_agents_apps_stand_in_it_with_a_key_each(instance: Instance) -> None:
    keys = [cast.key(instance.region), cast.key(instance.region)]
    cast.agent(instance, "studio", keys=keys, apps=["beta", "Alpha"], address="https://dashscope-intl.aliyuncs.com/api/v1")
    cast.agent(instance, "own", kind="custom", header="X-Agent-Token", address="http://agent.example:8000")
    own, studio = stocktaking.load(instance.region_id).instances[0].services
    assert (studio.kind, studio.path, studio.header, studio.prefix) == ("agent", "/api/v1", "authorization", "Bearer ")
    assert {use.path: use.key_id for use in studio.keys} == {"apps[beta]": keys[0].pk, "apps[Alpha]": keys[1].pk}
    assert (own.kind, own.port, own.path, own.header, own.prefix) == ("agent", 8000, "", "x-agent-token", "")


def test_an_mcp_service_stands_in_it_with_its_paths_and_the_key_of_its_back_end(instance: Instance) -> None:
    key = cast.key(instance.region)
    cast.mcp(instance, "tools.v2", key=key)
    events = cast.mcp(instance, "events", transport="sse", path="/test/sse", message_path="/test/messages")
    events.configure_backend_auth("Authorization", NewCredential("custom", cast.value()), "Bearer ", lock_version=1, by=cast.SETUP)
    cast.mcp(instance, "bare")
    bare, sse, tools = stocktaking.load(instance.region_id).instances[0].services
    assert (tools.kind, tools.path, tools.message_path, tools.header, tools.prefix) == ("mcp", "/mcp", "", "x-api-key", "")
    assert [(use.path, use.key_id) for use in tools.keys] == [("backend_auth", key.pk)]
    assert (sse.path, sse.message_path, sse.header, sse.prefix) == ("/test/sse", "/test/messages", "authorization", "Bearer ")
    assert (bare.header, bare.keys) == ("", ())


def test_services_of_every_kind_compile_to_what_holds_together(instance: Instance) -> None:
    key = cast.key(instance.region)
    cast.service(instance, "chat", keys=[key])
    cast.agent(instance, "studio", keys=[key, key], apps=["Alpha", "beta"])
    cast.mcp(instance, "events", key=key, transport="sse")
    found = stocktaking.load(instance.region_id)
    compiled = compile_instance(found.instances[0], found, {})  # no value can be opened
    snapshot = Snapshot.of(compiled.resources, b"key")
    snapshot.check()
    clusters = {"ai/chat/0", "agent/studio/Alpha", "agent/studio/beta", "mcp/events/backend_auth"}
    assert snapshot[CLUSTER].keys() == clusters
    assert {(problem.holder_kind, problem.path, problem.reason) for problem in compiled.problems} == {
        ("ai_service", "api_keys[0]", "unreadable"),
        ("agent_service", "apps[Alpha]", "unreadable"),
        ("agent_service", "apps[beta]", "unreadable"),
        ("mcp_service", "backend_auth", "unreadable"),
    }


def test_a_consumer_stands_in_it_with_its_source(region: Region) -> None:
    consumer = cast.consumer(region, "acme", sources=(Source("header", "x-api-key"),))
    [found] = stocktaking.load(region.pk).consumers
    assert (found.id, found.name) == (consumer.pk, "acme")
    assert [(credential.use.path, credential.sources) for credential in found.credentials] == [
        ("credentials[0]", (Source("header", "x-api-key"),))
    ]


def test_a_disabled_consumer_is_left_out_but_stays_authorized(instance: Instance) -> None:
    consumer = cast.consumer(instance.region, "acme", enabled=False)
    cast.service(instance, "chat").authorize(["acme"], by=cast.SETUP)
    found = stocktaking.load(instance.region_id)
    assert found.consumers == ()
    assert found.instances[0].services[0].authorized == ("acme",)
    consumer.enable(by=cast.SETUP)
    assert [c.name for c in stocktaking.load(instance.region_id).consumers] == ["acme"]


def test_where_a_disabled_consumer_puts_its_key_is_still_known(instance: Instance) -> None:
    cast.consumer(instance.region, "acme", sources=(Source("header", "x-team-key"),))
    gone = cast.consumer(instance.region, "gone", sources=(Source("query", "key"),))
    cast.consumer(Region.create("other", "Other", by=cast.SETUP), sources=(Source("query", "foreign"),))
    before = stocktaking.load(instance.region_id)
    assert before.sources == (Source("header", "x-team-key"), Source("query", "key"))
    gone.disable(by=cast.SETUP)
    assert stocktaking.load(instance.region_id).sources == before.sources
    assert stocktaking.load(instance.region_id, before).sources == before.sources


def test_a_disabled_key_leaves_its_places_without_a_version(instance: Instance) -> None:
    key = cast.key(instance.region, "shared")
    cast.service(instance, "chat", keys=[key])
    key.disable(by=cast.SETUP)
    assert stocktaking.load(instance.region_id).instances[0].services[0].keys == (inventory.Use("api_keys[0]", key.pk, ()),)


def test_during_an_overlap_both_versions_count_newest_first_and_its_end_is_known(region: Region) -> None:
    key = cast.key(region, "partner")
    cast.consumer(region, "acme", bound_to=key)
    key.rotate(cast.value(), 24, by=cast.SETUP)
    found = stocktaking.load(region.pk)
    assert [version.number for version in found.consumers[0].credentials[0].use.versions] == [2, 1]
    assert found.next_change == KeyVersion.objects.get(stage="previous").accepted_until
    KeyVersion.objects.filter(stage="previous").update(accepted_until=timezone.now() - timedelta(seconds=1))
    found = stocktaking.load(region.pk)
    assert [version.number for version in found.consumers[0].credentials[0].use.versions] == [2]
    assert found.next_change is None


def test_a_region_knows_nothing_of_another(instance: Instance) -> None:
    other = Region.create("other", "Other", by=cast.SETUP)
    cast.service(cast.instance(other), keys=[cast.key(other)])
    cast.consumer(other)
    found = stocktaking.load(instance.region_id)
    assert found.consumers == ()
    assert [(one.ref, one.services) for one in found.instances] == [(instance.ref, ())]


def test_reading_takes_thirteen_queries_whatever_the_size(instance: Instance, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for number in range(3):
        cast.service(instance, keys=[cast.key(instance.region)]).authorize([cast.consumer(instance.region).name], by=cast.SETUP)
        with django_assert_num_queries(13):
            assert len(stocktaking.load(instance.region_id).consumers) == number + 1


def test_what_is_read_beside_an_earlier_inventory_is_what_a_fresh_look_gives(instance: Instance) -> None:
    region = instance.region
    partner, supplier = cast.key(region, "partner"), cast.key(region, "supplier")
    chat = cast.service(instance, "chat", keys=[supplier])
    acme, beta = cast.consumer(region, "acme", bound_to=partner), cast.consumer(region, "beta")
    settings = {"supplier": "custom", "protocol": "OpenAI/v1", "by": cast.SETUP}
    sources = (Source("header", "x-api-key"), Source("header", "api-key"))

    def lock() -> int:
        return Consumer.objects.get(name="acme").lock_version

    deeds: list[Callable[[], object]] = [
        lambda: chat.authorize(["acme", "beta"], by=cast.SETUP),
        lambda: partner.rotate(cast.value(), 24, by=cast.SETUP),
        lambda: KeyVersion.objects.filter(stage="previous").update(accepted_until=timezone.now()),  # an overlap ends
        lambda: supplier.rotate(cast.value(), by=cast.SETUP),
        lambda: supplier.disable(by=cast.SETUP),
        lambda: supplier.enable(by=cast.SETUP),
        lambda: partner.disable(by=cast.SETUP),
        lambda: partner.enable(by=cast.SETUP),
        lambda: beta.rotate(0, cast.value(), 1, by=cast.SETUP),
        lambda: acme.disable(by=cast.SETUP),
        lambda: acme.enable(by=cast.SETUP),
        lambda: acme.edit(description="", sources=sources, lock_version=lock(), by=cast.SETUP),
        lambda: acme.add_credential(NewCredential("custom", cast.value()), by=cast.SETUP),
        lambda: acme.edit_credential(0, NewCredential("custom", cast.value()), lock_version=lock(), by=cast.SETUP),
        lambda: acme.remove_credential(1, by=cast.SETUP),
        lambda: chat.edit(**settings, address="https://b.example", lock_version=Service.objects.get().lock_version),  # type: ignore[arg-type]
        lambda: chat.open(by=cast.SETUP),
        lambda: chat.require_authentication(by=cast.SETUP),
        lambda: chat.revoke(acme, by=cast.SETUP),
        lambda: beta.delete(by=cast.SETUP),
        lambda: cast.consumer(region, "beta"),  # the same name, and not authorized
        lambda: cast.service(instance, "other", keys=[supplier]).authorize(["beta"], by=cast.SETUP),
        lambda: chat.delete(by=cast.SETUP),
        lambda: cast.service(cast.instance(region)),
    ]
    earlier = stocktaking.load(region.pk)
    for deed in deeds:
        deed()
        fresh = stocktaking.load(region.pk)
        assert stocktaking.load(region.pk, earlier) == fresh
        earlier = fresh
    assert [service.authorized for one in fresh.instances for service in one.services if service.name == "other"] == [("beta",)]


def test_consumers_of_now_beside_services_of_before_are_nobody_new(instance: Instance) -> None:
    acme, beta = cast.consumer(instance.region, "acme"), cast.consumer(instance.region, "beta")
    cast.service(instance, "chat").authorize(["acme", "beta"], by=cast.SETUP)
    before = stocktaking.load(instance.region_id)
    acme.rotate(0, cast.value(), 1, by=cast.SETUP)
    beta.delete(by=cast.SETUP)
    cast.consumer(instance.region, "beta", sources=[Source("header", "x-other")])  # the same name, and not authorized
    cast.service(instance, "other")
    found = stocktaking.with_consumers_of_now(before)
    assert (found.seq, found.instances) == (before.seq, before.instances)
    assert [(consumer.name, len(consumer.credentials[0].use.versions)) for consumer in found.consumers] == [("acme", 2)]
    assert found.next_change == KeyVersion.objects.get(stage="previous").accepted_until
    assert Source("header", "x-other") in found.sources
    assert stocktaking.load(instance.region_id, found) == stocktaking.load(instance.region_id)


def test_no_value_and_no_ciphertext_stand_in_it(instance: Instance) -> None:
    cast.consumer(instance.region, bound_to=cast.key(instance.region, text="a value that is not to be seen"))
    cast.service(instance, keys=[cast.key(instance.region, text="another value not to be seen")])
    assert "not to be seen" not in repr(stocktaking.load(instance.region_id))


def test_a_key_is_also_accepted_where_other_consumers_of_its_services_put_theirs(instance: Instance) -> None:
    acme = cast.consumer(instance.region, "acme")
    cast.consumer(instance.region, "beta", sources=(Source("header", "x-api-key"),))
    cast.consumer(instance.region, "gone", sources=(Source("query", "key"),), enabled=False)
    cast.consumer(instance.region, "elsewhere", sources=(Source("query", "token"),))
    for name in ("chat", "embed"):
        cast.service(instance, name).authorize(["acme", "beta", "gone"], by=cast.SETUP)
    cast.service(instance, "other").authorize(["elsewhere", "beta"], by=cast.SETUP)
    assert acme.sources == (BEARER,)
    assert acme.other_sources() == [(Source("header", "x-api-key"), ["chat", "embed"])]
