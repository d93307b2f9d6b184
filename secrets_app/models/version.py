"""The versions of a key: sealed values, and what was noted of each when it was sealed, since nobody in this process can look again."""

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from secrets_app import keyring
from secrets_app.actor import Actor
from secrets_app.db import alone_with
from secrets_app.envelope import Context, seal
from secrets_app.errors import CannotSeal, Invalid
from secrets_app.fingerprint import fingerprint
from secrets_app.models.reference import Reference
from secrets_app.models.region import Deployment
from secrets_app.plaintext import Plaintext

if TYPE_CHECKING:
    from secrets_app.models.key import Key


class KeyVersion(models.Model):
    """One immutable sealed value. `current` is handed out; `previous` is still accepted from callers until `accepted_until`."""

    CURRENT, PREVIOUS, RETIRED = "current", "previous", "retired"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.ForeignKey("Key", on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    stage = models.CharField(max_length=8, default=CURRENT)
    accepted_until = models.DateTimeField(null=True)
    body = models.BinaryField()
    wrapped = models.BinaryField()
    kek_id = models.CharField(max_length=64)
    fingerprint = models.BinaryField(max_length=16, null=True)
    header_safe = models.BooleanField()
    long_enough = models.BooleanField()
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=150)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["key", "number"], name="version_number_once"),
            models.UniqueConstraint(fields=["key"], condition=Q(stage="current"), name="one_current_version"),
            models.UniqueConstraint(fields=["key"], condition=Q(stage="previous"), name="one_previous_version"),
        ]
        indexes: ClassVar = [models.Index(fields=["fingerprint"]), models.Index(fields=["stage", "accepted_until"])]

    def __str__(self) -> str:
        return f"v{self.number}"

    @classmethod
    def accepted(cls, at: datetime | None = None) -> "models.QuerySet[KeyVersion]":
        """What callers may present at that moment: current versions, and previous ones whose overlap has not ended."""
        return cls.objects.filter(Q(stage=cls.CURRENT) | Q(stage=cls.PREVIOUS, accepted_until__gt=at or timezone.now()))

    @classmethod
    def equal_to(cls, key: "Key") -> "models.QuerySet[KeyVersion]":
        """Of other keys of its region, what callers may present now that is the key's current value."""
        current = cls.objects.filter(key=key, stage=cls.CURRENT)
        return cls.accepted().filter(fingerprint__in=current.values("fingerprint"), key__region_id=key.region_id).exclude(key=key)

    @property
    def is_accepted(self) -> bool:
        overlap = self.stage == self.PREVIOUS and self.accepted_until is not None and self.accepted_until > timezone.now()
        return self.stage == self.CURRENT or overlap

    @classmethod
    def sealed(cls, key: "Key", value: Plaintext, by: Actor, *, number: int) -> Self:
        """An unsaved version. What must be known of the value later is noted now. Raises CannotSeal."""
        wrapper = keyring.wrapper(key.master_key.kms_instance.uri)
        if wrapper.kek_id != key.master_key.kek_id:
            raise CannotSeal(
                _("The keyring in the data folder is not the one this deployment was set up with. Restore kms/ from your backup.")
            )
        version = cls(key=key, number=number, created_by=by.name)
        context = Context(Deployment.here().pk, key.region_id, key.pk, version.pk)
        sealed = seal(value, context, wrapper)
        version.body, version.wrapped, version.kek_id = sealed.body, sealed.wrapped, sealed.kek_id
        version.header_safe, version.long_enough = value.traits.header_safe, value.traits.long_enough
        version.fingerprint = fingerprint(keyring.fingerprint_key(), key.region_id, value)
        return version

    def why_unusable(self, *, inbound: bool) -> str:
        """What in the value keeps holders from using it: to send it, or (inbound) to accept it from callers. Empty when nothing does."""
        if not self.header_safe:
            return str(
                _(
                    "This value cannot travel in an HTTP header: it holds a line break, a control character, a character outside ASCII, "
                    "or begins or ends with a space. Store it in a form that can."
                )
            )
        if inbound and (not self.long_enough or self.fingerprint is None):
            return str(_("A consumer's value needs at least 16 characters: a shorter one could be guessed."))
        return ""

    def check_usable(self, realms: set[str]) -> None:
        """Raises Invalid (field "key") when a holder could not use this value: to send it, or in the given realms to accept it."""
        if why := self.why_unusable(inbound=bool(realms)):
            raise unusable(why)
        if not realms:
            return
        alone_with(bytes(self.fingerprint or b""))
        equal = KeyVersion.accepted().filter(fingerprint=self.fingerprint, key__region_id=self.key.region_id).exclude(key=self.key)
        if there := Reference.objects.filter(realm__in=realms, key__in=equal.values("key")).first():
            raise taken(there.realm)


def taken(realm: str) -> Invalid:
    # Whose it is stays untold: the answer would let anybody test guesses.
    if realm == Reference.REGION:
        return unusable(_("A consumer in this region uses the same value already. Every credential needs a value of its own."))
    return unusable(_("Another credential in the same list has the same value. Every caller needs a value of its own."))


GONE = _("This key was deleted a moment ago. Choose another.")


def unusable(message: Any) -> Invalid:
    """What a key's form shows at its value, and a holder's at the key it chose."""
    return Invalid({"key": [str(message)]})
