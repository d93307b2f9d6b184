"""The audit log's page: who reads it, what it says, how it is narrowed, and what it says of the chain."""

import re
from datetime import datetime, timedelta
from html import unescape
from typing import Any
from unittest.mock import patch

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.facts.audit import FACTS, tell
from secrets_app.access import ACTIONS
from secrets_app.errors import NotAllowed
from secrets_app.models import AuditEntry, Key, Region
from tests import cast
from tests.openlog import open_log
from tests.unit.console.asking import get, text


def shown(query: str = "", who: str = "audrey", status: int = 200, **headers: str) -> str:
    answer = cast.client(who).get(f"/audit/{query}", headers=headers)
    assert answer.status_code == status
    return unescape(re.sub(r"\s+", " ", answer.content.decode()))


def sentences(page: str) -> list[str]:
    return [re.sub(r"<[^>]+>", "", text).strip() for text in re.findall(r'<a class="sentence"[^>]*>(.*?)</a>', page)]


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("audrey", 200), ("kim", 403), ("olive", 403), ("vera", 403), ("mallory", 403)]
)
def test_auditors_and_owners_read_the_log(region: Region, who: str, status: int) -> None:
    assert cast.client(who).get("/audit/").status_code == status
    assert cast.client(who).get("/audit/1/").status_code == status


def test_entries_are_told_as_sentences_newest_first(region: Region) -> None:
    key = cast.key(region, "openai_prod")
    key.rotate(cast.value(), by=cast.actor("kim"))
    with pytest.raises(NotAllowed):
        key.rotate(cast.value(), by=cast.actor("vera"))
    told = sentences(shown(who="alice"))
    assert told.index("vera was refused key.rotate on openai_prod") < told.index("kim rotated key openai_prod")
    assert "tests set up the deployment Latchkey" in told


def test_facts_are_told_with_a_label(region: Region) -> None:
    key = cast.key(region)
    cast.consumer(region, bound_to=key)
    key.rotate(cast.value(), 24, by=cast.SETUP)
    page = shown()
    assert "Previous value valid for: 24 hours" in page
    assert "Generation method: Reference Key" in page
    assert "A line end was dropped" not in page


def test_every_fact_that_an_action_may_state_has_a_label() -> None:
    assert {fact for action in ACTIONS.values() for fact in action.facts} - FACTS.keys() == set()


def test_a_name_in_the_log_is_only_text(region: Region) -> None:
    cast.instance(region, "<script>alert(1)</script>")
    page = cast.client("audrey").get("/audit/").content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_log_is_narrowed_by_each_filter(region: Region) -> None:
    other = Region.create("eu", "Europe", by=cast.SETUP)
    Key.create(region, "openai_prod", cast.value(), by=cast.actor("kim"))
    Key.create(other, "mistral", cast.value(), by=cast.actor("alice"))
    with pytest.raises(NotAllowed):
        Key.create(region, "mine", cast.value(), by=cast.actor("vera"))
    for query, expected in {
        "?actor=kim": ["kim created key openai_prod"],
        "?actor=KIM": ["kim created key openai_prod"],
        "?object=MISTR": ["alice created key mistral"],
        "?region=eu&action=key.create": ["alice created key mistral"],
        "?outcome=refused": ["vera was refused key.create"],
        "?action=key.create&outcome=ok&region=local": ["kim created key openai_prod"],
        "?actor=nobody": [],
    }.items():
        assert sentences(shown(query)) == expected, query


def test_the_log_is_narrowed_by_time(region: Region) -> None:
    now = timezone.now()
    for query, found in {
        f"?since={stamp(now - timedelta(hours=1))}": True,
        f"?since={stamp(now + timedelta(hours=1))}": False,
        f"?until={stamp(now + timedelta(hours=1))}": True,
        f"?until={stamp(now - timedelta(hours=1))}": False,
    }.items():
        assert bool(sentences(shown(query))) is found, query


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M")


def test_all_entries_of_one_object_are_found_whatever_its_name(region: Region) -> None:
    key = cast.key(region, "openai_prod")
    cast.key(region, "openai_prod_2")
    key.disable(by=cast.actor("kim"))
    assert sentences(shown(f"?about=key:{key.pk}")) == ["kim disabled key openai_prod", "tests created key openai_prod"]


@pytest.mark.parametrize(
    "query",
    [
        "?since=yesterday",
        "?since=0001-01-01T00:00%2B23:59",  # its UTC lies before the first year
        "?until=9999-12-31T23:59-23:59",
        "?until=9999-99-99",
        "?action=key.unveil",
        "?outcome=maybe",
        "?region=nowhere",
        "?about=DROP",
        "?actor=" + "x" * 151,
        "?since=2026-02-02T10:00&until=2026-02-02T09:59",
    ],
)
def test_a_filter_that_cannot_be_read_is_said_and_shows_nothing(region: Region, query: str) -> None:
    page = shown(query, status=422)
    assert "There is a problem" in page
    assert sentences(page) == []


def test_pages_follow_one_another_and_keep_the_filter(region: Region) -> None:
    for number in range(120):
        cast.person("kim").choose_theme("dark" if number % 2 else "light", by=cast.actor("kim"))
    client, address, seen = cast.client("audrey"), "?action=user.edit_theme", []
    for size in (50, 50, 20):
        page = unescape(client.get(f"/audit/{address}").content.decode())
        seqs = [int(seq) for seq in re.findall(r'id="entry-(\d+)"', page)]
        assert len(seqs) == size
        seen += seqs
        following = re.search(r'rel="next" href="([^"]+)"', page)
        assert bool(following) is (size == 50)
        address = following[1] if following else address
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 120
    back = re.search(r'rel="prev" href="([^"]+)"', page)
    assert back
    again = [int(seq) for seq in re.findall(r'id="entry-(\d+)"', client.get(f"/audit/{unescape(back[1])}").content.decode())]
    assert again == seen[50:100]


@pytest.mark.parametrize("cursor", ["before=x", "after=-1", "before=" + "9" * 40, "after=%F0%9F%92%A9", "before=&after="])
def test_a_strange_cursor_shows_the_first_page(region: Region, cursor: str) -> None:
    assert sentences(shown(f"?{cursor}"))


def test_the_number_of_queries_does_not_grow_with_the_page(region: Region) -> None:
    client = cast.client("audrey")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get("/audit/")
        return len(captured)

    queries()  # the first one is noted
    few = queries()
    for _ in range(40):
        cast.key(region)
    assert queries() == few


def test_an_entry_has_a_page_and_a_panel_of_its_own(region: Region) -> None:
    key = cast.key(region, "openai_prod")
    entry = AuditEntry.objects.latest("seq")
    page, panel = shown(f"{entry.seq}/"), shown(f"{entry.seq}/", **{"HX-Request": "true", "HX-Target": "panel"})
    assert "<html" in page
    assert "<html" not in panel
    for words in (entry.hash, entry.prev_hash, "key.create", f"?about=key:{key.pk}", "Chained"):
        assert words in page
        assert words in panel


def test_an_entry_that_is_not_there_is_not_found(region: Region) -> None:
    for seq in ("0", "999999", "9" * 40):
        shown(f"{seq}/", status=404)


def test_an_entry_that_was_changed_shows_on_the_page(region: Region) -> None:
    key = cast.key(region)
    seq = AuditEntry.objects.latest("seq").seq
    key.disable(by=cast.SETUP)
    assert "Broken chain" not in shown()
    with open_log(), connection.cursor() as cursor:
        cursor.execute("UPDATE secrets_app_auditentry SET actor = 'nobody' WHERE seq = %s", [seq])
    page = shown()
    assert "Broken chain" in page
    assert f"Entry {seq} is not what was written" in page
    assert "Broken chain" in shown(f"{seq}/")


def test_a_sign_in_that_failed_is_not_put_down_to_roles(region: Region) -> None:
    cast.person("kim")
    cast.client().post("/sign-in/", {"login": "kim", "password": "not it"})
    page = shown("?outcome=refused")
    assert "The name and the password did not fit" in page
    assert "The roles did not allow it" not in page


def test_a_wrong_code_is_not_put_down_to_roles_either(region: Region) -> None:
    cast.app_of("kim")
    client = cast.client()
    client.post("/sign-in/", {"login": "kim", "password": cast.PASSWORD})
    client.post("/sign-in/second-factor/", {"code": "000000"})
    page = text(get("/audit/?outcome=refused"))
    assert "kim was refused user.give_factor Reason: It did not fit, had been used before" in page


def test_an_entry_outlives_the_action_that_wrote_it(region: Region) -> None:
    gone: Any = AuditEntry(
        seq=1, at=timezone.now(), actor="kim", action="key.fold", outcome="ok", target="a", target_kind="key", facts={"creases": 2}
    )
    told = tell([gone])[0]
    assert (told.text, told.facts) == ("key.fold", (("creases", "2"),))


def test_reading_on_in_the_log_writes_nothing(region: Region) -> None:
    client = cast.client("audrey")
    client.get("/audit/")
    before = AuditEntry.objects.count()
    client.get("/audit/")
    client.get("/audit/1/")
    assert AuditEntry.objects.count() == before


def test_actions_are_offered_in_words_by_noun_each_once(region: Region) -> None:
    page = shown()
    offered = re.findall(r'<option value="([a-z_]+\.[a-z_]+)"', page)
    assert sorted(offered) == sorted(ACTIONS)
    assert re.findall(r'<optgroup label="([^"]+)"', page)[0] == "Key"
    assert '<option value="key.rotate">Rotated key</option>' in page


def test_that_the_log_was_opened_is_an_entry_once_an_hour_for_each_session(region: Region) -> None:
    client = cast.client("audrey")
    for query in ("", "?actor=kim", "?outcome=refused"):
        assert client.get(f"/audit/{query}").status_code == 200
    opened = AuditEntry.objects.filter(action="audit.view", outcome="ok")
    assert [(entry.actor, entry.target_kind, bool(entry.session)) for entry in opened] == [("audrey", "deployment", True)]
    cast.client("audrey").get("/audit/")
    assert opened.all().count() == 2, "another session"
    with patch("secrets_app.models.openings.ONCE_IN", timedelta(0)):
        client.get("/audit/")
    assert opened.all().count() == 3


def test_a_log_that_takes_no_entry_is_shown_all_the_same(region: Region) -> None:
    client = cast.client("audrey")
    with patch.object(AuditEntry, "save", side_effect=OperationalError("disk full")):
        assert b'class="sentence"' in client.get("/audit/").content
