"""Looking for entries: each filter finds its own, from an index, and moments find what clocks that went back have written."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from secrets_app.models import AuditEntry, Region
from secrets_app.models.looking import Search
from tests import cast, long_log

HOUR = timedelta(hours=1)


def seqs(search: Search) -> list[int]:
    return list(search.among(AuditEntry.objects.all()).order_by("seq").values_list("seq", flat=True))


@pytest.fixture
def log(region: Region) -> AuditEntry:
    """An entry in the middle of many."""
    long_log.write(3000, apart=30, began=timezone.now())
    return AuditEntry.objects.get(seq=1500)


def searches(one: AuditEntry) -> dict[str, Search]:
    return {
        "all": Search(),
        "actor": Search(actor=one.actor.upper()),
        "action": Search(action=one.action),
        "object": Search(object=one.target[:8].upper()),
        "refused": Search(outcome="refused"),
        "region": Search(region_id=one.region_id),
        "address": Search(address=one.address),
        "request": Search(request_id=one.request_id),
        "session": Search(session=one.session),
        "about": Search(kind=one.target_kind, pk=one.target_id),
        "until": Search(until=one.at),
        "since": Search(since=one.at),
        "actor until": Search(actor=one.actor, until=one.at),
        "window": Search(since=one.at - HOUR, until=one.at + HOUR, address=one.address),
    }


def test_each_filter_finds_what_a_look_at_every_entry_would(log: AuditEntry) -> None:
    every = list(AuditEntry.objects.order_by("seq"))
    for name, search in searches(log).items():
        expected = [one.seq for one in every if fits(one, search)]
        assert seqs(search) == expected, name
        assert expected if name == "refused" else log.seq in expected


def fits(one: AuditEntry, search: Search) -> bool:
    asked = {
        "action": search.action, "outcome": search.outcome, "region_id": search.region_id, "address": search.address,
        "request_id": search.request_id, "session": search.session, "target_kind": search.kind, "target_id": search.pk,
    }  # fmt: skip
    return (
        all(getattr(one, name) == value for name, value in asked.items() if value)
        and (not search.actor or one.actor.lower() == search.actor.lower())
        and one.target.lower().startswith(search.object.lower())
        and (not search.since or one.at >= search.since)
        and (not search.until or one.at <= search.until)
    )


def test_no_filter_walks_through_the_whole_table(log: AuditEntry) -> None:
    if connection.vendor != "sqlite":
        return  # PostgreSQL reads a table this small whole, whatever its indexes
    for name, search in searches(log).items():
        plan = search.among(AuditEntry.objects.all()).order_by("-seq")[:51].explain()
        assert "SCAN secrets_app_auditentry\n" not in plan + "\n", (name, plan)
        assert "USING INDEX" in plan, (name, plan)


def test_a_moment_outside_the_log_finds_nothing_or_all(log: AuditEntry) -> None:
    newest = AuditEntry.objects.count()
    assert seqs(Search(since=log.at.replace(year=2100))) == []
    assert seqs(Search(until=log.at.replace(year=2000))) == []
    assert len(seqs(Search(since=log.at.replace(year=2000)))) == newest
    assert len(seqs(Search(until=log.at.replace(year=2100)))) == newest


def test_what_was_written_after_a_clock_went_back_is_found_too(region: Region) -> None:
    now = timezone.now()
    long_log.write(100, apart=60, began=now)
    long_log.write(100, apart=60, began=now + timedelta(minutes=60))
    noon = now + timedelta(minutes=90)
    for search in (Search(until=noon), Search(since=noon), Search(since=noon, until=noon + timedelta(minutes=5))):
        assert seqs(search) == [one.seq for one in AuditEntry.objects.order_by("seq") if fits(one, search)]


def test_what_is_typed_is_no_pattern(region: Region) -> None:
    for name in ("a_b", "axb"):
        cast.key(region, name)
    found = Search(object="A_", action="key.create").among(AuditEntry.objects.all())
    assert [entry.target for entry in found] == ["a_b"]
    for text in ("%", "\\", "'", '"; --', "\U0010ffff", "a%"):
        assert seqs(Search(object=text)) == []
