"""Custom plug-ins, and the texts of rules."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from console.facts.plugins import PHASES
from console.forms.base import DeedForm, DescriptionField
from gateway.models import CustomPlugin, Rule
from gateway.plugins.base import Official
from gateway.plugins.document import Fault, normal
from gateway.plugins.withhold import withhold

REVIEW, SAVE, EDIT = "review", "save", "edit"
VERSION = ("description", "phase", "priority", "source", "schema")


class CodeField(forms.Field):
    """The text as it will be stored. What is wrong with it, an invisible character too, is told by the verb."""

    def __init__(self, *, rows: int = 16, **kwargs: Any) -> None:
        quiet = {"spellcheck": "false", "autocapitalize": "off", "autocomplete": "off", "wrap": "off"}
        super().__init__(widget=forms.Textarea(attrs={"rows": rows} | quiet), required=False, **kwargs)

    def to_python(self, value: Any) -> str:
        return normal(value or "")


class WriteRule(DeedForm):
    """Two steps: what was typed is shown as changes first, and saved by the second post. `step` says which was pressed."""

    text = CodeField(label=_("Configuration"))
    enabled = forms.BooleanField(
        label=_("Enable this rule"), required=False, help_text=_("While it is disabled it does nothing, and keeps its references.")
    )

    def __init__(self, *args: Any, rule: Rule | None, official: Official, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.update(
            text=rule.text if rule else official.example,
            enabled=rule.enabled if rule else True,
            lock_version=rule.lock_version if rule else None,
        )
        self.step = self.data.get("step", REVIEW) if self.is_bound else EDIT
        self.official = official
        self.withheld: tuple[int, ...] = ()

    @property
    def typed(self) -> str:
        """What the editor shows."""
        return normal(self["text"].value() or "")

    def find(self, faults: Sequence[Fault]) -> None:
        if faults:
            self.add_error("text", [ValidationError(str(fault)) for fault in faults])
            self.status = 422

    def withhold(self) -> None:
        """A text that is refused comes back without what looks like a credential in it: `withheld` are the lines where one stood."""
        shown = withhold(self.official, self.typed)
        self.withheld = shown.lines
        self._fill_in("text", shown.text)


class CustomPluginForm(DeedForm):
    """A version of a custom plug-in."""

    description = DescriptionField()
    phase = forms.ChoiceField(
        label=_("Phase"),
        choices=list(PHASES.items()),
        initial="default",
        help_text=_("Phases run in this order, for every request."),
    )
    priority = forms.IntegerField(
        label=_("Priority"),
        initial=100,
        help_text=_("From 0 to 1000. Within a phase the bigger runs first."),
        error_messages={"required": _("Enter a whole number from 0 to 1000."), "invalid": _("Enter a whole number from 0 to 1000.")},
    )
    source = CodeField(
        label=_("Script"),
        help_text=_(
            "Lua that defines envoy_on_request(handle, config), envoy_on_response(handle, config), or both. No credential belongs in it."
        ),
    )
    schema = CodeField(
        label=_("Schema"),
        rows=10,
        help_text=_("JSON Schema of what a rule may say. A field of type “string” with “x-secret”: true takes $ref{name}."),
    )

    def version(self) -> dict[str, Any]:
        """As the verbs take it."""
        return {name: self.cleaned_data[name] for name in VERSION}


class CreateCustomPlugin(CustomPluginForm):
    name = forms.CharField(
        label=_("Name"),
        strip=False,
        max_length=200,
        help_text=_("Lower-case letters, digits, hyphens and underscores. It cannot be changed later."),
        error_messages={"required": _("Enter a name.")},
    )
    field_order = ("name",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.update(source=SOURCE, schema=SCHEMA)


class EditCustomPlugin(CustomPluginForm):
    def __init__(self, *args: Any, plugin: CustomPlugin, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.update({name: getattr(plugin, name) for name in VERSION}, lock_version=plugin.lock_version)


SOURCE = """\
function envoy_on_request(handle, config)
  handle:headers():add("x-token", config.token)
end
"""
SCHEMA = """\
{
  "type": "object",
  "required": ["token"],
  "properties": {
    "token": {
      "type": "string",
      "x-secret": true,
      "description": "Sent to the back end in x-token."
    }
  }
}
"""
