"""A region as it is stored, read as the control plane reads it: for what deeds do to a gateway that runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from gateway import stocktaking
from gateway.inventory import Inventory
from secrets_app.models import KeyVersion
from secrets_app.plaintext import Plaintext
from secrets_app.resolver import Resolver


@dataclass
class Stored:
    """To be published as a Region is."""

    pk: UUID

    @property
    def inventory(self) -> Inventory:
        return stocktaking.load(self.pk)

    @property
    def values(self) -> Mapping[UUID, Plaintext]:
        return Resolver().resolve(KeyVersion.objects.filter(key__region=self.pk).values_list("pk", flat=True))
