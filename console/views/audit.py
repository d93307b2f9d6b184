"""The audit log as people read it."""

from dataclasses import dataclass
from typing import Self

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from console.exports import CSV, JSON_LINES, TYPES, lines
from console.facts.audit import Sentence, tell
from console.facts.trust import Trust
from console.forms.audit import AuditFilter
from console.forms.base import REPEATED
from console.forms.export import ExportLog
from console.middleware import allows, noted
from console.pages import page, see_other
from console.paging import Listing
from console.requests import ConsoleRequest
from secrets_app.actor import Actor
from secrets_app.errors import AlreadyDone, NotFound
from secrets_app.models import AuditEntry, AuditHead
from secrets_app.models.exporting import Export

HINTS = {
    CSV: _("For spreadsheets. Cells that would become formulas get an apostrophe, control characters are written out."),
    JSON_LINES: _("Exact, one entry a line, with the hashes: for other programs, and for checking the chain elsewhere."),
}
RELATED = 6  # entries shown beside one


@noted
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
        "same_request": _others(request.actor, found, request_id=found.request_id) if found.request_id else (),
        "same_object": _others(request.actor, found, target_kind=found.target_kind, target_id=found.target_id) if found.target_id else (),
        "back": reverse("audit-list"),
    }
    return page(request, "audit/detail.html", context)


@allows("audit.export")
def export(request: ConsoleRequest) -> HttpResponseBase:
    """Of what the address's filter shows. Nothing is kept: the file is made while it is sent."""
    asked, form = AuditFilter(request.GET, request.actor), ExportLog(request.POST or None)
    back = reverse("audit-list") + (f"?{request.GET.urlencode()}" if request.GET else "")
    if not asked.is_valid():
        return see_other(request, back)  # where its fields say what is wrong
    if form.is_valid():
        kind = form.cleaned_data["format"]
        try:
            if made := form.attempt(lambda: Export.of(asked.search(), kind, by=request.actor, once=form.token)):
                return _download(made, kind)
        except AlreadyDone:
            return see_other(request, back, notice=REPEATED, tone="info")
    entries = asked.narrow(AuditEntry.visible_to(request.actor)).count()
    context = {"form": form, "entries": entries, "told": asked.told(), "back": back, "hints": HINTS}
    return page(request, "audit/export.html", context, status=form.status)


def _others(actor: Actor, entry: AuditEntry, **same: str) -> list[Sentence]:
    return tell(AuditEntry.visible_to(actor).filter(**same).exclude(seq=entry.seq).order_by("-seq")[:RELATED])


def _download(made: Export, kind: str) -> StreamingHttpResponse:
    name = f"audit-log-{timezone.now():%Y%m%dT%H%M%SZ}.{kind}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Entries": str(made.entries)}
    return StreamingHttpResponse(lines(made, kind), content_type=TYPES[kind], headers=headers)


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
