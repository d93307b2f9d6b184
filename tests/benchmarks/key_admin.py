"""A stock admin changelist of the keys, as a team would have it without a console: in its usual form, and tuned as far as options go."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from secrets_app.models import Key

SHOWN = ("name", "version", "enabled", "rotated_at", "rotated_by")


class Unused(admin.SimpleListFilter):
    title, parameter_name = "use", "use"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("unused", "Unused"), ("used", "Referenced")]

    def queryset(self, request: HttpRequest, rows: QuerySet[Key]) -> QuerySet[Key]:
        return rows.filter(**{"unused": {"uses": 0}, "used": {"uses__gt": 0}}.get(self.value() or "", {}))


class UsualKeys(admin.ModelAdmin):  # type: ignore[type-arg]
    """Counts the references as it lists, and states how many rows there are."""

    list_display = (*SHOWN, "referenced")
    search_fields = ("name", "description")
    list_filter = (Unused,)
    list_per_page = 50
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Key]:
        return super().get_queryset(request).filter(name__isnull=False).annotate(uses=Count("references"))

    @admin.display(ordering="uses")
    def referenced(self, key: Any) -> int:
        return int(key.uses)


class CarefulKeys(admin.ModelAdmin):  # type: ignore[type-arg]
    """The stored count, the search column, the order of an index, and no second count of all rows."""

    list_display = (*SHOWN, "reference_count")
    search_fields = ("search_text",)
    list_per_page = 50
    show_full_result_count = False
    ordering = ("name_folded",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Key]:
        return super().get_queryset(request).filter(name__isnull=False)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup == "reference_count__exact" or super().lookup_allowed(lookup, value, request)


usual, careful = admin.AdminSite("usual"), admin.AdminSite("careful")
usual.register(Key, UsualKeys)
careful.register(Key, CarefulKeys)
