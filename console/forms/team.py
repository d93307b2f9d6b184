"""Teams, who is in them, and roles given to people and teams."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from console.facts.people import places_of
from console.forms.base import DeedForm
from gateway.models import Instance
from secrets_app.access import ROLES
from secrets_app.actor import Actor
from secrets_app.models import Deployment, Region, Team
from secrets_app.models.grant import Place

EVERYWHERE, REGION, INSTANCE = "everywhere", "region", "instance"
_WHERE = {EVERYWHERE: _("All regions"), REGION: _("A region"), INSTANCE: _("An instance")}


class TeamForm(DeedForm):
    name = forms.CharField(label=_("Name"), max_length=64, error_messages={"required": _("Enter a name for the team.")})
    description = forms.CharField(label=_("Description"), required=False, max_length=200)

    def __init__(self, *args: Any, team: Team | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if team:
            self.initial.update(name=team.name, description=team.description, lock_version=team.lock_version)


class AddMember(DeedForm):
    username = forms.CharField(
        label=_("Username"),
        max_length=150,
        help_text=_("Of somebody on the Team page."),
        error_messages={"required": _("Enter a username.")},
    )


class GrantRole(DeedForm):
    """A role and a place. Each choice of a place has its own field; of the others nothing is read."""

    role = forms.ChoiceField(
        label=_("Role"),
        choices=[(role, label) for role, (label, _text) in ROLES.items()],
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose a role.")},
    )
    where = forms.ChoiceField(
        label=_("Where"), choices=list(_WHERE.items()), widget=forms.RadioSelect, error_messages={"required": _("Choose where.")}
    )
    region = forms.ChoiceField(label=_("Region"), required=False)
    instance = forms.ChoiceField(label=_("Instance"), required=False)

    def __init__(self, *args: Any, by: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        everywhere, regions, instances = places_of(by)
        self._regions: dict[str, Region] = {one.name: one for one in regions}
        self._instances: dict[str, Instance] = {one.ref: one for one in instances}
        self._choose("region", [(name, f"{one.title} ({name})") for name, one in self._regions.items()])
        self._choose("instance", [(ref, f"{one.name} ({one.region.title}, {ref})") for ref, one in self._instances.items()])
        self.role_hints = {role: text for role, (_label, text) in ROLES.items()}
        self.off: dict[str, Any] = {}
        if not everywhere:
            self.off[EVERYWHERE] = _("Only an owner of all regions gives a role for all of them.")
        if not self._regions:
            self.off[REGION] = _("There is no region that you own.")
        if not self._instances:
            self.off[INSTANCE] = _("There is no instance yet that you own.")
        self.initial.setdefault("where", next((where for where in (REGION, INSTANCE) if where not in self.off), EVERYWHERE))

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        where = given.get("where", "")
        if where in self.off:
            self.add_error("where", str(self.off[where]))
        elif where in (REGION, INSTANCE) and where not in self.errors and not given.get(where):
            self.add_error(where, _("Choose a region.") if where == REGION else _("Choose an instance."))
        return given

    def chosen(self) -> Place:
        given = self.cleaned_data
        if given["where"] == REGION:
            return self._regions[given["region"]]
        return self._instances[given["instance"]] if given["where"] == INSTANCE else Deployment.here()

    def place(self, field: str) -> str | None:
        return "where" if field == "scope" else super().place(field)

    def _choose(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices


class Invite(GrantRole):
    """Who shall come, and what they shall hold."""

    field_order = ("username", "note")

    username = forms.CharField(
        label=_("Username"),
        max_length=150,
        strip=False,
        help_text=_("What they sign in with. It is never changed."),
        error_messages={"required": _("Enter a username.")},
    )
    note = forms.CharField(label=_("Note"), required=False, max_length=200, help_text=_("For you and other owners, such as a whole name."))
