"""That somebody opened a page worth an entry of its own: once an hour for each session or API token, so that looking around, or a script
that reads on and on, does not fill the log."""

import logging
from datetime import timedelta

from django.db import DatabaseError
from django.utils import timezone

from secrets_app.actor import Actor
from secrets_app.models.audit import AuditEntry
from secrets_app.models.deeds import deed
from secrets_app.models.region import Deployment, Region
from secrets_app.scope import EVERYWHERE

ONCE_IN = timedelta(hours=1)

log = logging.getLogger(__name__)


def note_opening(action: str, *, by: Actor) -> None:
    """Where `by` holds the right. One query when it was noted already; outside of reading(), since it writes.

    A log that takes no entry is still shown: whoever looks into what happened to it needs it most then.
    """
    same = AuditEntry.objects.filter(action=action, actor_id=by.user_id, actor=by.name, session=by.session)
    if same.filter(at__gte=timezone.now() - ONCE_IN).exists():
        return
    try:
        with deed(by, action, _where(action, by)):
            pass
    except (DatabaseError, OSError):
        log.exception("%s opened a page (%s), and no entry of the audit log says so.", by.name, action)


def _where(action: str, by: Actor) -> Deployment | Region:
    regions = by.regions_with(action)
    region = None if by.may(action, EVERYWHERE) else Region.objects.filter(pk__in=regions or ()).order_by("name").first()
    return region or Deployment.here()
