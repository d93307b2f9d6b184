"""What the audit log is narrowed by. The form is the address's query, so a view of the log can be kept and shared."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from secrets_app.access import ACTIONS
from secrets_app.actor import Actor
from secrets_app.models import AuditEntry, Region
from secrets_app.models.audit import OK, REFUSED
from secrets_app.models.looking import Search

# By the noun that an action's name begins with; the rest is told in the entry's own words.
NOUNS: dict[str, Promise] = {
    "key": _("Key"),
    "consumer": _("Consumer"),
    "instance": _("Instance"),
    "node": _("Node"),
    "service": _("Service"),
    "mcp": _("MCP service"),
    "plugin": _("Plug-in"),
    "rule": _("Plug-in rule"),
    "custom_plugin": _("Custom plug-in"),
    "user": _("User"),
}


class Moment(forms.DateTimeField):
    widget = forms.DateTimeInput({"type": "datetime-local"}, "%Y-%m-%dT%H:%M")

    def to_python(self, value: Any) -> datetime | None:
        """In UTC, as the log keeps it: an hour with an offset may lie there before the first year or after the last."""
        moment = super().to_python(value)
        try:
            return moment.astimezone(UTC) if moment else None
        except OverflowError:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None


class AuditFilter(forms.Form):
    since = Moment(label=_("From (UTC)"), required=False)
    until = Moment(label=_("To (UTC)"), required=False)
    actor = forms.CharField(label=_("Actor"), required=False, max_length=150, widget=forms.TextInput({"placeholder": _("whole name")}))
    action = forms.ChoiceField(label=_("Action"), required=False)
    object = forms.CharField(
        label=_("Object"), required=False, max_length=200, widget=forms.TextInput({"placeholder": _("beginning of its name")})
    )
    outcome = forms.ChoiceField(
        label=_("Outcome"), required=False, choices=[("", _("Any outcome")), (OK, _("Done")), (REFUSED, _("Refused"))]
    )
    region = forms.ChoiceField(label=_("Region"), required=False)
    address = forms.GenericIPAddressField(label=_("Address"), required=False)
    request = forms.RegexField(label=_("Request ID"), required=False, regex=r"[0-9a-f]{32}")
    session = forms.RegexField(regex=r"[0-9a-f]{16,64}", required=False, widget=forms.HiddenInput)
    about = forms.CharField(required=False, max_length=100, widget=forms.HiddenInput)  # one object whatever its name: "key:<id>"

    def __init__(self, query: Any, actor: Actor) -> None:
        super().__init__(query)
        for field in self.fields.values():
            field.widget.attrs["class"] = "select" if isinstance(field, forms.ChoiceField) else "input"
        self._regions = list(Region.visible_to(actor))
        self.fields["region"].choices = [("", _("All regions")), *((r.name, r.title) for r in self._regions)]  # type: ignore[attr-defined]
        self.fields["action"].choices = [("", _("Any action")), *_actions()]  # type: ignore[attr-defined]

    def clean_about(self) -> str:
        about: str = self.cleaned_data["about"]
        if about and not re.fullmatch(r"[a-z_]{1,32}:[0-9a-f-]{1,64}", about):
            raise forms.ValidationError(_("This object is not known."))
        return about

    def clean_until(self) -> datetime | None:
        until: datetime | None = self.cleaned_data["until"]
        if until and (since := self.cleaned_data.get("since")) and until < since:
            raise forms.ValidationError(_("Choose a time after the one in From (UTC)."))
        return until

    def search(self) -> Search:
        """Only of a form that is valid."""
        asked = self.cleaned_data
        kind, _colon, pk = asked["about"].partition(":")
        return Search(
            since=asked["since"],
            until=asked["until"],
            actor=asked["actor"],
            action=asked["action"],
            object=asked["object"],
            outcome=asked["outcome"],
            region_id=self._region_id(asked["region"]),
            address=asked["address"],
            request_id=asked["request"],
            session=asked["session"],
            kind=kind,
            pk=pk,
        )

    def narrow(self, entries: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """The entries asked for; none while something asked for cannot be read."""
        return self.search().among(entries) if self.is_valid() else entries.none()

    @property
    def query(self) -> str:
        """For the address of another page about the same entries."""
        asked = QueryDict(mutable=True)
        asked.update({name: self.data[name] for name in self.fields if self.data.get(name)})
        return f"?{asked.urlencode()}" if asked else ""

    def told(self) -> list[tuple[str, str]]:
        """What is asked for, in words."""
        asked = [(field, self.data.get(field.name, "")) for field in self.visible_fields()]
        told = [(str(field.label), str(dict(_flat(field.field)).get(said, said))) for field, said in asked if said]
        return told + ([(str(_("Object")), self.data["about"])] if self.data.get("about") else [])

    @property
    def narrows(self) -> bool:
        return any(self.data.get(name) for name in self.fields)

    def _region_id(self, name: str) -> UUID | None:
        return next((region.pk for region in self._regions if region.name == name), None)


def _flat(field: forms.Field) -> list[tuple[str, str]]:
    """The choices of a field without their groups."""
    found: list[tuple[str, str]] = []
    for value, label in getattr(field, "choices", ()):
        found += label if isinstance(label, list) else [(value, label)]
    return found


def _actions() -> list[tuple[Promise, list[tuple[str, str]]]]:
    """Groups of choices: what there is to tell of a key, of a consumer, and so on; last what belongs to the console itself."""
    nouns = {name: name.partition(".")[0] for name in ACTIONS}
    groups = [(label, [name for name in ACTIONS if nouns[name] == noun]) for noun, label in NOUNS.items()]
    groups.append((_("Console"), [name for name in ACTIONS if nouns[name] not in NOUNS]))
    return [(label, [(name, capfirst(str(ACTIONS[name].text))) for name in names]) for label, names in groups]
