"""What the web process asks of the control plane, which alone can open a value. How the answer travels is in secrets_app/channel.py."""

import time
import uuid
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from django.db import models
from django.utils import timezone

from secrets_app import keyring
from secrets_app.channel import About, Answer, Asker, named, proof
from secrets_app.errors import NoAnswer
from secrets_app.models.audit import Draft
from secrets_app.models.region import Deployment
from secrets_app.operations import following

PATIENCE = 2.0  # seconds that a request waits for what is in the control plane's memory and database
LIFETIME = timedelta(minutes=1)  # of an errand and of the entry behind it: what is older is answered to nobody

_LOOK = 0.01  # seconds between two looks at the one row


class Errand(models.Model):
    """One question, for as long as the request that asks it. Its id is the operation of the audit entry that allows it, and that entry
    says all there is to know: what is asked, about what, and by whom. Here are public keys and ciphertext alone.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    public_key = models.BinaryField(max_length=32)
    proof = models.BinaryField(max_length=32)
    made_at = models.DateTimeField(default=timezone.now)
    taken = models.BooleanField(default=False)  # the control plane is at it
    answer = models.BinaryField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["made_at"])]

    def __str__(self) -> str:
        return str(self.pk)

    @classmethod
    def shared(cls) -> bytes:
        """What both processes know and the database does not. Raises CannotSeal."""
        return keyring.derived(b"errands")

    @classmethod
    def outcome_of(cls, errand: UUID) -> UUID:
        """The operation of the entry that says what became of it. An operation stands in the log once: so does an outcome."""
        return following(b"outcome", errand.bytes)

    @classmethod
    def _send(cls, errand: UUID, asker: Asker, entry: Draft) -> None:
        """Within the deed whose entry allows it: neither is there without the other."""
        cls.objects.create(pk=errand, public_key=asker.public, proof=proof(cls.shared(), Deployment.here().pk, errand, asker.public))
        entry.facts |= {"public_key": named(asker.public)}

    @classmethod
    def fetch(cls, about: About, asker: Asker, *, at_work: float = PATIENCE) -> Answer:
        """Waits, and so long for one that the control plane is at; the row is gone afterwards, come what may. Raises NoAnswer, and
        CannotOpen for what is no answer to this."""
        row = cls.objects.filter(pk=about.errand)
        try:
            sealed = cls._wait(row, at_work)
        finally:
            row.delete()
        return asker.read(sealed, about, cls.shared())

    @classmethod
    def sweep(cls) -> None:
        """What a request left behind that ended before its time."""
        old = list(cls.objects.filter(made_at__lt=timezone.now() - LIFETIME).values_list("pk", flat=True)[:500])
        if old:
            cls.objects.filter(pk__in=old).delete()

    @classmethod
    def _wait(cls, row: "models.QuerySet[Errand]", at_work: float) -> bytes:
        began = time.monotonic()
        while found := row.values_list("answer", "taken").first():
            answer, taken = found
            if answer is not None:
                return bytes(answer)
            # Withdrawn unanswered, nobody can answer it any more; where that fails it was answered just now.
            if time.monotonic() > began + (at_work if taken else PATIENCE) and row.filter(answer=None).delete()[0]:
                break
            time.sleep(_LOOK)  # another process answers, through the database alone, and on SQLite a row tells nobody when it changes
        raise NoAnswer()
