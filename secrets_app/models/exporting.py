"""The audit log handed out as a whole: itself a deed, whose entry is written before the first line leaves."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from secrets_app.actor import Actor
from secrets_app.db import reading
from secrets_app.errors import Invalid
from secrets_app.models.audit import AuditEntry, AuditHead
from secrets_app.models.deeds import deed
from secrets_app.models.looking import Search
from secrets_app.models.region import Deployment, Region
from secrets_app.scope import EVERYWHERE


@dataclass(frozen=True, slots=True)
class Export:
    """What was asked for, as it stood when it was asked."""

    found: "QuerySet[AuditEntry]"
    entries: int

    def __iter__(self) -> Iterator[AuditEntry]:
        """Oldest first, one at a time, in one consistent view of the database. Memory does not grow with their number."""
        with reading():
            yield from self.found.iterator(chunk_size=500)

    @classmethod
    def of(cls, search: Search, form: str, *, by: Actor, once: UUID | None = None) -> "Export":
        """`form` is the kind of file. Raises NotAllowed, and Invalid (field region) where it is to be said which of several regions."""
        where = _where(search, by)
        search = replace(search, region_id=where.pk) if isinstance(where, Region) else search
        upto = AuditHead.objects.values_list("seq", flat=True).filter(pk=1).first() or 0
        found = search.among(AuditEntry.visible_to(by)).filter(seq__lte=upto).order_by("seq")
        count = found.count()
        with deed(by, "audit.export", where, once=once) as entry:
            entry.facts = {"format": form, "entries": count, "filter": search.told() if count else None, "upto": upto}
        return cls(found, count)


def _where(search: Search, by: Actor) -> Deployment | Region:
    """A person with the right in one region exports that region's entries, whatever else was asked for."""
    regions = by.regions_with("audit.export")
    chosen = search.region_id or (next(iter(regions)) if regions and len(regions) == 1 else None)
    if chosen is None and regions is not None and len(regions) > 1 and not by.may("audit.export", EVERYWHERE):
        raise Invalid({"region": [_("Choose a region: you may export the entries of some regions, not of all.")]})
    region = Region.objects.filter(pk=chosen).first() if chosen else None
    return region or Deployment.here()
