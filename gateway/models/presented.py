"""What callers of a consumer present, be it a credential or a token: checked before it is stored, and told to the audit log."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from gateway.methods import REMOTE
from gateway.models.credential import NewCredential
from gateway.models.jwt import NewJwt, check_jwt, told_jwt
from gateway.models.reach import leads_here
from gateway.sources import SOURCES_A_REGION, Source, check_sources
from secrets_app.models import Region

if TYPE_CHECKING:
    from gateway.models.consumer import Consumer

Presented = NewCredential | NewJwt


def leads_to_us(presented: Presented) -> bool:
    """Asked before a deed begins: it may wait for a name server."""
    return isinstance(presented, NewJwt) and presented.key_type == REMOTE and leads_here(presented.url)


def check_presented(
    region: Region, presented: Presented | None, sources: Sequence[Source], ours: bool, consumer: "Consumer | None" = None
) -> dict[str, list[str]]:
    """Errors by field. `ours` as leads_to_us said. Of a token its own place counts, of a credential the `sources`."""
    if not isinstance(presented, NewJwt):
        return check_sources(sources) or _check_number(region, sources)
    if errors := check_jwt(region, presented, ours=ours, consumer=consumer):
        return errors
    too_many = _check_number(region, [presented.place])
    return {"placed_at": too_many["source_0"]} if too_many else {}


def told(presented: Presented) -> dict[str, Any]:
    """For the audit log: names of keys, never a value."""
    if isinstance(presented, NewJwt):
        return told_jwt(presented)
    return {"generation": presented.generation, "key": presented.key_name, "trimmed": presented.trimmed}


def _check_number(region: Region, sources: Sequence[Source]) -> dict[str, list[str]]:
    lists = region.consumers.values_list("sources", flat=True).distinct()
    known = {source for several in lists for source in several}
    if len(known | set(sources)) <= SOURCES_A_REGION:
        return {}
    text = str(_("The region uses %(limit)d different sources already. Use one of those.") % {"limit": SOURCES_A_REGION})
    return {f"source_{place}": [text] for place, source in enumerate(sources) if source not in known}
