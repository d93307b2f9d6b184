"""What the control plane last knew of the audit log itself: one status row, which it alone writes."""

from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.utils import timezone

LATE = timedelta(minutes=5)  # a checkpoint takes a minute; one that is not there after five is told


class AuditWatch(models.Model):
    """Up to where the whole chain was found whole, or where not; up to where a checkpoint vouches for it, and why no further."""

    verified_seq = models.BigIntegerField(default=0)
    verified_at = models.DateTimeField(null=True)
    bad_seq = models.BigIntegerField(null=True)
    bad_why = models.CharField(max_length=300, blank=True)
    checkpoint_seq = models.BigIntegerField(default=0)
    checkpoint_at = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True)  # when an entry last stated checkpoints
    told_seq = models.BigIntegerField(default=0)
    untold = models.PositiveIntegerField(default=0)  # checkpoints since then
    trouble = models.CharField(max_length=400, blank=True)
    trouble_since = models.DateTimeField(null=True)
    sink = models.CharField(max_length=400, blank=True)
    public_key = models.CharField(max_length=64, blank=True)

    @classmethod
    def here(cls) -> Self:
        """An unsaved one before the control plane has looked for the first time."""
        return cls.objects.filter(pk=1).first() or cls(pk=1)

    @classmethod
    def note(cls, **columns: Any) -> None:
        if not cls.objects.filter(pk=1).update(**columns):
            cls.objects.get_or_create(pk=1, defaults=columns)

    def is_late(self, head_seq: int, last_at: datetime | None) -> bool:
        """Whether entries wait for a checkpoint longer than they should; `last_at` is when the newest was written."""
        return head_seq > self.checkpoint_seq and (self.checkpoint_at or last_at or timezone.now()) < timezone.now() - LATE
