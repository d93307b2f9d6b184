"""Settings: regions and storage. For owners."""

import re
import uuid

import pytest
from django.conf import settings
from django.db import connection

from secrets_app.models import AuditEntry, Region
from tests import cast

HTMX = {"HX-Request": "true", "HX-Target": "panel"}


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("kim", 403), ("olive", 403), ("vera", 403), ("audrey", 403), ("mallory", 403)]
)
def test_settings_are_for_owners(region: Region, who: str, status: int) -> None:
    for address in ("/settings/", "/settings/regions/new/"):
        assert cast.client(who).get(address).status_code == status
    assert cast.client(who).post("/settings/regions/new/", {"name": "eu", "title": "Europe"}).status_code == (303 if status == 200 else 403)


def test_storage_is_shown_and_no_secret(region: Region) -> None:
    for name in cast.ROLES:
        cast.person(name)
    cast.key(region, text="a-value-that-must-not-show")
    page = cast.client("alice").get("/settings/").content.decode()
    for words in ("Seals new values", "1 value", connection.display_name):
        assert words in page
    private = (settings.DATA_DIR / "kms" / "private.json").read_text()
    for secret in ("a-value-that-must-not-show", cast.person("kim").password, *re.findall(r'"private": "([^"]+)"', private)):
        assert secret not in page


def test_a_missing_keyring_is_said(region: Region) -> None:
    public = settings.DATA_DIR / "kms" / "public.json"
    aside = public.rename(public.with_suffix(".aside"))
    try:
        page = cast.client("alice").get("/settings/").content.decode()
    finally:
        aside.rename(public)
    assert "No new value can be stored" in page
    assert "public.json" in page


def test_an_owner_creates_a_region_and_lands_in_it(region: Region) -> None:
    answer = cast.client("alice").post("/settings/regions/new/", {"name": "cn-east-1", "title": "China East 1"})
    assert (answer.status_code, answer["Location"]) == (303, "/cn-east-1/")
    entry = AuditEntry.objects.latest("seq")
    assert (entry.action, entry.actor, entry.target, entry.facts) == ("region.create", "alice", "cn-east-1", {"title": "China East 1"})
    answer = cast.client("alice").post("/settings/regions/new/", {"name": "cn-east-2", "title": "Two"}, headers=HTMX)
    assert (answer.status_code, '"/cn-east-2/"' in answer["HX-Location"]) == (204, True)


@pytest.mark.parametrize(
    "name", ["audit", "settings", "static", "healthz", "sign-in", "Local", "l", "1st", "a" * 33, "new/", "", "a b", "ünï", "local"]
)
def test_a_wrong_region_id_is_said_at_its_field_and_the_rest_is_kept(region: Region, name: str) -> None:
    answer = cast.client("alice").post("/settings/regions/new/", {"name": name, "title": "Kept as typed"})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "There is a problem" in page
    assert 'value="Kept as typed"' in page
    assert 'aria-invalid="true"' in page
    assert Region.objects.count() == 1


def test_an_empty_form_says_of_each_field_what_is_missing(region: Region) -> None:
    page = cast.client("alice").post("/settings/regions/new/", {"name": "", "title": ""}).content.decode()
    assert page.count("Enter a name for the region.") == 2  # in the summary and at the field
    assert page.count("Enter an ID for the region.") == 2


def test_the_same_post_twice_makes_one_region(region: Region) -> None:
    post = {"name": "eu", "title": "Europe", "once": str(uuid.uuid4())}
    first, second = (cast.client("alice").post("/settings/regions/new/", post) for _ in range(2))
    assert (first["Location"], second["Location"]) == ("/eu/", "/eu/")
    assert Region.objects.filter(name="eu").count() == 1


def test_the_panel_is_a_part_of_its_page(region: Region) -> None:
    part = cast.client("alice").get("/settings/regions/new/", headers=HTMX).content.decode()
    assert "<html" not in part
    assert "Create region" in part
