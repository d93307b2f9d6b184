"""The audit log as people read it."""

from dataclasses import dataclass
from typing import Self

from django.http import HttpResponse
from django.urls import NoReverseMatch, reverse

from console.facts.audit import tell
from console.facts.trust import Trust
from console.forms.audit import AuditFilter
from console.middleware import allows
from console.pages import page
from console.paging import Listing
from console.requests import ConsoleRequest
from secrets_app.errors import NotFound
from secrets_app.models import AuditEntry, AuditHead


@allows("audit.view")
def entries(request: ConsoleRequest) -> HttpResponse:
    form = AuditFilter(request.GET, request.actor)
    cut = Listing(request.GET, {"newest": ["-seq"]}, keep=form.fields).cut(form.narrow(AuditEntry.visible_to(request.actor)))
    context = {"form": form, "cut": cut, "sentences": tell(cut.rows), "chain": Chain.of(cut.rows), "trust": Trust.here()}
    return page(request, "audit/list.html", context, status=200 if form.is_valid() else 422)


@allows("audit.view")
def entry(request: ConsoleRequest, seq: int) -> HttpResponse:
    found = AuditEntry.visible_to(request.actor).filter(seq=seq).first()
    if found is None:
        raise NotFound()
    before = AuditEntry.objects.filter(seq=seq - 1).first()
    context = {
        "one": tell([found])[0],
        "chain": Chain.of([found, *([before] if before else [])]),
        "thing_url": _thing_url(found),
        "back": reverse("audit-list"),
    }
    return page(request, "audit/detail.html", context)


@dataclass(frozen=True, slots=True)
class Chain:
    """What can be said of the chain from the entries at hand; the whole of it is checked by `verify_audit_log`."""

    head: AuditHead
    bad: int | None

    @classmethod
    def of(cls, shown: list[AuditEntry]) -> Self:
        by_seq = {entry.seq: entry for entry in shown}
        broken = (entry.seq for entry in shown if entry.hash != entry.digest() or not _follows(entry, by_seq.get(entry.seq - 1)))
        return cls(AuditHead.objects.filter(pk=1).first() or AuditHead(), min(broken, default=None))


def _follows(entry: AuditEntry, before: AuditEntry | None) -> bool:
    return before is None or entry.prev_hash == before.hash


def _thing_url(entry: AuditEntry) -> str:
    """Of the thing itself, where its address follows from the entry. It may be gone by now: then that address says so."""
    place = {"region": entry.region, "name": entry.target}
    if entry.target_kind in ("ai_service", "agent_service"):
        name, place = "service-detail", place | {"ref": entry.facts.get("instance", "")}
    elif entry.target_kind == "region":
        name, place = "overview", {"region": entry.target}
    else:
        name = f"{entry.target_kind}-detail"
    try:
        return reverse(name, kwargs=place) if entry.target else ""
    except NoReverseMatch:
        return ""
