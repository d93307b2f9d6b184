from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from gateway.destinations import of_consumer
from gateway.models.base import check_custom, refuse
from secrets_app.actor import Actor
from secrets_app.errors import Invalid, NotFound
from secrets_app.models import Key, Reference, Region
from secrets_app.plaintext import Plaintext

if TYPE_CHECKING:
    from gateway.models.consumer import Consumer

SYSTEM, CUSTOM, REFERENCE = "system", "custom", "reference"
CREDENTIALS_A_CONSUMER = 10


def path(number: int) -> str:
    """Where a reference to a key says that it stands."""
    return f"credentials[{number}]"


@dataclass(frozen=True, slots=True)
class NewCredential:
    """What a caller shall present: a value of its own (system-generated or custom), or a named key to refer to."""

    generation: str
    value: Plaintext | None = None
    key_name: str = ""
    trimmed: bool = False


class Credential(models.Model):
    """One of the values that a consumer may present; each is accepted as well as the others. Its key is found by the reference.

    The number is given to no other credential of the consumer, also when this one is gone: access logs and the audit log tell it.
    """

    consumer: "models.ForeignKey[Consumer, Consumer]" = models.ForeignKey("Consumer", on_delete=models.CASCADE, related_name="credentials")
    number = models.PositiveIntegerField()
    generation = models.CharField(max_length=16)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["consumer", "number"], name="credential_number_once")]

    def __str__(self) -> str:
        return f"{self.consumer_id} {self.path}"

    @property
    def path(self) -> str:
        return path(self.number)

    @property
    def place(self) -> int:
        """As people count: the first is 1."""
        return self.number + 1

    @property
    def reference(self) -> Reference:
        """Raises NotFound: without one the credential is gone, removed since it was read."""
        if (reference := self.consumer.references.filter(path=self.path).first()) is None:
            raise NotFound()
        return reference

    # What deeds of the consumer call inside their own deed

    def _bind(self, new: NewCredential, by: Actor) -> None:
        """Raises Invalid (fields key, value, generation), NotAllowed without key.bind for a reference."""
        region = self.consumer.region
        if new.generation == REFERENCE:
            by.require("key.bind", region)
            key = find_key_to_bind(region, new.key_name, by)
            if self.consumer.references.filter(key=key).exists():
                raise Invalid({"key": [str(_("This consumer refers to this key already. Choose another."))]})
        elif new.generation in (SYSTEM, CUSTOM) and new.value is not None:
            refuse(check_custom(new.value, "value"))
            key = Key._new_inline(region, new.value, by, to=of_consumer())
        else:
            raise Invalid({"generation": [str(_("Choose one of the generation methods listed."))]})
        try:
            key._bind(self.consumer.audit_kind, self.consumer_id, self.path, to=of_consumer(), by=by, inbound=True)
        except Invalid as refused:
            raise Invalid({"key" if new.generation == REFERENCE else "value": refused.errors["key"]}) from None
        self.consumer._note(key)

    def _release(self) -> str:
        """The name of the key that it referred to, which lives on; nothing for a value of its own, which is erased."""
        reference = self.reference
        reference.key._unbind(reference)
        return reference.key.audit_name


def find_key_to_bind(region: Region, name: str, by: Actor) -> Key:
    """The named key a holder shall refer to; unknown and foreign names are answered alike. Raises Invalid (field "key")."""
    try:
        return Key.visible_to(by, region).find(name)
    except NotFound:
        text = _("No key is named “%(name)s” in this region. Choose one from the list, or create it first.") % {"name": name[:64]}
        raise Invalid({"key": [str(text if name else _("Choose a key."))]}) from None
