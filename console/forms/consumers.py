"""Creating a consumer and editing it: how its callers authenticate, and where they put what they present."""

from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from console.forms.base import DescriptionField
from console.forms.branches import BranchedForm, Branches
from console.forms.credentials import CredentialForm
from console.forms.jwt import JwtForm
from gateway.methods import API_KEY, JWT, METHODS
from gateway.models import Consumer
from gateway.models.presented import Presented
from gateway.sources import BEARER, Source

ENABLED, DISABLED = "enabled", "disabled"
HEADERS = ("header", "header_2", "header_3")


class SourcesForm(BranchedForm):
    """Where callers put it: Authorization, up to three headers, or one query parameter."""

    source_kind = forms.ChoiceField(
        label=_("Credential source"),
        choices=[("bearer", "Authorization: Bearer"), ("header", _("Custom HTTP header")), ("query", _("Custom query parameter"))],
        initial=BEARER.kind,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one of the sources listed.")},
    )
    header = forms.CharField(
        label=_("Header"), strip=False, initial="x-api-key", error_messages={"required": _("Enter the header's name, such as x-api-key.")}
    )
    header_2 = forms.CharField(label=_("Second header"), strip=False, required=False)
    header_3 = forms.CharField(label=_("Third header"), strip=False, required=False)
    with_bearer = forms.BooleanField(label=_("Authorization: Bearer as well"), required=False)
    parameter = forms.CharField(
        label=_("Parameter"),
        strip=False,
        initial="api_key",
        error_messages={"required": _("Enter the parameter's name, such as api_key.")},
    )

    def branches(self) -> Branches:
        return super().branches() | {"source_kind": {"header": (*HEADERS, "with_bearer"), "query": ("parameter",)}}

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(self._placed().values())

    def place(self, field: str) -> str | None:
        """The verb counts the sources it was given; the form has them in fields of their own."""
        if field.startswith("source_") and (number := field.removeprefix("source_")).isdigit():
            return list(self._placed())[int(number)]
        return super().place(field)

    def _placed(self) -> dict[str, Source]:
        """By the field that holds it."""
        given = self.cleaned_data
        if given["source_kind"] == "query":
            return {"parameter": Source("query", given["parameter"])}
        if given["source_kind"] == "header":
            headers = {name: Source("header", given[name].lower()) for name in HEADERS if given[name]}
            return headers | ({"with_bearer": BEARER} if given["with_bearer"] else {})
        return {"source_kind": BEARER}


class CreateConsumer(JwtForm, CredentialForm, SourcesForm):
    method_hints: ClassVar = {API_KEY: _("Supports references"), JWT: _("Signed tokens, known by a claim")}

    name = forms.CharField(
        label=_("Consumer name"),
        strip=False,
        help_text=_("Lower-case letters, digits, hyphens and underscores, up to 63. It cannot be changed later."),
        error_messages={"required": _("Enter a name for the consumer.")},
    )
    authentication = forms.ChoiceField(
        label=_("Authentication method"),
        choices=list(METHODS.items()),
        initial=API_KEY,
        widget=forms.RadioSelect,
        required=False,
    )
    state = forms.ChoiceField(
        label=_("Status"),
        choices=[(ENABLED, _("Enabled")), (DISABLED, _("Disabled"))],
        initial=ENABLED,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one of the two.")},
    )
    description = DescriptionField(widget=forms.Textarea(attrs={"rows": 2}))

    field_order = (
        "name", "authentication", "generation", "value", "key", "source_kind", *HEADERS, "with_bearer", "parameter", *JwtForm.jwt_order,
        "state", "description",
    )  # fmt: skip

    def branches(self) -> Branches:
        """Choices within a method count only where it is chosen."""
        of_key = ("generation", "value", "key", "source_kind", *HEADERS, "with_bearer", "parameter")
        return super().branches() | {"authentication": {API_KEY: of_key, JWT: JwtForm.jwt_order}}

    def clean_authentication(self) -> str:
        return self.cleaned_data["authentication"] or API_KEY

    @property
    def chosen_method(self) -> str:
        """That the page shows now, whatever is wrong with the rest."""
        return str(self["authentication"].value())

    def presented(self) -> Presented:
        return self.new_jwt() if self.cleaned_data["authentication"] == JWT else self.new_credential()

    @property
    def sources(self) -> tuple[Source, ...]:
        """Of a token its own place counts."""
        return (BEARER,) if self.cleaned_data["authentication"] == JWT else super().sources

    @property
    def enabled(self) -> bool:
        return bool(self.cleaned_data["state"] == ENABLED)


class EditConsumer(SourcesForm):
    """Starts from what is stored. Its credentials have forms of their own."""

    description = DescriptionField(widget=forms.Textarea(attrs={"rows": 2}))

    field_order = ("description", "source_kind", *HEADERS, "with_bearer", "parameter")

    def __init__(self, *args: Any, consumer: Consumer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial = {
            **self.initial,
            "lock_version": consumer.lock_version,
            "description": consumer.description,
            **_initial_sources(consumer.sources),
        }


class SwitchToApiKey(CredentialForm, SourcesForm):
    field_order = ("generation", "value", "key", "source_kind", *HEADERS, "with_bearer", "parameter")

    def __init__(self, *args: Any, consumer: Consumer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["lock_version"] = consumer.lock_version


def _initial_sources(sources: tuple[Source, ...]) -> dict[str, Any]:
    if sources == (BEARER,):
        return {"source_kind": "bearer"}
    if sources[0].kind == "query":
        return {"source_kind": "query", "parameter": sources[0].name}
    headers = dict(zip(HEADERS, (source.name for source in sources if source != BEARER), strict=False))
    return {"source_kind": "header", "with_bearer": BEARER in sources, **headers}
