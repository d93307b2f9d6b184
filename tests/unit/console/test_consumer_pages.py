"""The list of consumers and the page of one."""

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.paging import ROWS_A_PAGE
from gateway.models import Authorization, Consumer, ControlPlane, Credential, Node, Problem
from gateway.sources import Source
from secrets_app.models import AuditHead, KeyVersion, Region
from tests import cast
from tests.unit.console.asking import get, markup, text

LIST = "/local/consumers/"


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("olive", 200), ("kim", 200), ("vera", 200), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_see_consumers(region: Region, who: str, status: int) -> None:
    cast.consumer(region, "acme")
    get(LIST, who, status=status)
    get(f"{LIST}acme/", who, status=status)


def test_the_list_says_what_each_presents_and_where(region: Region) -> None:
    key = cast.key(region, "partner")
    cast.consumer(region, "acme", bound_to=key, description="Acme Inc.", sources=(Source("header", "x-api-key"),))
    cast.consumer(region, "off", enabled=False)
    cast.service(cast.instance(region)).authorize(["acme"], by=cast.SETUP)
    said = text(get(LIST))
    for words in (
        "acme Acme Inc. API Key Header x-api-key $ref{partner} Enabled 1 service",
        "off API Key Authorization: Bearer Custom Disabled None yet",
    ):
        assert words in said


def test_services_of_instances_that_one_may_not_see_are_not_counted(region: Region) -> None:
    """Whoever holds a role for one instance learns nothing of the others, not even how much there is."""
    here, there = cast.instance(region, "Here"), cast.instance(region, "There")
    cast.consumer(region, "acme")
    for gateway in (here, there, there):
        cast.service(gateway).authorize(["acme"], by=cast.SETUP)
    nora, client = cast.somebody("nora", "viewer", at=here.scope), Client()
    client.force_login(nora, settings.AUTHENTICATION_BACKENDS[0])
    assert "Authorized on 1 service " in text(client.get(f"{LIST}acme/"))  # type: ignore[arg-type]
    assert "Enabled 1 service " in text(client.get(LIST))  # type: ignore[arg-type]
    assert "Authorized on 3 services" in text(get(f"{LIST}acme/", "vera"))
    assert "Enabled 3 services" in text(get(LIST, "vera"))


def test_an_empty_list_offers_the_first_step_to_those_who_may(region: Region) -> None:
    assert "Create the first consumer" in text(get(LIST, "olive"))
    said = text(get(LIST, "vera"))
    assert "No consumers yet Needs Operator" in said
    assert 'aria-disabled="true"' in markup(get(LIST, "vera"))


def test_search_and_filters(region: Region) -> None:
    cast.consumer(region, "acme", description="Nightly job")
    cast.consumer(region, "beta", enabled=False)
    cast.service(cast.instance(region)).authorize(["acme"], by=cast.SETUP)

    def names(query: str) -> list[str]:
        page = markup(get(f"{LIST}?{query}"))
        return [name for name in ("acme", "beta") if f'id="consumer-{name}"' in page]

    assert names("") == ["acme", "beta"]
    assert names("q=NIGHTLY") == ["acme"]
    assert names("q=Bet") == ["beta"]
    assert names("show=enabled") == ["acme"]
    assert names("show=disabled") == ["beta"]
    assert names("show=unauthorized") == ["beta"]
    assert names("show=<script>") == ["acme", "beta"]
    assert names("q=nothing-like-it") == []
    assert "Clear search and filters" in text(get(f"{LIST}?q=nothing-like-it"))
    assert names("after=garbage&before=%F0%9F%94%91") == ["acme", "beta"]


def test_a_part_for_the_list_is_the_rows_alone(region: Region) -> None:
    cast.consumer(region, "acme")
    answer = get(f"{LIST}?q=ac", part="consumers")
    assert "<html" not in markup(answer)
    assert "acme" in text(answer)
    assert "HX-Request" in answer.headers["Vary"]


def test_a_long_list_goes_page_by_page(region: Region) -> None:
    consumers = Consumer.objects.bulk_create(
        Consumer(region=region, name=f"c-{number:03d}", created_by="tests") for number in range(ROWS_A_PAGE + 5)
    )
    Credential.objects.bulk_create(Credential(consumer=consumer, number=0, generation="custom") for consumer in consumers)
    key = cast.key(region)
    for consumer in consumers:
        key.references.create(holder_kind="consumer", holder_id=consumer.pk, path="credentials[0]", inbound=True)
    first = markup(get(LIST))
    assert "c-049" in first
    assert "c-050" not in first
    import re

    [url] = re.findall(r'rel="next" href="([^"]+)"', first)
    second = markup(get(LIST + url.replace("&amp;", "&")))
    assert "c-050" in second
    assert "c-049" not in second
    assert 'rel="prev"' in second


def test_a_list_takes_the_same_queries_whatever_its_length(region: Region) -> None:
    client = cast.client("alice")
    cast.consumer(region)
    client.get(LIST)
    with CaptureQueriesContext(
        connection,
    ) as few:
        client.get(LIST)
    service = cast.service(cast.instance(region))
    for _ in range(8):
        service.authorize([cast.consumer(region, bound_to=cast.key(region)).name], by=cast.SETUP)
    with CaptureQueriesContext(connection) as many:
        client.get(LIST)
    assert len(many) == len(few)


def test_the_page_of_a_consumer_says_where_else_its_key_is_accepted_and_who_sends_it_upstream(region: Region) -> None:
    key = cast.key(region, "openai_prod")
    cast.consumer(region, "acme", bound_to=key)
    cast.consumer(region, "beta", sources=(Source("header", "x-api-key"),))
    service = cast.service(cast.instance(region, "east"), "chat", keys=[key])
    service.authorize(["acme", "beta"], by=cast.SETUP)
    said = text(get(f"{LIST}acme/"))
    assert "Also accepted as Header x-api-key by chat" in said
    assert "1 service sends this key upstream" in said
    assert "chat OpenAI-compatible east" in said


def test_both_versions_are_shown_while_an_overlap_lasts(region: Region) -> None:
    key = cast.key(region, "partner")
    cast.consumer(region, "acme", bound_to=key)
    key.rotate(cast.value(), 24, by=cast.SETUP)
    said = text(get(f"{LIST}acme/"))
    assert "Credential 1 v2" in said
    assert "v1 is still accepted, ends" in said
    KeyVersion.objects.filter(stage="previous").update(accepted_until=timezone.now())
    assert "v1" not in text(get(f"{LIST}acme/"))


def test_without_an_authorization_the_page_says_the_next_step(region: Region) -> None:
    cast.consumer(region, "acme")
    assert "Not authorized yet: its callers get 403" in text(get(f"{LIST}acme/"))


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("disabled", "The key is disabled"),
        ("unreadable", "cannot be opened"),
        ("duplicate", "presents the same value"),
        ("charset", "cannot travel in an HTTP header"),
    ],
)
def test_a_credential_that_is_not_served_says_why(region: Region, reason: str, said: str) -> None:
    consumer = cast.consumer(region, "acme")
    Problem.objects.create(region=region, holder_kind="consumer", holder_id=consumer.pk, path="credentials[0]", reason=reason)
    page = text(get(f"{LIST}acme/"))
    assert "Its callers are refused." in page
    assert said in page


def test_the_lines_to_try_hold_a_placeholder_and_the_place_of_the_credential(region: Region) -> None:
    gateway = cast.instance(region)
    Node.join(gateway, "local", "127.0.0.1", 18080, by=cast.SETUP)
    cast.consumer(region, "acme", sources=(Source("header", "x-api-key"),))
    cast.service(gateway, "chat").authorize(["acme"], by=cast.SETUP)
    page = get(f"{LIST}acme/").content.decode()
    assert "curl http://localhost:18080/ai/chat/chat/completions" in page
    assert "x-api-key: $LATCHKEY_API_KEY" in page


def test_the_page_looks_again_until_the_change_is_in_effect(region: Region) -> None:
    gateway = cast.instance(region)
    node, _token = Node.join(gateway, "local", "127.0.0.1", 8080, by=cast.SETUP)
    cast.consumer(region, "acme")
    assert "every 2s" not in markup(get(f"{LIST}acme/"))  # the control plane is not there: nothing is on its way
    ControlPlane.beat()
    assert "every 2s" in markup(get(f"{LIST}acme/"))
    Node.objects.filter(pk=node.pk).update(in_effect_seq=AuditHead.objects.get().seq)
    page = get(f"{LIST}acme/")
    assert "every 2s" not in markup(page)
    assert "In effect 1 node" in text(page)


def test_who_may_not_change_a_consumer_sees_why(region: Region) -> None:
    cast.consumer(region, "acme")
    page = markup(get(f"{LIST}acme/", "vera"))
    assert "Needs Operator" in page
    assert "/acme/delete/" not in page


def test_a_consumer_of_another_region_reads_like_one_that_never_was(region: Region) -> None:
    cast.consumer(Region.create("other", "Other", by=cast.SETUP), "acme")
    for action in ("", "edit/", "rotate/", "disable/", "enable/", "delete/"):
        foreign, absent = get(f"{LIST}acme/{action}", status=404), get(f"{LIST}nobody/{action}", status=404)
        assert text(foreign).replace("acme", "") == text(absent).replace("nobody", "")


def test_its_services_are_counted(region: Region) -> None:
    consumer, gateway = cast.consumer(region, "acme"), cast.instance(region)
    template = cast.service(gateway)
    services = [cast.service(gateway, f"s-{number:02d}") for number in range(3)]
    Authorization.objects.bulk_create(Authorization(service=service, consumer=consumer) for service in [template, *services])
    assert "AI services 4" in text(get(f"{LIST}acme/"))
