"""Testing a connection: one small real call to a service's back end, with the key as gateways send it. The control plane makes it
(gateway/xds/trials.py); nothing of it can be chosen here but which of the service's keys is shown."""

import json
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from secrets_app.actor import Actor
from secrets_app.channel import About, Asker
from secrets_app.errors import CannotOpen, Invalid, NoAnswer, TooOften, Withheld
from secrets_app.models import AuditEntry, Deployment, Errand, Reference, deed
from secrets_app.models.audit import OK
from secrets_app.models.refusals import record_refusal

if TYPE_CHECKING:
    from gateway.models.service import Service

A_MINUTE = 6  # of each person
AT_WORK = 15.0  # seconds that are waited for a call under way
ACTIONS = ("service.test", "mcp.test")


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it. `result`: "answered", a code of CallFailed, or why nothing was sent ("disabled", "policy", "unreadable", "charset",
    "ours", "here"). `message` is what the back end said to a key, with the key taken out of it; `withheld` where that could not be done
    for sure."""

    result: str
    asked: str = ""  # "GET /v1/models"
    sure: bool = True  # a 2xx says that the key is accepted
    status: int = 0
    milliseconds: int = 0
    message: str = ""
    withheld: bool = False

    def packed(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def of(cls, packed: bytes) -> Self:
        return cls(**json.loads(packed))


def tested(service: "Service", path: str, by: Actor, once: UUID) -> Trial:
    """`path` is the place of the key to show, one of the service's; empty where it has none. The entry comes before the call.

    Raises Invalid (field "path"), TooOften, NoAnswer, and Withheld where the control plane saw no reason to do it.
    """
    asker, action = Asker(), service.rights.test
    with deed(by, action, service, once=once) as entry:
        service._lock()
        use = use_at(service, path)
        if tried_lately(by) >= A_MINUTE:
            text = _("You tested %(n)d connections within the last minute, and that is the limit. Wait a minute.")
            raise TooOften(text % {"n": A_MINUTE})
        entry.facts = {"instance": service.instance.ref, "address": service.address, "path": path}
        entry.facts |= {"key": use.key.name} if use and use.key.name else {}
        Errand._send(once, asker, entry)
    try:
        answer = Errand.fetch(About(Deployment.here().pk, once, action, str(service.pk)), asker, at_work=AT_WORK)
    except (NoAnswer, CannotOpen) as failed:
        record_refusal(by, action, service, reason=failed.code)
        raise
    if not answer.served:
        raise Withheld(answer.content.decode(), _("The control plane would not make this call: something changed meanwhile. Try again."))
    return Trial.of(answer.content)


def use_at(service: "Service", path: str) -> Reference | None:
    """Raises Invalid (field "path") for a place that the service has not."""
    uses = {use.path: use for use in service.uses}
    if (not path and uses) or (path and path not in uses):
        raise Invalid({"path": [str(_("Choose one of the service's keys."))]})
    return uses.get(path)


def tried_lately(by: Actor) -> int:
    since = timezone.now() - timedelta(minutes=1)
    return AuditEntry.objects.filter(actor_id=by.user_id, action__in=ACTIONS, outcome=OK, at__gt=since).count()
