"""From one region to another: the page stays, and what the other region does not have is dropped and said."""

import pytest

from gateway.models import Instance
from secrets_app.models import Region
from tests import cast
from tests.unit.console.asking import get, markup


@pytest.fixture
def local(db: None) -> Region:
    return cast.deployment()


@pytest.fixture
def west(local: Region) -> Region:
    """Has a key and a consumer that "local" has as well."""
    west = Region.create("eu-west", "Europe West", by=cast.SETUP)
    for region in (local, west):
        cast.key(region, "shared")
        cast.consumer(region, "acme")
    return west


@pytest.mark.parametrize(
    ("page", "to"),
    [
        ("keys/shared/", "keys/shared/"),
        ("keys/shared/rotate/", "keys/shared/rotate/"),
        ("keys/only_here/", "keys/"),
        ("consumers/acme/edit/", "consumers/acme/edit/"),
        ("consumers/acme/credentials/0/rotate/", "consumers/acme/"),
        ("consumers/nobody/", "consumers/"),
        ("plugins/nothing/", "plugins/"),
        ("instances/gw-elsewhere/", "instances/"),
        ("instances/gw-elsewhere/mcp/tools/", "instances/"),
        ("keys/", ""),
        ("no/such/page/", ""),
        ("switch/keys/shared/", ""),
        ("../../sign-out/", ""),
        ("//evil.example/", ""),
    ],
)
def test_the_page_is_kept_or_the_list_that_would_hold_it(west: Region, page: str, to: str) -> None:
    assert get(f"/eu-west/switch/{page}", status=303).headers["Location"] == f"/eu-west/{to}"


def test_an_instance_of_the_region_itself_is_there(west: Region) -> None:
    east = cast.instance(west)
    assert get(f"/eu-west/switch/instances/{east.ref}/nodes/", status=303).headers["Location"] == f"/eu-west/instances/{east.ref}/nodes/"


def test_what_was_dropped_is_said_once(local: Region, west: Region) -> None:
    cast.key(local, "only_here")
    client = cast.client("vera")
    page = client.get(client.get("/eu-west/switch/keys/only_here/").headers["Location"])
    assert "Europe West has no key named only_here." in page.content.decode()
    assert "only_here" not in client.get("/eu-west/keys/").content.decode()


def test_only_a_page_about_something_goes_by_way_of_the_switch(local: Region, west: Region) -> None:
    chat = cast.service(cast.instance(local), "chat")
    assert 'href="/eu-west/consumers/?show=enabled"' in markup(get("/local/consumers/?show=enabled&after=x"))
    assert 'href="/eu-west/switch/keys/shared/"' in markup(get("/local/keys/shared/"))
    assert f'href="/eu-west/switch/instances/{chat.instance.ref}/services/chat/"' in markup(
        get(f"/local/instances/{chat.instance.ref}/services/chat/")
    )
    assert 'href="/eu-west/"' in markup(get("/audit/"))


def test_keys_and_consumers_are_a_regions_and_services_an_instances(local: Region, west: Region) -> None:
    cast.key(local, "only_here")
    cast.service(cast.instance(local, "here"), "chat")
    for page in ("keys/", "consumers/", "instances/"):
        shown = markup(get(f"/eu-west/{page}"))
        assert "only_here" not in shown
        assert Instance.objects.get(name="here").ref not in shown


def test_the_overview_stands_first_in_the_navigation_and_is_current_alone(west: Region) -> None:
    assert '<a class="nav-link" href="/eu-west/" aria-current="page">' in markup(get("/eu-west/"))
    assert '<a class="nav-link" href="/eu-west/">' in markup(get("/eu-west/keys/"))
