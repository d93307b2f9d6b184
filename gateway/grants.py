"""Authorizations from a consumer's side. The verb is the services' own."""

from collections.abc import Sequence

from django.utils.translation import gettext_lazy as _

from gateway.models import Consumer, Service
from gateway.models.service import ServiceQuerySet
from secrets_app.actor import Actor
from secrets_app.errors import Invalid


def authorize_on(consumer: Consumer, services: ServiceQuerySet[Service], names: Sequence[str], *, by: Actor) -> None:
    """Let the consumer call those of the services: a deed and an entry each, as each service's own page would make it.

    Whatever would be refused is refused before anything is done. Raises Invalid (field "services") for none and for unknown names,
    Conflict where the consumer is authorized already.
    """
    wanted = sorted(set(names))
    if not wanted:
        raise Invalid({"services": [str(_("Choose at least one service."))]})
    found = {service.name: service for service in services.filter(name__in=wanted)}
    if unknown := [name for name in wanted if name not in found]:
        raise Invalid({"services": [str(_("No service of this sort is named “%(name)s” on this instance.") % {"name": unknown[0][:64]})]})
    granted = set(consumer.authorizations.filter(service__in=found.values()).values_list("service", flat=True))
    for service in sorted(found.values(), key=lambda one: one.pk not in granted):  # the one that refuses comes first
        service.authorize([consumer.name], by=by)
