"""How a view answers whole, in part and after a deed; and what stands around a page."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.test import RequestFactory
from django_htmx.middleware import HtmxDetails

from console import pages, stylesheet
from gateway.models import ControlPlane, Node
from gateway.models.node import Publication
from secrets_app.models import Region
from tests import cast


def asked(path: str = "/", *, name: str = "", region: Region | None = None, **headers: str) -> HttpRequest:
    request = RequestFactory().get(path, headers=headers)  # type: ignore[arg-type]
    request.session = {}  # type: ignore[assignment]
    request.user = cast.person(name) if name else AnonymousUser()
    request.htmx = HtmxDetails(request)  # type: ignore[attr-defined]
    request.actor = cast.actor(name) if name else None  # type: ignore[attr-defined]
    request.region = region  # type: ignore[attr-defined]
    return request


def around(name: str, path: str = "/", region: Region | None = None) -> pages.Surroundings:
    return pages.Surroundings(asked(path, name=name, region=region))


@pytest.mark.parametrize(
    ("headers", "part"),
    [
        ({}, False),
        ({"HX-Request": "true", "HX-Target": "panel"}, True),
        ({"HX-Request": "true"}, False),  # a followed redirect fills the whole body
        ({"HX-Request": "true", "HX-Target": "panel", "HX-History-Restore-Request": "true"}, False),
    ],
)
def test_htmx_gets_the_part_and_everybody_else_the_page(headers: dict[str, str], part: bool) -> None:
    response = pages.page(asked(**headers), "errors/404.html", status=404)
    assert (b"<html" not in response.content) is part
    assert {"HX-Request", "HX-Target"} <= set(response["Vary"].split(", "))
    assert response.status_code == 404


def test_the_title_of_a_failed_page_says_so_first() -> None:
    assert b"<title>Error: There is nothing here" in pages.page(asked(), "errors/404.html", status=404).content


def test_after_a_deed_a_browser_is_sent_on() -> None:
    response = pages.see_other(asked(), "/local/keys/", notice="Key created.")
    assert (response.status_code, response["Location"]) == (303, "/local/keys/")


def test_after_a_deed_htmx_replaces_the_form_in_the_history() -> None:
    response = pages.see_other(asked(**{"HX-Request": "true", "HX-Target": "sheet"}), "/local/keys/")
    assert response.status_code == 204
    assert json.loads(response["HX-Location"]) == {"path": "/local/keys/", "push": "false", "replace": "true"}


def test_a_notice_is_told_once() -> None:
    request = asked()
    pages.see_other(request, "/", notice="Key created.")
    assert pages.Surroundings(request).notice == pages.Notice("Key created.", "ok")
    assert pages.Surroundings(request).notice is None


def test_a_part_asks_the_database_for_nothing_around_it(region: Region, django_assert_num_queries: Any) -> None:
    request = asked(name="alice", region=region, **{"HX-Request": "true", "HX-Target": "panel"})
    with django_assert_num_queries(0):
        pages.page(request, "errors/413.html")


def test_a_whole_page_asks_for_its_surroundings_a_fixed_number_of_times(region: Region, django_assert_max_num_queries: Any) -> None:
    for number in range(3):
        Region.create(f"region-{number}", f"Region {number}", by=cast.SETUP)
    request = asked("/local/keys/", name="alice", region=region)
    with django_assert_max_num_queries(4):
        pages.page(request, "errors/413.html")


def test_mallory_sees_no_navigation(region: Region) -> None:
    assert around("mallory").navigation == []
    assert around("mallory").regions == []


def test_the_region_selector_changes_only_the_region_in_the_address(region: Region) -> None:
    Region.create("eu-west-1", "Europe West", by=cast.SETUP)
    links = around("alice", "/local/keys/?q=prod&after=abc", region).regions
    assert [(link.url, link.current) for link in links] == [("/eu-west-1/keys/?q=prod", False), ("/local/keys/?q=prod", True)]


def test_on_a_page_without_a_region_the_selector_leads_to_the_overviews(region: Region) -> None:
    assert [(link.url, link.current) for link in around("alice", "/audit/").regions] == [("/local/", False)]
    assert around("alice", "/audit/").home == "/local/"


def test_roles_are_told_in_words(region: Region) -> None:
    assert around("kim").roles == ["Key manager"]


@pytest.fixture
def node(region: Region) -> Node:
    return Node.join(cast.instance(region), "node-1", "127.0.0.1", 8080, by=cast.SETUP)[0]


def test_the_pulse_of_a_region_without_a_node(region: Region) -> None:
    pulse = around("alice", region=region).pulse
    assert pulse
    assert pulse.title == "No gateway yet"


def test_the_pulse_when_the_control_plane_is_down(region: Region, node: Node) -> None:
    pulse = around("alice", region=region).pulse
    assert pulse
    assert (pulse.tone, pulse.title) == ("warn", "Control plane is down")


@pytest.mark.parametrize(
    ("connected", "seq", "tone", "title"),
    [(True, 10, "ok", "1 node in sync"), (True, 9, "info", "0 of 1 nodes in sync"), (False, 10, "warn", "0 of 1 nodes in sync")],
)
def test_the_pulse_counts_the_nodes_that_serve_what_was_published(
    region: Region, node: Node, connected: bool, seq: int, tone: str, title: str
) -> None:
    ControlPlane.beat()
    Publication.objects.update_or_create(region=region, defaults={"seq": 10})
    Node.objects.update(connected=connected, in_effect_seq=seq)
    pulse = around("alice", region=region).pulse
    assert pulse
    assert (pulse.tone, pulse.title) == (tone, title)


def test_vera_without_instances_sees_no_pulse(region: Region) -> None:
    assert around("audrey", region=region).pulse is None


def test_the_joined_sheet_declares_its_layers_first_and_holds_every_file() -> None:
    sheet = stylesheet.joined()
    assert sheet.startswith(b"@layer tokens, base, layout, components, utilities;")
    on_disk = {str(file.relative_to(stylesheet.FOLDER)) for file in stylesheet.FOLDER.rglob("*.css")}
    assert set(stylesheet.FILES) == on_disk
