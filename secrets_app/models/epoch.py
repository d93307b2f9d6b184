"""Sealed epochs: runs of old entries that stand in an archive file instead of the log. Their rows are all that may let an entry go."""

import base64
import json
from typing import Any, ClassVar, Never, Self

from django.db import models

from secrets_app import chain
from secrets_app.framing import framed
from secrets_app.kms.signing import Verifier

SEALED = "A sealed epoch is never changed."
_SIGNED = ("archive", "digest", "entries", "first_prev_hash", "first_seq", "last_hash", "last_seq")


class SealedEpoch(models.Model):
    """Entries `first_seq` to `last_seq`, archived. Epochs follow one another without a gap, the first begins with entry 1.

    The triggers on the log let entries up to the last epoch's end be deleted, and no other. Who could write a row here could have
    entries deleted: therefore each is signed by the control plane, and whoever checks the log checks that too.
    """

    last_seq = models.BigIntegerField(primary_key=True)
    first_seq = models.BigIntegerField()
    first_prev_hash = models.CharField(max_length=64)
    last_hash = models.CharField(max_length=64)
    entries = models.BigIntegerField()
    archive = models.CharField(max_length=255)  # the file's name, without the folder it lies in
    digest = models.CharField(max_length=64)  # SHA-256 of that file
    sealed_at = models.DateTimeField(auto_now_add=True)
    signature = models.CharField(max_length=128)  # Ed25519 over content(), in base64

    class Meta:
        ordering: ClassVar = ["last_seq"]

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError(SEALED)
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> Never:
        raise TypeError(SEALED)

    def content(self) -> bytes:
        """What is signed."""
        said = {name: getattr(self, name) for name in _SIGNED}
        return framed(b"sealed epoch", json.dumps(said, sort_keys=True, separators=(",", ":")).encode())

    def is_signed(self, verifier: Verifier) -> bool:
        try:
            return verifier.knows(base64.b64decode(self.signature, validate=True), self.content())
        except ValueError:
            return False

    @classmethod
    def last(cls) -> Self | None:
        return cls.objects.order_by("-last_seq").first()

    @classmethod
    def chained(cls, verifier: Verifier | None = None) -> chain.Walk:
        """Where the entries in the database begin. Raises Broken when the epochs before them do not follow one another, or one was not
        signed by whom the verifier knows."""
        walk = chain.Walk()
        for epoch in cls.objects.order_by("last_seq").iterator(chunk_size=500):
            if epoch.first_seq != walk.seq + 1 or epoch.first_prev_hash != walk.head:
                raise chain.Broken(walk.seq + 1, "the sealed epochs before the log do not follow one another")
            if verifier and not epoch.is_signed(verifier):
                raise chain.Broken(epoch.first_seq, "the control plane did not sign the sealed epoch that took it out")
            walk = chain.Walk(epoch.last_seq, epoch.last_hash)
        return walk
