"""The audit log as people read it."""

from dataclasses import dataclass
from typing import Self

from django.http import HttpResponse, QueryDict
from django.urls import NoReverseMatch, reverse

from console.forms.audit import AuditFilter
from console.middleware import allows
from console.pages import page
from console.requests import ConsoleRequest
from console.sentences import tell
from secrets_app.errors import NotFound
from secrets_app.models import AuditEntry, AuditHead

A_PAGE = 50


@allows("audit.view")
def entries(request: ConsoleRequest) -> HttpResponse:
    form = AuditFilter(request.GET, request.actor)
    shown = Page.of(form, request.GET)
    context = {
        "form": form,
        "page": shown,
        "sentences": tell(shown.entries),
        "chain": Chain.of(shown.entries),
    }
    return page(request, "audit/list.html", context, status=200 if form.is_valid() else 422)


@allows("audit.view")
def entry(request: ConsoleRequest, seq: int) -> HttpResponse:
    found = AuditEntry.objects.filter(seq=seq).first()
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
class Page:
    """Newest first. The cursor is the seq at either end, which never moves."""

    entries: list[AuditEntry]
    newer: str
    older: str

    @classmethod
    def of(cls, form: AuditFilter, query: QueryDict) -> Self:
        """One query."""
        rows = form.narrow(AuditEntry.objects.all())
        before, after = _cursor(query, "before"), _cursor(query, "after")
        if after is not None:
            found = list(rows.filter(seq__gt=after).order_by("seq")[: A_PAGE + 1])
            shown, newer, older = found[:A_PAGE][::-1], len(found) > A_PAGE, True
        else:
            found = list((rows if before is None else rows.filter(seq__lt=before)).order_by("-seq")[: A_PAGE + 1])
            shown, newer, older = found[:A_PAGE], before is not None, len(found) > A_PAGE
        return cls(
            shown,
            _address(query, after=shown[0].seq) if newer and shown else "",
            _address(query, before=shown[-1].seq) if older and shown else "",
        )


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


def _cursor(query: QueryDict, name: str) -> int | None:
    text = query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _address(query: QueryDict, **cursor: int) -> str:
    kept = query.copy()
    for name in ("before", "after"):
        kept.pop(name, None)
    for name, seq in cursor.items():
        kept[name] = str(seq)
    return f"?{kept.urlencode()}"


def _thing_url(entry: AuditEntry) -> str:
    """Of the thing itself, where its address follows from the entry. It may be gone by now: then that address says so."""
    place = {"region": entry.region, "name": entry.target}
    if entry.target_kind == "ai_service":
        name, place = "service-detail", place | {"ref": entry.facts.get("instance", "")}
    elif entry.target_kind == "region":
        name, place = "overview", {"region": entry.target}
    else:
        name = f"{entry.target_kind}-detail"
    try:
        return reverse(name, kwargs=place) if entry.target else ""
    except NoReverseMatch:
        return ""
