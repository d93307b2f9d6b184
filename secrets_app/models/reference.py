from typing import ClassVar

from django.db import models


class Reference(models.Model):
    """A use of a key: by which holder, and where in it. The row is the binding; nothing stores a second copy.

    `inbound` tells the direction of trust: callers present the value to us, or (outbound) we present it to a back end.
    `realm` names the list that callers are looked up in: two references of one realm never hold equal values. Empty when outbound.
    """

    REGION = "region"  # the realm of all consumers of a region

    key = models.ForeignKey("secrets_app.Key", on_delete=models.PROTECT, related_name="references")
    holder_kind = models.CharField(max_length=20)
    holder_id = models.BigIntegerField()
    path = models.CharField(max_length=200)
    inbound = models.BooleanField()
    realm = models.CharField(max_length=32, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["holder_kind", "holder_id", "path", "key"], name="one_reference_a_place")]
        indexes: ClassVar = [models.Index(fields=["key", "holder_kind", "holder_id"])]

    def __str__(self) -> str:
        return f"{self.holder_kind} {self.holder_id} {self.path}"
