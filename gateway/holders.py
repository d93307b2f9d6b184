"""Holders of keys, told to people: from reference rows to names, places and instances. One row in KINDS per kind of holder."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from gateway.models import Consumer, Service
from secrets_app.models import Key, Reference


@dataclass(frozen=True, slots=True)
class Kind:
    """`describe` maps holder ids to (name, instance ref, instance name); the last two are empty for what belongs to a whole region."""

    one: Promise
    many: Promise
    place: Promise
    describe: Callable[[set[int]], dict[int, tuple[str, str, str]]]


@dataclass(frozen=True, slots=True)
class Holder:
    """One use of a key, as the Referenced drawer shows it."""

    kind: str
    id: int
    name: str
    place: str
    path: str
    instance_ref: str
    instance_name: str
    inbound: bool


def _consumers(ids: set[int]) -> dict[int, tuple[str, str, str]]:
    return {pk: (name, "", "") for pk, name in Consumer.objects.filter(pk__in=ids).values_list("pk", "name")}


def _services(ids: set[int]) -> dict[int, tuple[str, str, str]]:
    rows = Service.objects.filter(pk__in=ids).values_list("pk", "name", "instance__ref", "instance__name")
    return {pk: (name, ref, instance) for pk, name, ref, instance in rows}


KINDS: dict[str, Kind] = {
    "consumer": Kind(_("Consumer"), _("Consumers"), _("Authentication method › Bind Key"), _consumers),
    "ai_service": Kind(_("AI service"), _("AI services"), _("Large Model Configuration › API Key"), _services),
}


def describe(references: Iterable[Reference]) -> list[Holder]:
    """In the order given. One query per kind that occurs. A holder that has gone meanwhile is left out."""
    references = list(references)
    named = {
        kind: row.describe({reference.holder_id for reference in references if reference.holder_kind == kind})
        for kind, row in KINDS.items()
        if any(reference.holder_kind == kind for reference in references)
    }
    holders = []
    for reference in references:
        if found := named[reference.holder_kind].get(reference.holder_id):
            name, ref, instance = found
            place = _place(reference)
            holders.append(
                Holder(reference.holder_kind, reference.holder_id, name, place, reference.path, ref, instance, reference.inbound)
            )
    return holders


def senders(key: Key) -> int:
    """How many holders show this key to a back end: whoever else is given it could go there directly."""
    return Reference.objects.filter(key=key, inbound=False).values("holder_kind", "holder_id").distinct().count()


def _place(reference: Reference) -> str:
    place = str(KINDS[reference.holder_kind].place)
    number = re.search(r"api_keys\[(\d+)]", reference.path)
    return f"{place} {int(number[1]) + 1}" if number and number[1] != "0" else place
