"""The first page of a region: three steps, the state of the gateways, what needs a look, what happened last."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from gateway.attention import Attention
from gateway.example import Example
from gateway.models import ControlPlane, Node, Problem, Publication
from gateway.sources import Source
from secrets_app.models import AuditHead, Reference, Region
from tests import cast


def shown(who: str, region: Region) -> str:
    answer = cast.client(who).get(f"/{region.name}/")
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", answer.content.decode())


def running(region: Region, **fields: Any) -> Node:
    """An instance with a service, an authorized consumer and a connected node that has everything in effect."""
    gateway = cast.instance(region, "Main")
    service = cast.service(gateway, "chat")
    cast.consumer(region, "acme", **fields)
    service.authorize(["acme"], by=cast.SETUP)
    node, _token = Node.join(gateway, "local", "127.0.0.1", 8080, by=cast.SETUP)
    seq = AuditHead.objects.get().seq
    Node.objects.update(connected=True, in_effect_seq=seq)
    Publication.objects.create(region=region, seq=seq)
    ControlPlane.beat()
    return Node.objects.get(pk=node.pk)


def test_an_empty_region_shows_the_three_steps(region: Region) -> None:
    page = shown("alice", region)
    assert "Three steps to the first call" in page
    assert re.search(r'aria-current="step"><span class="step">1<', page)


def test_each_step_is_ticked_when_it_is_behind(region: Region) -> None:
    cast.key(region)
    assert re.search(r'aria-current="step"><span class="step">2<', shown("alice", region))
    cast.consumer(region)
    page = shown("alice", region)
    assert page.count('class="done tone-ok"') == 2
    assert "First create an AI service" in page


def test_the_last_step_says_what_is_missing(region: Region) -> None:
    cast.key(region)
    cast.consumer(region, "acme")
    service = cast.service(cast.instance(region), "chat")
    assert "Authorize a consumer on chat" in shown("alice", region)
    service.authorize(["acme"], by=cast.SETUP)
    assert "No gateway runs" in shown("alice", region)


def test_the_call_is_made_of_the_regions_own_names(region: Region) -> None:
    cast.key(region)
    running(region)
    page = shown("alice", region)
    assert "Three steps" not in page
    assert "curl http://localhost:8080/ai/chat/chat/completions" in page
    assert "Authorization: Bearer $LATCHKEY_API_KEY" in page


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (Source("header", "x-api-key"), '-H "x-api-key: $LATCHKEY_API_KEY"'),
        (Source("query", "api_key"), 'curl "http://localhost:8080/ai/chat/chat/completions?api_key=$LATCHKEY_API_KEY"'),
    ],
)
def test_the_call_puts_the_credential_where_the_consumer_does(region: Region, source: Source, line: str) -> None:
    running(region, sources=[source])
    assert line in Example.of(region).curl("localhost")


def test_a_node_on_every_address_is_called_by_the_consoles_name(region: Region) -> None:
    running(region)
    Node.objects.update(listen_host="::")
    assert "http://gateway.example:8080/ai/chat" in Example.of(region).curl("gateway.example")


def test_an_instance_without_a_node_says_what_to_run(region: Region) -> None:
    gateway = cast.instance(region)
    assert f"run_gateway --instance {gateway.ref} --name node-1 --port 8080" in shown("vera", region)


def test_the_lines_of_two_instances_start_nodes_that_can_run_side_by_side(region: Region) -> None:
    running(region)
    one, other = cast.instance(region, "One"), cast.instance(region, "Other")
    page = shown("vera", region)
    assert f"--instance {one.ref} --name node-1 --port 8081" in page
    assert f"--instance {other.ref} --name node-1 --port 8082" in page


def test_without_a_service_the_next_step_leads_to_the_services_of_the_only_instance(region: Region) -> None:
    cast.key(region)
    cast.consumer(region)
    only = cast.instance(region)
    assert f'href="/{region.name}/instances/{only.ref}/services/">Open services' in shown("alice", region)
    cast.instance(region, "Second")
    assert f'href="/{region.name}/instances/">Open instances' in shown("alice", region)


def test_a_node_that_is_away_needs_a_look(region: Region) -> None:
    node = running(region)
    assert "Nothing needs a look" in shown("vera", region)
    Node.objects.update(connected=False)
    page = shown("vera", region)
    assert "1 node of Main is not connected" in page
    assert f'href="/{region.name}/instances/{node.instance.ref}/nodes/"' in page
    assert "Nothing needs a look" not in page


def test_a_control_plane_that_is_down_needs_a_look_and_its_nodes_do_not(region: Region) -> None:
    running(region)
    Node.objects.update(connected=False)
    ControlPlane.objects.update(seen_at=timezone.now() - timedelta(minutes=1))
    page = shown("vera", region)
    assert 'href="#gateways">The control plane is down' in page
    assert "is not connected</a>" not in page


def test_refusals_need_a_look(region: Region) -> None:
    node = running(region)
    Node.objects.update(refused_seq=node.in_effect_seq + 1, refused_reason="listener: bad port")
    Publication.objects.update(refused_seq=10_000, refused_reason="two credentials are equal")
    page = shown("vera", region)
    assert "local of Main refused a change</a>" in page
    assert "The last change was refused</a>" in page


def test_a_control_plane_that_is_down_means_not_delivered_yet(region: Region) -> None:
    running(region)
    ControlPlane.objects.update(seen_at=timezone.now() - timedelta(minutes=1))
    cast.service(cast.instance(region))
    page = shown("vera", region)
    assert "Changes are saved, and not delivered yet" in page
    assert "run_xds" in page
    assert "Not delivered yet" in page


def test_a_change_on_its_way_and_a_refusal_are_told_apart(region: Region) -> None:
    node = running(region)
    assert "In effect on 1 of 1 node" in shown("vera", region)
    cast.service(node.instance)
    assert "Not delivered yet" in shown("vera", region)
    Node.objects.update(refused_seq=AuditHead.objects.get().seq, refused_reason="listener: bad port")
    page = shown("vera", region)
    assert "Refused by 1 node" in page
    assert "listener: bad port" in page


def test_a_publication_that_was_refused_is_told(region: Region) -> None:
    running(region)
    Publication.objects.update(refused_seq=10_000, refused_reason="two credentials are equal")
    assert "two credentials are equal" in shown("vera", region)


def test_what_needs_a_look_is_named(region: Region) -> None:
    gateway = cast.instance(region)
    key = cast.key(region, "old_one")
    cast.service(gateway, "embeddings", keys=[key]).open(by=cast.SETUP)
    key.disable(by=cast.SETUP)
    cast.service(gateway, "lonely")
    caller = cast.consumer(region, "acme")
    Problem.objects.create(region=region, holder_kind="consumer", holder_id=caller.pk, path="credentials[0]", reason="duplicate")
    page = shown("vera", region)
    for words in ("acme is not served", "Key old_one is disabled and in use", "Anybody may call embeddings", "Nobody may call lonely yet"):
        assert words in page
    assert "Authentication method › Bind Key: Another consumer presents the same value" in page


def test_a_use_that_is_not_served_leads_to_the_very_field_that_mends_it(region: Region) -> None:
    gateway, key = cast.instance(region), cast.key(region)
    bot = cast.agent(gateway, "bot", keys=[key])
    apps = cast.agent(gateway, "apps", keys=[key], apps=["one"])
    tools = cast.mcp(gateway, "tools", key=key)
    for holder, path in ((bot, "api_keys[0]"), (apps, "apps[one]"), (tools, "backend_auth")):
        assert [use.path for use in holder.uses] == [path]
        Problem.objects.create(region=region, holder_kind=holder.audit_kind, holder_id=holder.pk, path=path, reason="unreadable")
    here = f'href="/{region.name}/instances/{gateway.ref}'
    page = shown("olive", region)
    assert f'{here}/services/bot/edit/#id_agent_key_0"' in page
    assert f'{here}/services/apps/edit/#use-one"' in page
    assert f'{here}/mcp/tools/backend-auth/#id_key"' in page
    page = shown("vera", region)
    assert f'{here}/services/bot/#use-1"' in page
    assert f'{here}/mcp/tools/#backend_auth"' in page


def test_a_problem_of_a_holder_that_is_gone_is_not_shown(region: Region) -> None:
    Problem.objects.create(region=region, holder_kind="ai_service", holder_id=12345, path="api_keys[0]", reason="unreadable")
    assert Attention.of(region, cast.actor("vera")).unserved == ()


def test_the_auditor_sees_what_happened_and_no_noun(region: Region) -> None:
    cast.key(region, "openai_prod", description="for nobody else")
    running(region)
    page = shown("audrey", region)
    assert "Recent activity" in page
    assert "Needs attention" not in page
    assert "Gateways" not in page
    assert "for nobody else" not in page


def test_the_viewer_sees_the_nouns_and_not_what_others_did(region: Region) -> None:
    page = shown("vera", region)
    assert "Needs attention" in page
    assert "Recent activity" not in page


def test_nothing_of_another_region_is_shown(region: Region) -> None:
    other = Region.create("eu", "Europe", by=cast.SETUP)
    cast.service(cast.instance(other, "Elsewhere"), "foreign-service")
    page = shown("alice", region)
    assert "foreign-service" not in page
    assert "Elsewhere" not in page


def test_the_number_of_queries_does_not_grow_with_the_region(region: Region) -> None:
    client = cast.client("alice")

    def fill(times: int) -> None:
        for _ in range(times):
            key = cast.key(region)
            cast.service(cast.instance(region), keys=[key])
            caller = cast.consumer(region, bound_to=cast.key(region))
            key.disable(by=cast.SETUP)
            Problem.objects.create(region=region, holder_kind="consumer", holder_id=caller.pk, path="credentials[0]", reason="charset")

    fill(2)
    client.get("/local/")
    few = count_queries(client)
    fill(8)
    assert count_queries(client) == few


def count_queries(client: Client) -> int:
    with CaptureQueriesContext(connection) as queries:
        client.get("/local/")
    return len(queries)


def test_without_any_region_an_owner_is_asked_to_make_one(db: None) -> None:
    assert "Create your first region" in cast.client("alice").get("/").content.decode()
    assert "An owner creates the first one" in cast.client("vera").get("/").content.decode()


def test_a_rule_that_names_a_missing_key_is_told_with_its_line(region: Region) -> None:
    gateway = cast.instance(region)
    rule = cast.rule(cast.plugin(gateway), cast.key_auth(cast.key(region, "a")))
    Problem.rewrite(region.pk, [("plugin", rule.pk, "credentials[0]", "missing")])
    Reference.objects.all().delete()
    page = shown("vera", region)
    assert "Rule of the instance › credentials[0]: It names a key that does not exist" in page
    assert f"/local/instances/{gateway.ref}/plugins/key-auth/rules/instance/?at=credentials%5B0%5D#at" in page
