"""What a consumer may call, from its own side: a tab a kind of service, choosing services of an instance, and taking one back."""

import re
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext

from gateway.models import Consumer, Instance, Service
from secrets_app.models import AuditEntry, Region
from tests import cast
from tests.unit.console.asking import get, markup, post, text

HERE = "/local/consumers/acme/"


@pytest.fixture
def region(db: None) -> Region:
    return cast.deployment()


@pytest.fixture
def east(region: Region) -> Instance:
    """With two services of each kind; "acme" may call none of them."""
    east = cast.instance(region, "east")
    cast.consumer(region, "acme")
    for number in ("one", "two"):
        cast.service(east, f"model-{number}")
        cast.agent(east, f"agent-{number}")
        cast.mcp(east, f"tools-{number}")
    return east


def granted() -> list[str]:
    return sorted(Service.objects.filter(authorizations__consumer__name="acme").values_list("name", flat=True))


def grant(*names: str) -> None:
    for service in Service.objects.filter(name__in=names):
        service.authorize(["acme"], by=cast.SETUP)


def done() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.filter(action__contains="authorize").order_by("seq").values_list("action", "target", "outcome"))


def listed(page: HttpResponse) -> str:
    """What the card says, without the call below it."""
    return text(page).partition(" Consumer Authorization ")[2].partition(" Try it ")[0]


# The page


def test_a_tab_a_kind_says_how_many_and_the_first_with_any_is_shown(east: Instance) -> None:
    page = get(HERE)
    assert "AI services 0 Agent services 0 MCP services 0" in text(page)
    assert "Not authorized yet: its callers get 403" in text(page)
    grant("agent-one", "agent-two", "tools-one")
    page = get(HERE)
    assert "AI services 0 Agent services 2 MCP services 1" in text(page)
    assert '<a href="?show=agent#authorization" aria-current="true">' in markup(page)
    assert "agent-two" in text(page)
    assert "tools-one" not in listed(page)
    page = get(f"{HERE}?show=mcp")
    assert f'href="/local/instances/{east.ref}/mcp/tools-one/"' in markup(page)
    assert f'href="/local/instances/{east.ref}/mcp/tools-one/revoke/acme/?from=consumer"' in markup(page)
    assert "Authorized on none of this sort" in text(get(f"{HERE}?show=ai"))


def test_mcp_services_count_and_can_be_tried(east: Instance) -> None:
    grant("tools-one")
    page = text(get(HERE))
    assert "Authorized on 1 service" in page
    assert "/mcp-servers/tools-one/mcp" in page
    grant("model-one")
    assert "/ai/model-one/chat/completions" in text(get(HERE))
    assert "/mcp-servers/tools-one/mcp" in text(get(f"{HERE}?show=mcp"))  # as the tab says
    assert "/ai/model-one/chat/completions" in text(get(f"{HERE}?show=agent"))  # of a model, where there is none of the tab


def test_the_rows_are_narrowed_to_an_instance_and_searched(region: Region, east: Instance) -> None:
    west = cast.instance(region, "west")
    cast.service(west, "model-west")
    grant("model-one", "model-two", "model-west")
    assert ">Every instance</option>" in markup(get(HERE))
    page = listed(get(f"{HERE}?show=ai&instance={west.ref}"))
    assert "model-west" in page
    assert "model-one" not in page
    page = listed(get(f"{HERE}?q=TWO"))
    assert "model-two" in page
    assert "model-one" not in page
    page = get(f"{HERE}?show=mcp&instance={west.ref}")
    assert "Nothing matches" in text(page)
    assert 'href="?show=mcp#authorization"' in markup(page)
    assert f'href="{HERE}authorize/ai/?instance={west.ref}"' in markup(get(f"{HERE}?show=ai&instance={west.ref}"))


def test_a_long_list_comes_in_pages_and_asks_no_more_queries(east: Instance) -> None:
    grant("model-one")
    few = queries(HERE)
    for number in range(60):
        cast.service(east, f"batch-{number:02d}").authorize(["acme"], by=cast.SETUP)
    assert queries(HERE) == few
    page = get(HERE)
    assert "50 services on this page" in text(page)
    assert "batch-00" in text(page)
    assert "model-one" not in listed(page)


def queries(path: str) -> int:
    client = cast.client("alice")
    client.get(path)
    with CaptureQueriesContext(connection) as asked:
        client.get(path)
    return len(asked)


def test_who_may_not_authorize_sees_why(east: Instance) -> None:
    grant("model-one")
    page = get(HERE, "vera")
    assert listed(page).startswith("Authorize Needs Operator")
    assert "/revoke/acme/" not in markup(page)
    get(f"{HERE}authorize/ai/", "vera", status=403)
    get(f"{HERE}authorize/mcp/", "vera", status=403)


# Authorizing


def test_services_are_chosen_by_ticking_or_typing(east: Instance) -> None:
    page = markup(get(f"{HERE}authorize/ai/"))
    assert 'name="services" value="model-one"' in page
    assert "agent-one" not in page
    to = post(f"{HERE}authorize/ai/", {"instance": east.ref, "services": ["model-one"]}, "olive").headers["Location"]
    assert to == f"{HERE}?show=ai#authorization"
    assert 'value="model-one"' not in markup(get(f"{HERE}authorize/ai/"))
    post(f"{HERE}authorize/agent/", {"instance": east.ref, "q": " agent-one, agent-two "}, "olive")
    post(f"{HERE}authorize/mcp/", {"instance": east.ref, "services": ["tools-one", "tools-two"]}, "olive")
    assert granted() == ["agent-one", "agent-two", "model-one", "tools-one", "tools-two"]
    assert done() == [
        ("service.authorize", "model-one", "ok"),
        ("service.authorize", "agent-one", "ok"),
        ("service.authorize", "agent-two", "ok"),
        ("mcp.authorize", "tools-one", "ok"),
        ("mcp.authorize", "tools-two", "ok"),
    ]
    assert "on all of them on east" in text(get(f"{HERE}authorize/mcp/"))


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        ({}, 422, "Choose at least one service"),
        ({"services": ["agent-one"]}, 422, "No service of this sort is named “agent-one” on this instance"),
        ({"services": ["model-one", "model-west"]}, 422, "No service of this sort is named “model-west” on this instance"),
        ({"services": ["model-one", "model-two"]}, 409, "acme is authorized on model-two already"),
        ({"services": ["model-one"], "instance": "gw-nowhere"}, 422, "Choose one of those listed"),
        ({"services": [f"s{n}" for n in range(201)]}, 422, "at most 200 at once"),
    ],
)
def test_what_cannot_be_granted_is_said_and_nothing_is_done(east: Instance, data: dict[str, Any], status: int, said: str) -> None:
    cast.service(cast.instance(east.region, "west"), "model-west")
    grant("model-two")
    page = post(f"{HERE}authorize/ai/", {"instance": east.ref} | data, status=status)
    assert said in text(page)
    assert granted() == ["model-two"]


def test_granting_again_is_refused_from_both_sides_in_the_same_words_and_told(east: Instance) -> None:
    grant("model-one")
    for path, data in (
        (f"{HERE}authorize/ai/", {"instance": east.ref, "services": "model-one"}),
        (f"/local/instances/{east.ref}/services/model-one/authorize/", {"consumers": "acme"}),
    ):
        assert "acme is authorized on model-one already." in text(post(path, data, status=409))
    assert done()[-1] == ("service.authorize", "model-one", "refused")


def test_boxes_of_another_instance_do_not_count(region: Region, east: Instance) -> None:
    """Both have a "model-one", and what was ticked was the other."""
    west = cast.instance(region, "west")
    cast.service(west, "model-one")
    data = {"instance": west.ref, "shown": east.ref, "services": "model-one"}
    assert "Choose at least one service" in text(post(f"{HERE}authorize/ai/", data, status=422))
    searched = markup(post(f"{HERE}authorize/ai/", data | {"search": "1"}, status=200))
    assert re.search(r'name="services" value="model-one">', searched)
    assert f'name="shown" value="{west.ref}"' in searched
    assert granted() == []


def test_searching_keeps_what_was_ticked_and_changes_nothing(east: Instance) -> None:
    data = {"instance": east.ref, "q": "two", "services": "model-one", "search": "1"}
    page = markup(post(f"{HERE}authorize/ai/", data, status=200))
    assert 'value="model-one" checked' in page
    assert re.search(r'value="model-two">', page)
    assert granted() == []
    assert "No other service matches." in text(post(f"{HERE}authorize/ai/", data | {"q": "zzz"}, status=200))


def test_what_would_have_no_effect_is_said_where_one_chooses_on_either_side(region: Region, east: Instance) -> None:
    cast.bearer(region, "tokens")
    Service.objects.get(name="model-two").require_authentication("jwt", by=cast.SETUP)
    for name, method in (("acme", "JWT"), ("tokens", "API keys")):
        assert text(get(f"/local/consumers/{name}/authorize/ai/")).count(f"Has no effect: this service asks for {method}.") == 1
    for name, method in (("model-one", "API keys"), ("model-two", "JWT")):
        panel = text(get(f"/local/instances/{east.ref}/services/{name}/authorize/"))
        assert panel.count(f"Has no effect: this service asks for {method}.") == 1


def test_without_an_instance_there_is_nothing_to_choose(region: Region) -> None:
    cast.consumer(region, "acme")
    page = get(f"{HERE}authorize/ai/")
    assert "No instance yet" in text(page)
    assert 'href="/local/instances/"' in markup(page)
    post(f"{HERE}authorize/ai/", {"services": "chat"}, status=422)


def test_an_instance_of_another_region_is_none_of_those_listed(region: Region, east: Instance) -> None:
    other = cast.instance(Region.create("other", "Other", by=cast.SETUP), "elsewhere")
    cast.service(other, "model-one")
    post(f"{HERE}authorize/ai/", {"instance": other.ref, "services": "model-one"}, status=422)
    assert f'value="{other.ref}"' not in markup(get(f"{HERE}authorize/ai/?instance={other.ref}"))


# Taking it back


def test_revoking_from_the_consumers_side_leads_back_to_its_tab(east: Instance) -> None:
    grant("model-one", "tools-one")
    for kind, path in (("mcp", "mcp/tools-one"), ("ai", "services/model-one")):
        revoke = f"/local/instances/{east.ref}/{path}/revoke/acme/?from=consumer"
        back = f"{HERE}?show={kind}#authorization"
        assert f'href="{back}"' in markup(get(revoke))
        assert post(revoke, {}, "olive").headers["Location"] == back
    assert Consumer.objects.get().authorizations.count() == 0
    assert "acme is not authorized on model-one." in text(post(revoke, {}, status=409))
