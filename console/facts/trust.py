"""How far the audit log can be believed: what the control plane says of its chain and its checkpoints, and what the database refuses."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from django.urls import reverse
from django.utils.translation import gettext as now

from console.facts.overview import Concern
from secrets_app.db import refuses_changes_of_the_log
from secrets_app.models import AuditEntry, AuditHead, AuditWatch


@dataclass(frozen=True, slots=True)
class Trust:
    """`behind`: entries that no checkpoint vouches for yet; `late` when they wait longer than they should."""

    watch: AuditWatch
    head: AuditHead
    late: bool

    @classmethod
    def here(cls) -> Self:
        """Three queries."""
        watch, head = AuditWatch.here(), AuditHead.objects.filter(pk=1).first() or AuditHead()
        newest = AuditEntry.objects.order_by("-seq").values_list("at", flat=True).first()
        return cls(watch, head, watch.is_late(head.seq, newest))

    @property
    def behind(self) -> int:
        return max(0, self.head.seq - self.watch.checkpoint_seq)

    @property
    def closed(self) -> bool:
        """Asked by whoever shows it: one query more."""
        return refuses_changes_of_the_log()


def trust_concerns(watch: AuditWatch) -> Iterator[Concern]:
    """For who may see the settings: the log is everybody's, and so is its state."""
    where = reverse("settings") + "#audit-log"
    if watch.bad_seq is not None:
        text = now("%(why)s. Run verify_audit_log, and compare with the checkpoints.") % {"why": watch.bad_why.capitalize()}
        yield Concern("bad", "unlink", now("The audit log is broken at entry %(seq)d") % {"seq": watch.bad_seq}, text, where)
    elif watch.trouble:
        yield Concern("warn", "file-x", now("No checkpoint of the audit log is written"), watch.trouble, where)
