import re
import uuid

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from secrets_app.access import ROLES
from secrets_app.actor import Actor
from secrets_app.errors import Invalid
from secrets_app.models.audit import OK, AuditEntry
from secrets_app.models.deeds import deed
from secrets_app.models.team import RoleGrant
from secrets_app.scope import EVERYWHERE

THEMES = {"auto": _("Same as system"), "light": _("Light"), "dark": _("Dark")}


class User(AbstractUser):
    """A person. Rights are read from the rows of roles and teams at each request, so a change takes effect at once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    theme = models.CharField(max_length=8, default="auto", choices=list(THEMES.items()))

    audit_kind = "user"
    audit_region = None
    scope = EVERYWHERE

    @property
    def audit_name(self) -> str:
        return self.username

    def as_actor(self, address: str = "", request_id: str = "") -> Actor:
        """Two queries: the teams, and the roles held directly and through them."""
        teams = frozenset(self.memberships.values_list("team_id", flat=True))
        return Actor(self.username, RoleGrant.held_by(self, teams), self.pk, address, request_id, teams)

    def came_in_from(self, address: str) -> bool:
        """Whether this person ever signed in from there."""
        return AuditEntry.objects.filter(actor=self.username, action="user.sign_in", outcome=OK, address=address).exists()

    @classmethod
    def create(cls, username: str, password: str, roles: set[str], *, by: Actor) -> "User":
        """Raises Invalid (fields username, password, roles). Names are told apart without case, as signing in compares them."""
        with deed(by, "user.create") as entry:
            _check_new_user(username, password, roles)
            user = cls.objects.create_user(username, password=password)
            RoleGrant.objects.bulk_create(RoleGrant(user=user, role=role) for role in sorted(roles))
            entry.target = user
            entry.facts = {"roles": sorted(roles)}
        return user

    def sign_in(self, *, by: Actor) -> None:
        with deed(by, "user.sign_in", self):
            pass  # the session is Django's; the entry is ours

    def sign_out(self, *, by: Actor) -> None:
        with deed(by, "user.sign_out", self):
            pass

    def confirm(self, method: str, *, by: Actor) -> None:
        """Showed again who is there, by "password" or a second factor: the entry; what it opens for how long is the session's."""
        with deed(by, "user.confirm", self) as entry:
            entry.facts = {"methods": [method]}

    def choose_theme(self, theme: str, *, by: Actor) -> None:
        if theme not in THEMES:
            raise Invalid({"theme": [_("Choose one of the themes listed.")]})
        with deed(by, "user.edit_theme", self) as entry:
            self.theme = theme
            self.save(update_fields=["theme"])
            entry.facts = {"theme": theme}


def _check_new_user(username: str, password: str, roles: set[str]) -> None:
    errors: dict[str, list[object]] = {}
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9@.+_-]{0,149}", username):
        errors["username"] = [_("Use 1 to 150 letters, digits and @ . + - _, starting with a letter or a digit.")]
    elif User.objects.filter(username__iexact=username).exists():
        errors["username"] = [_("A person with this username exists. Choose another.")]
    try:
        validate_password(password, User(username=username))
    except ValidationError as weak:
        errors["password"] = list(weak.messages)
    if strange := roles - ROLES.keys():
        text = _("There is no role “%(role)s”. Choose from: %(roles)s.")
        errors["roles"] = [text % {"role": min(strange), "roles": ", ".join(ROLES)}]
    if errors:
        raise Invalid(errors)
