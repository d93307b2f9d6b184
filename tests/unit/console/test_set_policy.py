"""Where a key may go, on pages: in words, as a form, on the way to being created, and in the pickers."""

import uuid
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from gateway.models import Instance
from secrets_app.models import AuditEntry, Key, Region, RoleGrant, Team
from secrets_app.models.policy import CLOSED, OPEN, Policy, checked
from tests import cast
from tests.unit.console.asking import get, markup, post, text

KEYS = "/local/keys/"


@pytest.fixture
def east(region: Region) -> Instance:
    return cast.instance(region, "East")


@pytest.fixture
def key(region: Region) -> Key:
    return cast.key(region, "prod", policy=checked(kinds=["ai_service"], hosts=["api.example.com"], headers=["authorization"]))


def given(key: Key, **fields: Any) -> dict[str, Any]:
    key.refresh_from_db()
    bounded = {"reach": "bounded", "kinds": ["ai_service"], "hosts": "api.example.com", "headers": "", "lock_version": key.lock_version}
    return bounded | fields


def stored(key: Key) -> Policy:
    key.refresh_from_db()
    return key.policy


@pytest.mark.parametrize(("who", "status"), [("alice", 200), ("kim", 200), ("olive", 200), ("vera", 200), ("audrey", 403)])
def test_who_sees_keys_sees_where_they_may_go(key: Key, who: str, status: int) -> None:
    answer = get(f"{KEYS}prod/policy/", who, status=status)
    if status == 200:
        assert "May be sent to api.example.com, in authorization, by AI services of any instance." in text(answer)
        assert "Whoever may bind keys there." in text(answer)


@pytest.mark.parametrize(("who", "status"), [("alice", 200), ("kim", 200), ("olive", 403), ("vera", 403), ("audrey", 403)])
def test_who_may_set_a_policy(key: Key, who: str, status: int) -> None:
    get(f"{KEYS}prod/policy/edit/", who, status=status)
    post(f"{KEYS}prod/policy/edit/", given(key, headers="x-a"), who, status=303 if status == 200 else 403)
    assert (stored(key).headers == ("x-a",)) == (status == 200)


def test_a_policy_is_set_as_the_form_says(key: Key, east: Instance) -> None:
    team = cast.team("Platform")
    fields = {"kinds": ["ai_service", "consumer"], "hosts": "API.example.com\n*.example.org, http://10.0.0.7:8080", "headers": "X-Api-Key"}
    post(f"{KEYS}prod/policy/edit/", given(key, **fields, instances=[east.ref], teams=[str(team.pk)]), "kim")
    assert stored(key) == Policy(
        kinds=("consumer", "ai_service"),
        hosts=("api.example.com", "*.example.org", "http://10.0.0.7:8080"),
        headers=("x-api-key",),
        instances=(east.ref,),
        teams=(str(team.pk),),
    )
    page = text(get(f"{KEYS}prod/", "olive"))
    assert "in x-api-key, by AI services of East." in page
    assert "Consumers of the region may present it." in page
    assert "Members of Platform." in page
    form = markup(get(f"{KEYS}prod/policy/edit/", "kim"))
    assert f'value="{east.ref}" id="id_instances_0" checked' in form
    assert "*.example.org" in form


def test_a_region_names_the_teams_that_count_there_alone(key: Key, region: Region) -> None:
    """Who manages the keys of a region learns no team of another from the form, nor by guessing at it."""
    abroad = Region.create("abroad", "Abroad", by=cast.SETUP)
    gateway = cast.instance(region, "West")
    here, at_one, everywhere, there, bare = (cast.team(name) for name in ("Here", "At one", "Everywhere", "Elsewhere", "Bare"))
    for team, place in ((here, region), (at_one, gateway), (everywhere, cast.everywhere()), (there, abroad)):
        RoleGrant.grant(team, "viewer", place, by=cast.SETUP)
    browser = Client()
    browser.force_login(cast.somebody("keeper", "key_manager", at=region.scope), settings.AUTHENTICATION_BACKENDS[0])
    cast.passed(browser, 0)

    def offered() -> set[str]:
        page = browser.get(f"{KEYS}prod/policy/edit/").content.decode()
        return {name for name in ("Here", "At one", "Everywhere", "Elsewhere", "Bare") if name in page}

    assert offered() == {"Here", "At one", "Everywhere"}
    assert browser.post(f"{KEYS}prod/policy/edit/", given(key, teams=[str(there.pk)])).status_code == 422
    post(f"{KEYS}prod/policy/edit/", given(key, teams=[str(there.pk), str(bare.pk)]), "kim")  # of all regions
    assert offered() == {"Here", "At one", "Everywhere", "Elsewhere", "Bare"}
    assert browser.post(f"{KEYS}prod/policy/edit/", given(key, teams=[str(there.pk), str(here.pk)])).status_code == 303
    assert stored(key).teams == (str(there.pk), str(here.pk))
    assert "Bare" not in offered()


def test_to_open_a_key_takes_a_word_of_its_own(key: Key) -> None:
    answer = post(f"{KEYS}prod/policy/edit/", given(key, reach="open"), "kim", status=422)
    assert "Tick this to open the key to any destination." in text(answer)
    assert not stored(key).open
    post(f"{KEYS}prod/policy/edit/", given(key, reach="open", open_confirmed="on"), "kim")
    assert stored(key) == OPEN
    for page in (KEYS, f"{KEYS}prod/", f"{KEYS}prod/references/"):
        assert "Open to any destination" in text(get(page, "vera")), page
    assert AuditEntry.objects.filter(action="key.set_policy").latest("seq").facts["after"] == "any destination"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"kinds": []}, "Tick at least one."),
        ({"kinds": ["nonsense"]}, "Choose one of those listed."),
        ({"hosts": ""}, "Name at least one host"),
        ({"hosts": "*.com"}, "would take too much in"),
        ({"hosts": "https://user@api.example.com"}, "is no host"),
        ({"hosts": "plugin:nobody"}, "No custom plug-in is named “nobody”"),
        ({"headers": "a:b"}, "is no header name"),
        ({"instances": ["gw-elsewhere"]}, "Choose one of those listed."),
        ({"teams": ["nonsense"]}, "Choose one of those listed."),
        ({"reach": ""}, "Choose one of the three."),
        ({"reach": "x" * 9000}, "Choose one of those listed."),
    ],
)
def test_what_is_wrong_stands_at_its_field(key: Key, fields: dict[str, Any], says: str) -> None:
    before = stored(key)
    assert says in text(post(f"{KEYS}prod/policy/edit/", given(key, **fields), "kim", status=422))
    assert stored(key) == before


def test_a_custom_plug_in_by_its_name_is_its_script_of_now(key: Key, region: Region) -> None:
    cast.custom_plugin(region, "mine")
    post(f"{KEYS}prod/policy/edit/", given(key, kinds=["plugin"], hosts="plugin:mine"), "kim")
    assert stored(key).hosts[0].startswith("plugin:mine@")


def test_uses_that_would_be_shut_out_are_listed_and_nothing_is_saved(key: Key, east: Instance) -> None:
    cast.service(east, "chat", keys=[key])
    before = stored(key)
    answer = post(f"{KEYS}prod/policy/edit/", given(key, hosts="other.example"), "kim", status=409)
    assert "1 use of this key lies outside." in text(answer)
    assert f"/local/instances/{east.ref}/services/chat/" in markup(answer)
    assert "other.example" in markup(answer)
    assert stored(key) == before
    post(f"{KEYS}prod/policy/edit/", given(key, reach="nowhere"), "kim", status=409)


def test_an_editor_with_an_old_form_is_shown_what_is_stored(key: Key) -> None:
    old = given(key, hosts="mine.example")
    key.edit("new", lock_version=key.lock_version, by=cast.SETUP)
    answer = post(f"{KEYS}prod/policy/edit/", old, "kim", status=409)
    assert "AI services to api.example.com in authorization" in text(answer)
    assert f'name="lock_version" value="{old["lock_version"] + 1}"' in markup(answer)


def test_a_key_is_created_with_a_policy_or_without(region: Region) -> None:
    new = {"generation": "custom", "value": "some value of a supplier", "description": ""}
    post(f"{KEYS}new/", new | {"name": "closed"}, "kim")
    post(f"{KEYS}new/", new | {"name": "said", "reach": "bounded", "kinds": ["ai_service"], "hosts": "api.example.com"}, "kim")
    assert Key.objects.get(name="closed").policy == CLOSED
    assert Key.objects.get(name="said").policy.hosts == ("api.example.com",)
    answer = post(f"{KEYS}new/", new | {"name": "open", "reach": "open"}, "kim", status=422)
    assert "Tick this to open the key" in text(answer)
    assert '<details class="more" open>' in markup(answer)


def test_the_flow_of_the_first_owner_has_no_step_more(region: Region, east: Instance) -> None:
    """Create a key, refer to it: the policy follows, told before and in the audit log."""
    post(f"{KEYS}new/", {"generation": "custom", "value": "some value of a supplier", "name": "prod", "description": ""})
    assert "You may set policies: a key that you bind here may from then on be used by consumers." in text(get("/local/consumers/new/"))
    assert "You may set policies" not in text(get("/local/consumers/new/", "olive"))
    new = {"name": "acme", "generation": "reference", "key": "prod", "source_kind": "bearer", "state": "enabled", "description": ""}
    post("/local/consumers/new/", new, "olive", status=422)
    post("/local/consumers/new/", new)
    assert stored(Key.objects.get(name="prod")) == Policy(kinds=("consumer",))
    assert AuditEntry.objects.filter(action="consumer.create").latest("seq").facts["policy"] == ["prod: consumers"]


def offered(query: str, who: str) -> str:
    return text(get(f"{KEYS}options/?{query}", who))


def test_keys_that_a_policy_withholds_stand_in_pickers_with_the_reason(region: Region, key: Key) -> None:
    cast.key(region, "prod_closed", policy=CLOSED)
    cast.key(region, "prod_team", policy=Policy(open=True, teams=(str(cast.team("Platform").pk),)))
    said = offered("q=prod&for=consumer", "olive")
    assert "May go nowhere yet: an owner or a key manager binds it first" in said
    assert "Only members of certain teams may bind it" in said
    assert "Its policy does not allow this use" in said
    assert "Its policy" not in offered("q=prod&for=outbound", "olive")
    assert "nowhere yet" not in offered("q=prod&for=consumer", "alice")
    assert "prod_closed" not in offered("q=&for=outbound", "olive")
    assert "prod_team" in offered("q=&for=outbound", "alice")


def test_a_member_of_the_team_is_offered_the_key(region: Region) -> None:
    team: Team = cast.team("Platform")
    cast.key(region, "prod_team", policy=Policy(open=True, teams=(str(team.pk),)))
    assert "prod_team" not in offered("q=&for=outbound", "olive")
    team.add_member(cast.person("olive"), by=cast.actor("alice"))
    assert "prod_team" in offered("q=&for=outbound", "olive")


def test_a_browser_left_open_sends_a_key_nowhere_new(region: Region) -> None:
    """What the policy allows goes on; what would widen it asks who sits there."""
    east = cast.instance(region, "east")
    cast.service(east, "chat", keys=[Key.create(region, "prod", cast.value(), by=cast.SETUP)])
    policy = Key.objects.get(name="prod").policy
    fields = {"supplier": "custom", "protocol": "OpenAI/v1", "generation": "reference", "key_0": "prod", "lock_version": "1"}
    url = f"/local/instances/{east.ref}/services/chat/edit/"
    stale = cast.passed(cast.client("alice"), 1200)
    answer = stale.post(url, fields | {"address": "https://evil.example.net/v1", "once": str(uuid.uuid4())})
    assert answer.status_code == 422
    assert "/account/confirm/" in answer.content.decode()
    assert Key.objects.get(name="prod").policy == policy
    assert stale.post(url, fields | {"address": "https://api.example.com/v2", "once": str(uuid.uuid4())}).status_code == 303
