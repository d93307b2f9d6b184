"""Choosing among many: who may call a service, and which services a consumer may call."""

import re
from collections.abc import Iterable
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from console.forms.base import DeedForm
from gateway.models import Instance

AT_ONCE = 200  # authorized by one post
TOO_MANY = format_lazy(_("Authorize at most {limit} at once."), limit=AT_ONCE)


class Picks(DeedForm):
    """Things by name: ticked in the list, or typed. The field is the search as well: what is left in it counts only where it is
    a name, or where nothing is ticked."""

    ticks: ClassVar[str]  # the name of the boxes, and of the field as the verb knows it

    q = forms.CharField(
        required=False,
        strip=False,
        max_length=AT_ONCE * 64,
        error_messages={"max_length": TOO_MANY},
        help_text=_("Search and tick, or type names with spaces between them."),
    )

    @property
    def ticked(self) -> list[str]:
        return [name.replace("\0", "") for name in dict.fromkeys(self.data.getlist(self.ticks))] if isinstance(self.data, QueryDict) else []

    @property
    def typed(self) -> str:
        return str(self["q"].value() or "").strip()

    def clean(self) -> dict[str, Any]:
        if "q" not in self.errors and len({*self.ticked, *self._typed_names()}) > AT_ONCE:
            self.add_error("q", ValidationError(TOO_MANY))
        return self.cleaned_data

    def names(self, free: QuerySet[Any]) -> list[str]:
        """Of those that may be chosen. One query where something is both ticked and typed."""
        typed = self._typed_names()
        if self.ticked and typed:
            typed = list(free.filter(name__in=typed).values_list("name", flat=True))
        return list(dict.fromkeys([*self.ticked, *typed]))

    def _typed_names(self) -> list[str]:
        return [name for name in re.split(r"[\s,]+", self.typed) if name]

    def place(self, field: str) -> str | None:
        return "q" if field == self.ticks else super().place(field)


class AuthorizeConsumers(Picks):
    ticks = "consumers"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["q"].label = _("Consumers")


class AuthorizeServices(Picks):
    """An instance, and services there. Boxes that were ticked on another instance do not count: `shown` says whose they are."""

    ticks = "services"

    instance = forms.ChoiceField(label=_("Instance"), error_messages={"required": _("Choose an instance.")})

    def __init__(self, *args: Any, instances: Iterable[Instance], asked: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._instances = {one.ref: one for one in instances}
        self.fields["q"].label = _("Services")
        field = self.fields["instance"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(ref, f"{one.name} ({ref})") for ref, one in self._instances.items()]
        self.initial["instance"] = asked if asked in self._instances else next(iter(self._instances), "")

    @property
    def chosen(self) -> Instance | None:
        return self._instances.get(str(self["instance"].value() or ""))

    @property
    def ticked(self) -> list[str]:
        chosen = str(self["instance"].value() or "")
        return super().ticked if self.data.get("shown", chosen) == chosen else []
