"""A key's page: holders, graph, versions, activity, what is wrong, and looking again while a change is on its way."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.facts.picture import MOST_INSTANCES
from gateway.models import ControlPlane, Node, Problem
from secrets_app.models import AuditHead, Key, KeyVersion, Region
from tests import cast
from tests.unit.console.asking import CANARY, assert_silent, get, markup, text

ONE = "/local/keys/one/"


@pytest.fixture
def key(region: Region) -> Key:
    return cast.key(region, "one", CANARY, description="What <i>it</i> is for")


def node(region: Region, *, behind: int = 0) -> None:
    """One node of a new instance, which has acknowledged all but the last `behind` entries."""
    gateway = cast.instance(region)
    found, _token = Node.join(gateway, "node", "127.0.0.1", 9000, by=cast.SETUP)
    Node.objects.filter(pk=found.pk).update(connected=True, in_effect_seq=AuditHead.objects.get().seq - behind)


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("kim", 200), ("olive", 200), ("vera", 200), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_open_a_key(key: Key, who: str, status: int) -> None:
    get(ONE, who, status=status)


def test_foreign_absent_and_inline_keys_look_alike(region: Region) -> None:
    cast.key(Region.create("eu", "Europe", by=cast.SETUP), "there")
    inline = cast.consumer(region).credentials.get().reference.key
    pages = [text(get(f"/local/keys/{name}/", status=404)) for name in ("there", "nowhere", inline.pk.hex)]
    assert len(set(pages)) == 1


def test_a_name_is_found_whatever_its_case(key: Key) -> None:
    assert "<title>one ·" in markup(get("/local/keys/ONE/"))


def test_a_key_that_nothing_refers_to_says_what_to_do_with_it(key: Key) -> None:
    page = get(ONE)
    assert_silent(page, CANARY)
    assert "Nothing refers to this key yet" in text(page)
    assert "Not in use" in text(page)
    assert "What &lt;i&gt;it&lt;/i&gt; is for" in markup(page)
    assert "kim" not in text(page)


def test_holders_say_where_the_key_is_used(region: Region) -> None:
    key, east = cast.key(region, "one"), cast.instance(region, "prod-east")
    service = cast.service(east, "chat", keys=[cast.key(region), key])
    cast.consumer(region, "acme", bound_to=key)
    page = text(get(ONE, "vera"))
    assert f"chat Large Model Configuration › API Key 2 prod-east {east.ref}" in page
    assert "acme Authentication method › Bind Key Every instance" in page
    assert "2 holders" in page
    service.delete(by=cast.SETUP)
    assert "chat" not in text(get(ONE)).split("Activity")[0]


def test_a_key_of_both_directions_is_warned_of(region: Region) -> None:
    key = cast.key(region, "one")
    cast.service(cast.instance(region), keys=[key])
    assert "a caller holds it" not in text(get(ONE))
    cast.consumer(region, bound_to=key)
    assert "1 service sends this key upstream, and a caller holds it." in text(get(ONE))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("line\nend, and long enough", "This value cannot travel in an HTTP header."),
        ("short", "This value is shorter than 16 characters."),
    ],
)
def test_what_a_value_cannot_do_is_said(region: Region, value: str, says: str) -> None:
    cast.key(region, "one", value)
    assert says in text(get(ONE))


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("unreadable", "The stored value cannot be opened"),
        ("duplicate", "Another caller presents the same value"),
        ("charset", "The value cannot travel in a header"),
    ],
)
def test_a_holder_that_is_not_served_says_why(region: Region, reason: str, says: str) -> None:
    key = cast.key(region, "one")
    consumer = cast.consumer(region, "acme", bound_to=key)
    Problem.rewrite(region.pk, [("consumer", consumer.pk, "credentials[0]", reason)])
    page = text(get(ONE))
    assert "1 holder is not served with this key." in page
    assert f"Not served {says}" in page


def test_the_problems_of_other_keys_are_theirs(region: Region, key: Key) -> None:
    cast.consumer(region, "acme", bound_to=cast.key(region, "other"))
    service = cast.service(cast.instance(region), keys=[cast.key(region)])
    Problem.rewrite(region.pk, [("ai_service", service.pk, "api_keys[0]", "charset")])
    assert "not served" not in text(get(ONE))
    assert "not served" not in text(get("/local/keys/other/"))


def test_a_disabled_key_is_nowhere_called_in_effect_and_can_be_enabled_from_its_page(region: Region, key: Key) -> None:
    cast.service(cast.instance(region), "chat", keys=[key])
    ControlPlane.beat()
    key.disable(by=cast.SETUP)
    node(region)
    page = get(ONE, "kim")
    assert "Not served: disabled" in text(page)
    assert "In effect on" not in text(page)
    assert f'href="{ONE}enable/">Enable it' in markup(page)
    assert "Enable it" not in text(get(ONE, "vera"))
    assert "Not served" in text(get("/local/keys/"))


def test_a_key_that_was_just_enabled_is_on_its_way_and_no_trouble(region: Region, key: Key) -> None:
    """The control plane takes its word about the disabled key back only with the next publication."""
    service = cast.service(cast.instance(region), "chat", keys=[key])
    Problem.rewrite(region.pk, [("ai_service", service.pk, "api_keys[0]", "disabled")])
    assert "not served" not in text(get(ONE))


def test_a_disabled_key_says_so_at_once(region: Region) -> None:
    key = cast.key(region, "one")
    cast.service(cast.instance(region), keys=[key])
    key.disable(by=cast.SETUP)
    page = text(get(ONE))
    assert "This key is disabled. The 1 holder that refers to it is not served" in page
    assert "Not served The key is disabled" in page
    assert "/one/enable/" in markup(get(ONE))
    assert "/one/disable/" not in markup(get(ONE))


def test_versions_stand_newest_first_with_their_overlap(region: Region) -> None:
    key = cast.key(region, "one")
    cast.consumer(region, bound_to=key)
    key.rotate(cast.value(), 24, by=cast.actor("kim"))
    key.rotate(cast.value(), 1, by=cast.actor("kim"))
    page = text(get(ONE))
    assert re.search(
        r"v3 Current just now by kim v2 Previous .* Still accepted, ends in 1 hour Make v2 current again v1 Retired .* Ended just now", page
    )
    KeyVersion.objects.filter(stage="previous").update(accepted_until=timezone.now() - timedelta(minutes=5))
    assert re.search(r"v2 Retired .* Ended 5 minutes ago", text(get(ONE)))


def test_older_versions_are_one_click_away(region: Region, key: Key) -> None:
    for _ in range(8):
        key.rotate(cast.value(), by=cast.SETUP)
    assert "Show all 9 versions" in text(get(ONE))
    assert "v1 Retired" not in text(get(ONE))
    assert "v1 Retired" in text(get(ONE + "?versions=all"))


def test_activity_comes_from_the_audit_log(key: Key) -> None:
    key.rotate(cast.value(), by=cast.actor("kim"))
    for who, linked in (("vera", False), ("alice", True)):
        page = get(ONE, who)
        assert "kim rotated key one v2" in text(page)
        assert (f"/audit/?about=key:{key.pk}" in markup(page)) == linked


def test_the_page_looks_again_while_a_change_is_on_its_way(region: Region) -> None:
    key = cast.key(region, "one")
    cast.consumer(region, bound_to=key)
    ControlPlane.beat()
    node(region, behind=3)
    assert 'hx-trigger="every 2s"' in markup(get(ONE))
    assert 'hx-trigger="every 2s"' in markup(get(ONE, part="key-facts"))
    Node.objects.update(in_effect_seq=AuditHead.objects.get().seq)
    there = get(ONE, part="key-facts", status=286)
    assert "every 2s" not in markup(there)
    assert "In effect on 1 of 1 node" in text(there)
    assert "<h1" not in markup(there)


@pytest.mark.parametrize("why", ["not in use", "no node", "control plane down", "refused"])
def test_nothing_is_asked_again_where_nothing_can_change_soon(region: Region, why: str) -> None:
    key = cast.key(region, "one")
    if why != "not in use":
        cast.consumer(region, bound_to=key)
    if why != "no node":
        node(region, behind=9)
    if why != "control plane down":
        ControlPlane.beat()
    if why == "refused":
        Node.objects.update(in_effect_seq=0, refused_seq=AuditHead.objects.get().seq)
    page = get(ONE)
    assert "every 2s" not in markup(page)
    if why == "control plane down":
        assert "Not delivered yet" in text(page)
    if why == "refused":
        assert "Refused by 1 node" in text(page)


def test_a_page_costs_the_same_however_many_holders_there_are(region: Region, key: Key) -> None:
    gateway, client = cast.instance(region), cast.client("alice")
    key = cast.key(region, "many")

    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert client.get("/local/keys/many/").status_code == 200
        return len(asked)

    cast.service(gateway, keys=[key])
    cost()
    once = cost()
    cast.service(gateway, keys=[key])
    assert cost() == once
    for _ in range(20):
        cast.service(gateway, keys=[key])
    assert (grouped := cost()) <= once
    for _ in range(20):
        cast.service(cast.instance(region), keys=[key])
    assert cost() == grouped


def test_a_kind_of_many_holders_is_one_box_of_the_graph(region: Region) -> None:
    key, gateway = cast.key(region, "one"), cast.instance(region, "prod-east")
    for number in range(41):
        cast.service(gateway, f"chat-{number:02d}", keys=[key])
    page = get(ONE)
    assert 'aria-label="41 AI services, prod-east"' in markup(page)
    assert "Show all 41" in text(page)
    assert markup(page).count('class="node ') == 3


def test_a_key_that_only_a_rule_refers_to_has_its_picture(region: Region) -> None:
    key = cast.key(region, "edge")
    cast.rule(cast.plugin(cast.instance(region, "gateway")), cast.key_auth(key))
    assert "key-auth" in text(get("/local/keys/edge/"))


def test_a_few_holders_on_more_instances_than_are_drawn(region: Region) -> None:
    key = cast.key(region, "everywhere")
    for number in range(MOST_INSTANCES + 2):
        cast.service(cast.instance(region, f"gateway-{number}"), keys=[key])
    assert "other instances" in text(get("/local/keys/everywhere/"))
