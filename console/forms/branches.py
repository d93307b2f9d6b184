"""Forms with choices that ask for more: every branch stands in the first HTML, and only the chosen one is read."""

from typing import Any, ClassVar

from console.forms.base import DeedForm


class BranchedForm(DeedForm):
    """`branches`: choice field -> option -> the fields it asks for. What stands in other branches' fields is neither checked nor kept."""

    branches: ClassVar[dict[str, dict[str, tuple[str, ...]]]] = {}

    def clean(self) -> dict[str, Any]:
        for name in self._unread():
            self.errors.pop(name, None)
            self.cleaned_data[name] = None
        return self.cleaned_data

    def _unread(self) -> list[str]:
        return [
            name
            for choice, options in self.branches.items()
            for option, names in options.items()
            if option != self.cleaned_data.get(choice)
            for name in names
        ]
