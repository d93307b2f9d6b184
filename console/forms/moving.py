"""Moving every reference of a key to another one."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from console.forms.base import DeedForm
from gateway.moving import Plan

PREVIEW, MOVE, CHOOSE = "preview", "move", "choose"


class MoveKey(DeedForm):
    """Two steps: everything that would change is shown first, and done by the second post. `seen` is what was shown, for the verb to
    compare with; `step` says which was pressed."""

    to = forms.CharField(
        label=_("Move to"),
        strip=False,
        max_length=64,
        help_text=_("Every holder refers to this key afterwards. Nothing changes before you have seen what would."),
        error_messages={"required": _("Choose a key.")},
    )
    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.step = self.data.get("step", PREVIEW) if self.is_bound else CHOOSE

    def place(self, field: str) -> str | None:
        return super().place("to" if field == "key" else field)

    def show(self, plan: Plan) -> None:
        """For the form as it is shown again: whoever confirms now has seen this plan."""
        self._fill_in("seen", plan.seen)
