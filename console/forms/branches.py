"""Forms with choices that ask for more: every branch stands in the first HTML, and only the chosen one is read."""

from typing import Any

from console.forms.base import DeedForm

Branches = dict[str, dict[str, tuple[str, ...]]]


class BranchedForm(DeedForm):
    """What stands in the fields of branches that are not chosen is neither checked nor kept."""

    def branches(self) -> Branches:
        """Choice field -> option -> the fields that it asks for."""
        return {}

    def clean(self) -> dict[str, Any]:
        for name in self._unread():
            self.errors.pop(name, None)
            self.cleaned_data[name] = None
        return self.cleaned_data

    def _unread(self) -> list[str]:
        return [
            name
            for choice, options in self.branches().items()
            for option, names in options.items()
            if option != self.cleaned_data.get(choice)
            for name in names
        ]
