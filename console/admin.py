"""Django's admin at /admin/: the entries of the audit log, to be read, and nothing else.

It signs nobody in, registers no other model, and has two addresses; all its own others, whatever they would do, do not exist. The door
asks who comes as it does everywhere.
"""

from collections.abc import Callable
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib.admin import AdminSite, ModelAdmin, ShowFacets, SimpleListFilter
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.forms import Media
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _

from console.middleware import allows, noted
from console.refusals import forbidden
from console.requests import ConsoleRequest
from secrets_app.access import ACTIONS
from secrets_app.errors import NotFound
from secrets_app.models import AuditEntry, Region
from secrets_app.models.audit import REFUSED
from secrets_app.models.looking import Search
from secrets_app.models.refusals import record_refusal
from secrets_app.scope import EVERYWHERE

if TYPE_CHECKING:
    EntryAdmin = ModelAdmin[AuditEntry]
    EntryPaginator = Paginator[AuditEntry]
else:
    EntryAdmin, EntryPaginator = ModelAdmin, Paginator

MOST = 1000  # entries that its pages reach; a search finds the others
REQUEST_ID = 32  # hexadecimal digits
LONGEST_SEQ = 18  # digits


class Newest(EntryPaginator):
    """Counts no further than its pages reach: a log of millions costs what a short one does."""

    @cached_property
    def count(self) -> int:
        found: QuerySet[AuditEntry] = self.object_list  # type: ignore[assignment]
        return found.order_by()[:MOST].count()


class ByOutcome(SimpleListFilter):
    title, parameter_name = _("outcome"), "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(REFUSED, _("Refused"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return Search(outcome=REFUSED).among(queryset) if self.value() == REFUSED else queryset


class ByRegion(SimpleListFilter):
    title, parameter_name = _("region"), "region"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(region.pk), region.title) for region in Region.objects.order_by("name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        known = {pk for pk, _title in self.lookup_choices}
        return Search(region_id=UUID(value)).among(queryset) if (value := self.value()) in known and value else queryset


class Entries(ChangeList):
    def url_for_result(self, result: Any) -> str:
        return reverse("admin-detail", args=[result.pk])


class Log(EntryAdmin):
    list_display = ("seq", "time", "actor", "action", "target", "outcome", "region", "address")
    list_filter = (ByOutcome, ByRegion)
    ordering = ("-seq",)
    sortable_by = ()
    search_help_text = _("A whole name of a person, an action such as key.rotate, the number of an entry, or a request ID.")
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    paginator = Newest
    actions = None
    preserve_filters = False
    view_on_site = False
    fields = (
        "seq", "time", "actor", "actor_id", "action", "outcome", "target_kind", "target", "target_id", "region", "region_id",
        "address", "request_id", "session", "facts", "operation", "prev_hash", "hash",
    )  # fmt: skip
    readonly_fields = ("time",)
    change_list_template = "audit_admin/list.html"
    change_form_template = "audit_admin/detail.html"

    @property
    def media(self) -> Media:
        """Both pages work without a script."""
        return Media()

    def time(self, entry: AuditEntry) -> str:
        return f"{entry.at:%Y-%m-%d %H:%M:%S} UTC"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Entries

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        return _found(queryset, search_term.strip()), False

    def has_view_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return _may(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False


class Site(AdminSite):
    site_header = site_title = _("Latchkey administration")
    site_url = "/"
    enable_nav_sidebar = False

    def has_permission(self, request: HttpRequest) -> bool:
        return _may(request)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        return []

    def get_urls(self) -> list[URLPattern]:  # type: ignore[override]
        """Not Django's: no index, no sign-in, no sign-out, no password, nothing that adds, changes, deletes or remembers."""
        return [path("", entries, name="admin-list"), path("<int:seq>/", entry, name="admin-detail")]


def _everywhere(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Outside of noted(): what is not of any region is shown here too, so who reads a region's part of the log alone is refused."""

    @wraps(view)
    def whole(request: ConsoleRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if _may(request):
            return view(request, *args, **kwargs)
        record_refusal(request.actor, "audit.view")
        return forbidden(request, "audit.view")

    return whole


@_everywhere
@noted
@allows("audit.view")
def entries(request: ConsoleRequest) -> HttpResponse:
    _forget_all_but(request, SEARCH_VAR, PAGE_VAR, ByOutcome.parameter_name, ByRegion.parameter_name)
    return _rendered(log.changelist_view(request, {"title": _("Audit log"), "most": MOST}))


@_everywhere
@allows("audit.view")
def entry(request: ConsoleRequest, seq: int) -> HttpResponse:
    _forget_all_but(request)
    if not AuditEntry.objects.filter(seq=seq).exists():
        raise NotFound()
    return _rendered(log.change_view(request, str(seq), extra_context={"title": _("Entry %(seq)s") % {"seq": seq}, "subtitle": None}))


def _may(request: HttpRequest) -> bool:
    actor = getattr(request, "actor", None)
    return actor is not None and actor.may("audit.view", EVERYWHERE)


def _found(entries: QuerySet[AuditEntry], text: str) -> QuerySet[AuditEntry]:
    """Each kind of question has its index."""
    if not text:
        return entries
    if text.isascii() and text.isdigit() and len(text) <= LONGEST_SEQ:
        return entries.filter(seq=int(text))
    if text in ACTIONS:
        return Search(action=text).among(entries)
    if len(text) == REQUEST_ID and not set(text) - set("0123456789abcdef"):
        return Search(request_id=text).among(entries)
    return Search(actor=text).among(entries)


def _forget_all_but(request: HttpRequest, *names: str) -> None:
    """What else Django's lists take from an address (any lookup on any column, any order, all rows) is not asked for here."""
    kept = QueryDict(mutable=True)
    kept.update({name: request.GET[name] for name in names if name in request.GET})
    request.GET = kept  # type: ignore[assignment]


def _rendered(answer: HttpResponse) -> HttpResponse:
    """Inside of allows(): the rows come from the one state of the database that it reads."""
    return answer.render() if isinstance(answer, TemplateResponse) else answer


site = Site()
log = Log(AuditEntry, site)
