"""The Team page: who there is, what they hold and where; giving and taking, and that it counts at the very next request."""

import re
import uuid

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from console import factors
from secrets_app.access import OPERATOR, OWNER, VIEWER
from secrets_app.models import AuditEntry, Membership, Region, RoleGrant, Team, User
from tests import cast
from tests.unit.console.asking import get, markup, post, text


def test_people_stand_with_their_roles_and_places(region: Region) -> None:
    gateway = cast.instance(region, "Main")
    for name in cast.ROLES:
        cast.person(name)
    cast.somebody("rosa", OPERATOR, at=gateway.scope)
    team = cast.team("Platform", cast.somebody("tom"))
    RoleGrant.grant(team, VIEWER, region, by=cast.SETUP)
    cast.app_of("kim")
    page = text(get("/team/"))
    for words in (
        "Password and second factor",
        "Key manager All regions",
        "Operator Main in Local",
        "Viewer Local, by Platform",
        "No role yet",
        "Password",
        "Never",
    ):
        assert words in page
    assert "uv run manage.py create_user NAME" in page


def test_the_table_of_rights_is_for_everybody(region: Region) -> None:
    page = text(get("/team/roles/", "mallory"))
    for words in ("Key manager", "Held for: All regions or a region", "Rotate key.rotate", "A region", "An instance"):
        assert words in page
    assert "People" not in markup(get("/team/roles/", "mallory")).split('class="tabs"')[1].split("</nav>")[0]


def test_a_role_is_given_and_taken_back(region: Region) -> None:
    cast.person("mallory")
    gateway = cast.instance(region, "Main")
    for body, told in (
        ({"role": "viewer", "where": "everywhere"}, "mallory is Viewer now: All regions."),
        ({"role": "operator", "where": "region", "region": "local"}, "mallory is Operator now: Local."),
        ({"role": "owner", "where": "instance", "instance": gateway.ref}, "mallory is Owner now: Main in Local."),
    ):
        client = cast.client("alice")
        answer = client.post("/team/people/mallory/grant/", body)
        assert (answer.status_code, answer["Location"]) == (303, "/team/people/mallory/")
        assert told in client.get("/team/people/mallory/").content.decode()
    for grant in RoleGrant.objects.filter(user__username="mallory"):
        assert "mallory" in text(get(f"/team/grants/{grant.pk}/revoke/"))
        post(f"/team/grants/{grant.pk}/revoke/", {})
    assert "Without a role, nothing can be seen or changed." in text(get("/team/people/mallory/"))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "Choose a role."),
        ({"role": "viewer"}, "Choose where."),
        ({"role": "viewer", "where": "region"}, "Choose a region."),
        ({"role": "viewer", "where": "region", "region": "nowhere"}, "Choose one of those listed."),
        ({"role": "viewer", "where": "instance", "instance": "gw-neverwas"}, "Choose one of those listed."),
        ({"role": "root", "where": "everywhere"}, "Choose one of those listed."),
        ({"role": "key_manager", "where": "instance", "instance": "{ref}"}, "belong to regions, not to instances"),
        ({"role": "auditor", "where": "instance", "instance": "{ref}"}, "belong to regions, not to instances"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(region: Region, body: dict[str, str], said: str) -> None:
    cast.person("mallory")
    gateway = cast.instance(region, "Main")
    answer = post("/team/people/mallory/grant/", {name: value.format(ref=gateway.ref) for name, value in body.items()}, status=422)
    assert said in text(answer)
    assert not cast.person("mallory").role_grants.exists()


def test_what_is_held_already_and_ones_own_are_told(region: Region) -> None:
    body = {"role": "viewer", "where": "everywhere"}
    cast.person("vera")
    assert "held there already" in text(post("/team/people/vera/grant/", body, status=409))
    assert "Nobody changes their own roles" in text(post("/team/people/alice/grant/", body, status=403))
    page = get("/team/people/alice/")
    assert "This is you." in text(page)
    assert "Give role" not in text(page)


def test_an_owner_of_a_region_sees_and_gives_there_alone(region: Region) -> None:
    abroad = Region.create("abroad", "Abroad", by=cast.SETUP)
    foreign = cast.instance(abroad, "Foreign")
    rita = cast.somebody("rita", OWNER, at=region.scope)
    cast.somebody("vera", VIEWER, at=region.scope)
    cast.somebody("abe", VIEWER, at=abroad.scope)
    cast.team("Far", cast.somebody("fay"))
    client = Client()
    client.force_login(rita, settings.AUTHENTICATION_BACKENDS[0])
    cast.passed(client, 0)
    page = client.get("/team/").content.decode()
    assert "vera" in page
    assert "people/abe" not in page
    assert "create_user" not in page
    assert "Team" in page.split('aria-label="Main"')[1].split("</nav>")[0]
    form = client.get("/team/people/vera/grant/").content.decode()
    assert "Only an owner of all regions" in form
    assert "Foreign" not in form
    assert "Abroad" not in form
    for address in ("people/abe/", "people/fay/", "people/neverwas/", f"teams/{uuid.uuid4()}/"):
        assert client.get(f"/team/{address}").status_code == 404
    assert client.post("/team/people/vera/grant/", {"role": "operator", "where": "region", "region": "local"}).status_code == 303
    client.get("/team/")  # where the notice of the grant above is read
    never = client.post("/team/people/vera/grant/", {"role": "viewer", "where": "instance", "instance": "gw-neverwas1"})
    there = client.post("/team/people/vera/grant/", {"role": "viewer", "where": "instance", "instance": foreign.ref})
    assert (there.status_code, never.status_code) == (422, 422)
    assert plain(there.content) == plain(never.content)
    assert client.post("/team/people/vera/grant/", {"role": "viewer", "where": "everywhere"}).status_code == 422
    assert client.get("/team/people/vera/disable/").status_code == 403
    assert client.get("/team/teams/new/").status_code == 403
    grant = RoleGrant.objects.get(user__username="abe")
    gone = client.get(f"/team/grants/{grant.pk}/revoke/")
    assert gone.status_code == 404
    assert plain(gone.content).replace(f"grants/{grant.pk}/", "") == plain(client.get("/team/grants/999999/revoke/").content).replace(
        "grants/999999/", ""
    )


def plain(content: bytes) -> str:
    """Without what is new in each answer."""
    return re.sub(r"""(csrfmiddlewaretoken" value=|X-CSRFToken": |name="once" value=)"[\w-]+\"""", "", content.decode())


def test_a_name_that_grows_when_folded_is_stored_whole(region: Region) -> None:
    """PostgreSQL counts the letters of a column, and SQLite does not."""
    name = "ΐ" * 64
    post("/team/teams/new/", {"name": name, "description": "ΐ" * 200}, status=303)
    room = Team._meta.get_field("name_folded").max_length
    assert room
    assert len(Team.objects.get().name_folded) <= room
    assert "exists" in text(post("/team/teams/new/", {"name": name}, status=422))
    assert name in text(get(f"/team/teams/?q={name}"))


def test_teams_are_made_filled_and_deleted(region: Region) -> None:
    cast.person("mallory")
    answer = post("/team/teams/new/", {"name": "Platform", "description": "Runs the gateways"})
    team = Team.objects.get()
    assert answer["Location"] == f"/team/teams/{team.pk}/"
    base = f"/team/teams/{team.pk}/"
    assert "Add the first person" in text(get(base))
    assert "Nobody has this username" in text(post(f"{base}members/new/", {"username": "nobody"}, status=422))
    post(f"{base}members/new/", {"username": "MALLORY"})
    post(f"{base}grant/", {"role": "operator", "where": "region", "region": "local"})
    assert "Operator Local" in text(get("/team/teams/"))
    assert "By team Platform" in text(get("/team/people/mallory/"))
    assert "mallory is in this team already." in text(post(f"{base}members/new/", {"username": "mallory"}, status=409))
    assert "They hold what the team holds" in text(get(f"{base}members/new/"))
    assert "1 person loses what the team gives" in text(get(f"{base}delete/"))
    post(f"{base}members/mallory/remove/", {})
    assert get(f"{base}members/mallory/remove/", status=404)
    answer = post(f"{base}edit/", {"name": "Gateways", "lock_version": "9"}, status=409)
    assert "Platform: Runs the gateways" in text(answer)
    post(f"{base}edit/", {"name": "Gateways", "lock_version": "1"})
    assert "This is not the name" in text(post(f"{base}delete/", {"confirm": "Platform"}, status=422))
    post(f"{base}delete/", {"confirm": "Gateways"})
    assert "Create the first team" in text(get("/team/teams/"))


def test_a_person_is_disabled_enabled_and_deleted(region: Region) -> None:
    cast.person("kim")
    assert "Key manager All regions" in text(get("/team/people/kim/disable/"))
    post("/team/people/kim/disable/", {})
    assert "kim is disabled already." in text(post("/team/people/kim/disable/", {}, status=409))
    assert "kim" in text(get("/team/?show=disabled"))
    post("/team/people/kim/enable/", {})
    post("/team/people/kim/delete/", {"confirm": "kim"})
    assert not User.objects.filter(username="kim").exists()
    assert AuditEntry.objects.filter(target="kim", action="user.delete").exists()
    assert "Nobody is disabled" in text(get("/team/?show=disabled"))
    assert "Nobody matches" in text(get("/team/?q=nobody"))


def test_an_owner_sees_which_second_factors_somebody_has(region: Region) -> None:
    kim = cast.person("kim")
    assert "Second factor None" in text(get("/team/people/kim/"))
    cast.app_of("kim")
    assert "Second factor Authenticator app Last" in text(get("/team/people/kim/"))
    for name in ("blue", "green"):
        factors.Authenticator.objects.create(user=kim, type=factors.KEY, data={"name": name})
    page = text(get("/team/people/kim/"))
    assert "Second factor Authenticator app, 2 security keys" in page
    assert "blue" not in page


def test_the_last_owner_is_told_so(region: Region) -> None:
    """Somebody else, who owned everything a moment ago, is no longer there: the console's own processes may still ask."""
    ada = cast.somebody("ada", OWNER)
    cast.person("alice").disable(by=ada.as_actor())
    client = Client()
    client.force_login(ada, settings.AUTHENTICATION_BACKENDS[0])
    cast.passed(client, 0)
    rows = RoleGrant.objects.filter(user=ada)
    assert client.post(f"/team/grants/{rows.get().pk}/revoke/").status_code == 403
    assert rows.exists()


def test_a_role_taken_is_refused_at_the_next_request(region: Region) -> None:
    """With the session alive and the page open: menu and rights follow at once."""
    kim = cast.client("kim")
    assert kim.get("/local/keys/new/").status_code == 200
    RoleGrant.objects.get(user__username="kim").revoke(cast.everywhere(), by=cast.actor("alice"))
    assert kim.post("/local/keys/new/", {"name": "late", "generation": "system"}).status_code == 403
    assert kim.get("/local/keys/").status_code == 403
    RoleGrant.grant(cast.person("kim"), VIEWER, region, by=cast.actor("alice"))
    assert kim.get("/local/keys/").status_code == 200
    assert kim.get("/local/keys/new/").status_code == 403


def test_whoever_is_disabled_or_deleted_is_out_at_the_next_request(region: Region) -> None:
    kim, vera = cast.client("kim"), cast.client("vera")
    assert kim.get("/local/").status_code == 200
    cast.person("kim").disable(by=cast.actor("alice"))
    assert kim.get("/local/")["Location"].startswith("/sign-in/")
    assert vera.get("/local/").status_code == 200
    cast.person("vera").delete(by=cast.actor("alice"))
    assert vera.get("/local/")["Location"].startswith("/sign-in/")


def test_long_lists_have_pages_and_a_constant_number_of_queries(region: Region) -> None:
    client = cast.client("alice")

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert client.get("/team/").status_code == 200
        return len(asked)

    few = queries()
    team = cast.team("Many")
    RoleGrant.grant(team, VIEWER, region, by=cast.SETUP)
    people = User.objects.bulk_create(User(username=f"person-{number:03d}", password="!") for number in range(120))
    Membership.objects.bulk_create(Membership(team=team, user=user) for user in people)
    RoleGrant.objects.bulk_create(RoleGrant(user=user, role=VIEWER) for user in people)
    assert queries() <= few + 3
    page = client.get("/team/").content.decode()
    assert page.count('<tr id="user-') == 50
    after = re.search(r'rel="next" href="([^"]+)"', page)
    assert after
    assert "person-060" in client.get("/team/" + after[1].replace("&amp;", "&")).content.decode()
    assert client.get("/team/?q=person-11").content.decode().count('<tr id="user-') == 10


def test_the_same_form_twice_is_one_grant(region: Region) -> None:
    cast.person("mallory")
    body = {"role": "viewer", "where": "everywhere", "once": str(uuid.uuid4())}
    post("/team/people/mallory/grant/", body)
    post("/team/people/mallory/grant/", body)
    assert RoleGrant.objects.filter(user__username="mallory").count() == 1
    assert "This form was sent before" in text(post("/team/people/mallory/grant/", body | {"role": "owner"}, status=409))
