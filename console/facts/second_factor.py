"""The policy on second factors, as Settings and the overview tell it."""

from dataclasses import dataclass
from typing import Self

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _

from console.facts.overview import Concern
from secrets_app.access import KEY_MANAGER, OWNER, ROLES
from secrets_app.actor import Actor
from secrets_app.models import Deployment, User
from secrets_app.models.region import asking_second_factor
from secrets_app.scope import EVERYWHERE

_DECIDING = frozenset({OWNER, KEY_MANAGER})


@dataclass(frozen=True, slots=True)
class SecondFactorPolicy:
    roles: frozenset[str]
    chosen: bool

    @classmethod
    def of_now(cls) -> Self:
        stored = Deployment.objects.values_list("second_factor_for", flat=True).first()
        return cls(asking_second_factor(stored), stored is not None)

    @property
    def labels(self) -> list[str]:
        return [str(label) for role, (label, _text) in ROLES.items() if role in self.roles]

    @property
    def text(self) -> str:
        """Why it is so."""
        if self.chosen:
            return _("Chosen here.")
        if settings.SECURE:
            return _("The default of a console that is served over TLS.")
        return _("The default of a console for this machine alone. Behind TLS, owners and key managers need one.")

    @property
    def lacking(self) -> int:
        """How many people have none."""
        return User.objects.filter(is_active=True, has_second_factor=False).count()


def password_alone(actor: Actor) -> list[Concern]:
    """For whoever can change it, where the console is open to a network."""
    if not settings.SECURE or not actor.may("settings.edit_second_factor", EVERYWHERE):
        return []
    if SecondFactorPolicy.of_now().roles >= _DECIDING:
        return []
    text = _("A stolen password is enough to be one of them. Settings, Second factor, changes that.")
    return [
        Concern("warn", "shield-alert", _("Owners or key managers need no second factor"), text, reverse("settings") + "#second-factor")
    ]
