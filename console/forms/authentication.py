"""How callers of a service have to show who they are."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from console.forms.base import DeedForm
from gateway.methods import METHODS
from gateway.models import Service


class RequireAuthentication(DeedForm):
    method = forms.ChoiceField(label=_("Authentication method"), choices=list(METHODS.items()), widget=forms.RadioSelect, required=False)

    def __init__(self, *args: Any, service: Service, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.service = service
        self.initial["method"] = service.authentication_method
        self.fields["method"].choices = [(method, METHODS[method]) for method in service.methods]  # type: ignore[attr-defined]

    def clean_method(self) -> str:
        return self.cleaned_data["method"] or self.service.authentication_method

    @property
    def hints(self) -> dict[str, str]:
        """How many of the authorized consumers authenticate in each way."""
        counts = {method: self.service.consumers.filter(method=method).count() for method in self.service.methods}
        return {method: ngettext("%(n)d authorized consumer", "%(n)d authorized consumers", n) % {"n": n} for method, n in counts.items()}
