"""Where a key may go, and who may bind it: on a page of its own, and while a key is created."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from console.forms.branches import BranchedForm, Branches
from gateway.models import CustomPlugin, Instance
from gateway.plugins.installed import script_name
from secrets_app.actor import Actor
from secrets_app.errors import Invalid
from secrets_app.models import Key, Region, Team
from secrets_app.models.policy import CLOSED, KINDS, Policy, checked

NOWHERE, BOUNDED, OPEN = "nowhere", "bounded", "open"
REACHES = {NOWHERE: _("Nowhere yet"), BOUNDED: _("Only where I say"), OPEN: _("Open to any destination")}
HINTS = {
    NOWHERE: _("Whoever may set policies makes the first bind, and with it the policy."),
    BOUNDED: _("To these hosts, in these headers, for these kinds of use."),
    OPEN: _("Whoever edits a service can have it sent to any host."),
}
_SCRIPT = re.compile(r"plugin:[a-z0-9_-]{1,63}")


class _Lines(forms.CharField):
    """One a line, or with commas between them."""

    widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "autocapitalize": "off"})

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        return [one for one in re.split(r"[\s,]+", super().to_python(value) or "") if one]


class PolicyForm(BranchedForm):
    """Fields that a form with a policy has; without the right to set one they are not there."""

    reach = forms.ChoiceField(
        label=_("Where it may go"),
        choices=list(REACHES.items()),
        initial=NOWHERE,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one of the three.")},
    )
    kinds = forms.MultipleChoiceField(
        label=_("Used by"),
        choices=list(KINDS.items()),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Tick at least one.")},
    )
    hosts = _Lines(
        label=_("Hosts"),
        required=False,
        max_length=8000,
        help_text=_(
            "One a line: api.example.com, with its port if it has one; http:// in front where it is not encrypted; *.example.com for the "
            "names below it; plugin:name for the script of a custom plug-in as it is now."
        ),
    )
    headers = _Lines(
        label=_("Headers"),
        required=False,
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocapitalize": "off"}),
        max_length=4000,
        help_text=_("Such as authorization, or ?name for a query parameter. Empty: any header."),
    )
    instances = forms.MultipleChoiceField(label=_("Instances"), required=False, widget=forms.CheckboxSelectMultiple)
    open_confirmed = forms.BooleanField(
        label=_("I know that whoever edits a service or a rule can have this key sent to any host of their choice."), required=False
    )
    teams = forms.MultipleChoiceField(label=_("Bound by"), required=False, widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args: Any, region: Region, actor: Actor, policy: Policy = CLOSED, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._region = region
        self._offer("instances", [(one.ref, str(one)) for one in Instance.visible_to(actor, region).order_by("name")], policy.instances)
        teams = Team.nameable_by(actor, region, policy.teams).order_by("name_folded")
        self._offer("teams", [(str(one.pk), one.name) for one in teams], policy.teams)
        self.initial = {
            **self.initial,
            "reach": OPEN if policy.open else NOWHERE if policy.closed else BOUNDED,
            "kinds": list(policy.kinds),
            "hosts": "\n".join(policy.hosts),
            "headers": ", ".join(policy.headers),
            "instances": list(policy.instances),
            "teams": list(policy.teams),
            "open_confirmed": policy.open,
        }

    @property
    def hints(self) -> dict[str, Any]:
        return HINTS

    def branches(self) -> Branches:
        return {"reach": {BOUNDED: ("kinds", "hosts", "headers", "instances"), OPEN: ("open_confirmed",)}}

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if given.get("reach") == OPEN and not given.get("open_confirmed"):
            self.add_error("open_confirmed", ValidationError(_("Tick this to open the key to any destination.")))
        given.setdefault("policy", CLOSED)
        if not self.errors:
            self._check(given)
        return given

    @property
    def policy(self) -> Policy:
        policy: Policy = self.cleaned_data["policy"]
        return policy

    def _check(self, given: dict[str, Any]) -> None:
        several = {name: given.get(name) or () for name in ("kinds", "hosts", "headers", "instances", "teams")}
        hosts = [self._script(host) for host in several.pop("hosts")]
        try:
            given["policy"] = checked(open=given.get("reach") == OPEN, hosts=hosts, **several)
        except Invalid as refused:
            for field, texts in refused.errors.items():
                self.add_error(self.place(field), [ValidationError(text) for text in texts])

    def _script(self, host: str) -> str:
        """A custom plug-in by its name stands for its script as it is now."""
        if not _SCRIPT.fullmatch(host):
            return host
        name = host.partition(":")[2]
        source = CustomPlugin.objects.filter(region=self._region, name=name).values_list("source", flat=True).first()
        if source is None:
            text = _("No custom plug-in is named “%(name)s” in this region.")
            self.add_error("hosts", ValidationError(text, params={"name": name}))
            return host
        return script_name(name, source)

    def _offer(self, field: str, known: list[tuple[str, str]], named: tuple[str, ...]) -> None:
        """What is named already stays to be ticked, also when it is gone."""
        gone = [(one, str(_("%(id)s, which is gone") % {"id": one[:13]})) for one in named if one not in dict(known)]
        choice = self.fields[field]
        assert isinstance(choice, forms.MultipleChoiceField)
        choice.choices = [*known, *gone]


class SetPolicy(PolicyForm):
    field_order = ("reach", "kinds", "hosts", "headers", "instances", "open_confirmed", "teams")

    def __init__(self, *args: Any, key: Key, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, region=key.region, actor=actor, policy=key.policy, **kwargs)
        self.initial["lock_version"] = key.lock_version
