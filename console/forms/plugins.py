"""Plug-ins of an instance, and the texts of their rules."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from console.forms.base import DeedForm
from gateway.models import Rule
from gateway.plugins.base import Official
from gateway.plugins.document import Fault, normal
from gateway.plugins.withhold import withhold

REVIEW, SAVE, EDIT = "review", "save", "edit"


class YamlField(forms.Field):
    """The text as it will be stored. What is wrong with it, an invisible character too, is told with its line by the rule."""

    widget = forms.Textarea(attrs={"rows": 16, "spellcheck": "false", "autocapitalize": "off", "autocomplete": "off", "wrap": "off"})

    def to_python(self, value: Any) -> str:
        return normal(value or "")


class WriteRule(DeedForm):
    """Two steps: what was typed is shown as changes first, and saved by the second post. `step` says which was pressed."""

    text = YamlField(label=_("Configuration"), required=False)
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
