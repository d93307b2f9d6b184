"""What kind of file the entries become. Which entries, the log's own filter says, which travels along in the address."""

from django import forms
from django.utils.translation import gettext_lazy as _

from console.exports import CSV, JSON_LINES
from console.forms.base import DeedForm


class ExportLog(DeedForm):
    format = forms.ChoiceField(
        label=_("Format"),
        choices=[(CSV, _("CSV")), (JSON_LINES, _("JSON Lines"))],
        initial=CSV,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one of the formats.")},
    )
