"""Testing a connection: which of a service's keys is shown to its back end."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext as now
from django.utils.translation import gettext_lazy as _

from console.forms.base import DeedForm
from gateway.agents import app_of
from secrets_app.models import Reference


class TestConnection(DeedForm):
    """Asks nothing where there is nothing to choose."""

    __test__ = False  # its name would make pytest collect it

    path = forms.ChoiceField(label=_("API Key"), error_messages={"required": _("Choose one of the service's keys.")})

    def __init__(self, *args: Any, uses: Sequence[Reference], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.only = uses[0].path if len(uses) == 1 else ""
        if len(uses) > 1:
            choices = [(use.path, _called(use, number)) for number, use in enumerate(uses, start=1)]
            self.fields["path"].choices = choices  # type: ignore[attr-defined]
        else:
            del self.fields["path"]

    @property
    def chosen(self) -> str:
        return str(self.cleaned_data.get("path", self.only))


def _called(use: Reference, number: int) -> str:
    name = f"$ref{{{use.key.name}}}" if use.key.name else now("Value %(n)d of its own") % {"n": number}
    app = app_of(use.path)
    return f"{app}: {name}" if app else name
