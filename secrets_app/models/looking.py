"""Looking for entries of the audit log. Every question is answered from an index: a page of a million entries reads few rows.

Entries are shown by seq. Moments are therefore turned into seqs first; asked for the latest entries before a moment long gone, a database
that goes by seq would read everything since, and one that goes by time would have to sort everything before. An entry that a clock wrote
which had gone back by more than an hour may then be missed by a search for moments, and by no other.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection
from django.db.models import Max, Min, QuerySet
from django.db.models.functions import Coalesce, Lower

if TYPE_CHECKING:
    from secrets_app.models.audit import AuditEntry

CLOCKS = timedelta(hours=1)  # by which clocks may have gone back without an entry being missed
_BEHIND_EVERYTHING = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Search:
    """What is not asked for is "" or None. `actor` is a whole name and `object` the beginning of one, both whatever their case."""

    since: datetime | None = None
    until: datetime | None = None
    actor: str = ""
    action: str = ""
    object: str = ""
    outcome: str = ""
    region_id: UUID | None = None
    address: str = ""
    request_id: str = ""
    session: str = ""
    kind: str = ""
    pk: str = ""

    def among(self, entries: "QuerySet[AuditEntry]") -> "QuerySet[AuditEntry]":
        """Up to four short queries for the moments, none without."""
        exact = {
            "action": self.action,
            "outcome": self.outcome,
            "region_id": self.region_id,
            "address": self.address,
            "request_id": self.request_id,
            "session": self.session,
            "target_kind": self.kind,
            "target_id": self.pk,
        }
        found = entries.filter(**{name: value for name, value in exact.items() if value})
        if self.actor:
            found = found.alias(actor_folded=Lower("actor")).filter(actor_folded=self.actor.lower())
        if self.object:
            found = _beginning(found, self.object.lower())
        return self._within(found)

    def told(self) -> list[str]:
        """For an entry about it. Only of a search that found something: then a name in it is one that the log holds already."""
        asked = {
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "actor": self.actor,
            "action": self.action,
            "object": self.object,
            "outcome": self.outcome,
            "region": self.region_id,
            "address": self.address,
            "request": self.request_id,
            "session": self.session,
            "about": f"{self.kind}:{self.pk}" if self.kind else "",
        }
        return [f"{name}={value}" for name, value in asked.items() if value]

    def _within(self, found: "QuerySet[AuditEntry]") -> "QuerySet[AuditEntry]":
        every = found.model._default_manager.all()
        if self.since:
            near = every.filter(at__gte=self.since)
            first = near.filter(at__lte=self.since + CLOCKS).aggregate(seq=Min("seq"))["seq"]
            first = first or near.order_by("at").values_list("seq", flat=True).first()
            found = (
                found.filter(seq__gte=first).alias(moment=Coalesce("at", "at")).filter(moment__gte=self.since) if first else found.none()
            )
        if self.until:
            near = every.filter(at__lte=self.until)
            last = near.filter(at__gte=self.until - CLOCKS).aggregate(seq=Max("seq"))["seq"]
            last = last or near.order_by("-at").values_list("seq", flat=True).first()
            found = found.filter(seq__lte=last).alias(moment=Coalesce("at", "at")).filter(moment__lte=self.until) if last else found.none()
        return found


def _beginning(found: "QuerySet[AuditEntry]", text: str) -> "QuerySet[AuditEntry]":
    """Each engine finds it in the index of migration 0003 in its own way: SQLite has none for LIKE, PostgreSQL none for ranges of text."""
    found = found.alias(target_folded=Lower("target"))
    if connection.vendor == "sqlite":
        return found.filter(target_folded__gte=text, target_folded__lt=text + _BEHIND_EVERYTHING)
    return found.filter(target_folded__startswith=text)
