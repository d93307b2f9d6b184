"""/admin/: Django's admin, which shows the audit log to whoever reads all of it, takes nothing, and has no other address."""

import re
from html import unescape
from unittest.mock import patch
from urllib.parse import unquote

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import resolve, reverse

from console import admin
from secrets_app.errors import NotAllowed
from secrets_app.models import AuditEntry, Region
from tests import cast
from tests.security.world import fingerprint

pytestmark = pytest.mark.django_db


def shown(path: str = "/admin/", who: str = "audrey") -> str:
    answer = cast.client(who).get(path)
    assert answer.status_code == 200, answer.status_code
    return unescape(re.sub(r"\s+", " ", answer.content.decode()))


def listed(query: str = "", who: str = "audrey") -> list[int]:
    return seqs(shown(f"/admin/{query}", who))


def seqs(page: str) -> list[int]:
    return [int(seq) for seq in re.findall(r'<a href="/admin/(\d+)/">', page)]


@pytest.fixture
def refused(region: Region) -> AuditEntry:
    key = cast.key(region, "openai_prod")
    key.rotate(cast.value(), by=cast.actor("kim"))
    with pytest.raises(NotAllowed):
        key.rotate(cast.value(), by=cast.actor("vera"))
    return AuditEntry.objects.get(action="key.rotate", outcome="refused")


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("audrey", 200), ("kim", 403), ("olive", 403), ("vera", 403), ("mallory", 403)]
)
def test_owners_and_auditors_may_look(region: Region, who: str, status: int) -> None:
    assert cast.client(who).get("/admin/").status_code == status
    assert cast.client(who).get("/admin/1/").status_code == status


def test_who_reads_a_regions_part_of_the_log_is_refused_and_no_opening_is_noted(region: Region) -> None:
    client = Client()
    client.force_login(cast.somebody("nora", "auditor", at=region.scope), settings.AUTHENTICATION_BACKENDS[0])
    assert client.get("/audit/").status_code == 200
    before = AuditEntry.objects.filter(action="audit.view", outcome="ok").count()
    for path in ("/admin/", "/admin/1/", "/admin/99999/"):
        assert client.get(path).status_code == 403
    assert AuditEntry.objects.filter(action="audit.view", outcome="ok").count() == before
    assert AuditEntry.objects.filter(action="audit.view", outcome="refused", actor="nora").count() == 1


def test_it_signs_nobody_in(region: Region) -> None:
    client = cast.client()
    for path in ("/admin/", "/admin/1/"):
        answer = client.get(path)
        assert (answer.status_code, unquote(answer["Location"])) == (302, f"/sign-in/?next={path}")
        assert not answer.cookies


def test_looking_is_an_entry_of_its_own(region: Region) -> None:
    shown()
    assert AuditEntry.objects.filter(action="audit.view", outcome="ok", actor="audrey").count() == 1


def test_it_has_two_addresses(region: Region) -> None:
    urls = admin.site.get_urls()
    assert [str(url.pattern) for url in urls] == ["", "<int:seq>/"]
    client = cast.client("alice")
    more = ("1/change/", "1/delete/", "1/history/", "add/", "secrets_app/", "secrets_app/auditentry/", "secrets_app/user/", "auth/group/")
    for path in (*more, "login/", "logout/", "password_change/", "password_change/done/", "autocomplete/", "jsi18n/", "r/1/1/", "index/"):
        assert client.get(f"/admin/{path}").status_code == 404, path
        assert client.post(f"/admin/{path}", {"post": "yes"}).status_code in (403, 404, 405), path


@pytest.mark.parametrize("path", ["/admin/", "/admin/1/"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_is_taken(region: Region, path: str, method: str) -> None:
    client = cast.client("alice")
    client.get("/admin/")
    before = fingerprint()
    body = "action=delete_selected&_selected_action=1&post=yes&_save=1&_saveasnew=1&actor=mallory&facts={}"
    answer = client.generic(method, path, body, "application/x-www-form-urlencoded")
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")
    assert fingerprint() == before


def test_the_pages_hold_no_form_that_posts_and_no_script(refused: AuditEntry) -> None:
    for page in (shown(), shown(f"/admin/{refused.seq}/")):
        assert "csrfmiddlewaretoken" not in page
        assert 'method="post"' not in page
        assert "<script" not in page
        assert "<style" not in page
        assert " style=" not in page
        assert "log out" not in page.lower()
        assert "password" not in page.lower()


def test_every_permission_of_djangos_but_looking_is_denied(region: Region) -> None:
    request = cast.client("alice").get("/admin/").wsgi_request
    assert admin.log.get_model_perms(request) == {"add": False, "change": False, "delete": False, "view": True}
    assert not admin.log.get_actions(request)
    assert [*admin.site._registry] == []
    assert LogEntry.objects.count() == 0


def test_a_page_shows_all_of_an_entry_and_leads_to_the_consoles(refused: AuditEntry) -> None:
    page = shown(f"/admin/{refused.seq}/")
    for told in (
        refused.actor,
        refused.action,
        refused.target,
        refused.outcome,
        refused.hash,
        refused.prev_hash,
        '{"reason": "not_allowed"}',
    ):
        assert str(told) in page, told
    assert f'href="{reverse("audit-detail", args=[refused.seq])}"' in page
    assert 'href="/"' in page


@pytest.mark.parametrize("seq", ["0", "99999", "9" * 30])
def test_an_entry_that_is_not_there_is_not_found(region: Region, seq: str) -> None:
    assert cast.client("audrey").get(f"/admin/{seq}/").status_code == 404


def test_what_people_wrote_is_shown_as_text(region: Region) -> None:
    hostile = "<script>alert(1)</script>"
    Region.objects.filter(pk=region.pk).update(title=hostile)
    content = cast.client("audrey").get(f"/admin/?q={hostile}&region={hostile}").content.decode()
    assert "<script" not in content
    assert content.count("&lt;script&gt;") >= 2


def test_newest_first_and_found_by_number_person_action_and_request(refused: AuditEntry) -> None:
    everything = listed()
    assert everything == sorted(everything, reverse=True)
    assert listed(f"?q={refused.seq}") == [refused.seq]
    assert listed("?q=VERA") == [refused.seq]
    assert refused.seq in listed("?q=key.rotate")
    assert len(listed("?q=key.rotate")) == 2
    opened = AuditEntry.objects.filter(action="audit.view").latest("seq")
    assert listed(f"?q={opened.request_id}") == [opened.seq]
    assert listed("?q=nobody.at.all") == []


def test_refusals_and_a_region_are_filters(refused: AuditEntry, region: Region) -> None:
    assert listed("?outcome=refused") == [refused.seq]
    assert listed("?outcome=refused&q=kim") == []
    here = listed(f"?region={region.pk}")
    assert refused.seq in here
    assert set(here) == set(AuditEntry.objects.filter(region_id=region.pk).values_list("seq", flat=True))


@pytest.mark.parametrize(
    "query",
    [
        "actor__regex=(a%2B)%2B$", "actor__icontains=k", "o=-3.2", "o=x", "p=-1", "p=9999", "p=x", "all=", "e=1", "_facets=1", "_popup=1",
        "_to_field=facts", "_to_field=hash", "region=x", "region=00000000-0000-0000-0000-000000000000", "outcome=x", "facts__x=1",
        "hash=0", "q=" + "9" * 40, "q=" + "x" * 5000, "q=%F0%9F%92%A9", "_changelist_filters=q%3Dx",
    ],
)  # fmt: skip
def test_what_an_address_must_not_ask_for_is_not_asked_for(refused: AuditEntry, query: str) -> None:
    for path in ("/admin/", f"/admin/{refused.seq}/"):
        answer = cast.client("audrey").get(f"{path}?{query}", follow=True)
        assert answer.status_code == 200
    if not query.startswith("q="):
        assert refused.seq in listed(f"?{query}" if not query.startswith("p=") else "")


def test_a_long_log_costs_what_a_short_one_does(region: Region) -> None:
    client = cast.client("audrey")
    client.get("/admin/")
    with CaptureQueriesContext(
        connection,
    ) as few:
        client.get("/admin/")
    for _ in range(60):
        cast.key(region)
    with CaptureQueriesContext(connection) as many, patch.object(admin, "MOST", 55):
        page = client.get("/admin/").content.decode()
    assert "The newest" in page
    assert len(seqs(page)) == admin.log.list_per_page
    assert len(many) <= len(few)
    counts = [one["sql"] for one in many if "COUNT(" in one["sql"]]
    assert len(counts) == 1
    assert "LIMIT 55" in counts[0]


def test_pages_follow_each_other(region: Region) -> None:
    for _ in range(60):
        cast.key(region)
    client = cast.client("audrey")
    first, second = (seqs(client.get(f"/admin/{query}").content.decode()) for query in ("", "?p=2"))
    assert len(first) == admin.log.list_per_page
    assert [*first, *second] == list(range(first[0], 0, -1))


def test_the_name_stays_reserved(region: Region) -> None:
    assert resolve("/admin/").view_name == "admin-list"
