import re
import uuid
from collections.abc import Sequence

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from secrets_app.access import ROLES
from secrets_app.actor import Actor, looks_like_a_process
from secrets_app.db import locked
from secrets_app.errors import Conflict, Invalid, NotAllowed, NotFound
from secrets_app.models.audit import OK, AuditEntry, Fact
from secrets_app.models.deeds import deed
from secrets_app.models.grant import RoleGrant, refuse_own, rights_change, told
from secrets_app.models.region import Deployment, asking_second_factor
from secrets_app.models.team import Membership, Team
from secrets_app.scope import EVERYWHERE

THEMES = {"auto": _("Same as system"), "light": _("Light"), "dark": _("Dark")}


class UserQuerySet(models.QuerySet["User"]):
    def find(self, username: str) -> "User":
        """Whatever its case. Raises NotFound, alike for the absent and the forbidden."""
        if (user := self.filter(username__iexact=username.replace("\0", "")).first()) is None:
            raise NotFound()
        return user

    def matching(self, typed: str) -> "UserQuerySet":
        return self.filter(username__icontains=typed.replace("\0", "").strip())


class User(AbstractUser):
    """A person. Rights are read from the rows of roles and teams at each request, so a change takes effect at once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    has_second_factor = models.BooleanField(default=False)  # what it is, the console knows
    theme = models.CharField(max_length=8, default="auto", choices=list(THEMES.items()))

    audit_kind = "user"
    audit_region = None
    scope = EVERYWHERE
    owes_second_factor = False  # as_actor() says
    roles_lapsed = False  # and this: single sign-on gave some, and was not heard of for too long

    @classmethod
    def visible_to(cls, actor: Actor) -> UserQuerySet:
        """Whoever may see the people of a region alone sees those who hold a role there, or everywhere, and themselves."""
        people = UserQuerySet(cls)
        if actor.may("user.view", EVERYWHERE):
            return people
        grants = RoleGrant.visible_to(actor, "user.view")
        members = Membership.objects.filter(team__in=grants.exclude(team=None).values("team"))
        return people.filter(Q(pk=actor.user_id) | Q(pk__in=grants.exclude(user=None).values("user")) | Q(pk__in=members.values("user")))

    @property
    def audit_name(self) -> str:
        return self.username

    def as_actor(self, address: str = "", request_id: str = "", session: str = "") -> Actor:
        """Two queries: the teams, and the roles held directly and through them. Who owes a second factor holds none of it."""
        teams = frozenset(self.memberships.values_list("team_id", flat=True))
        held, lapsed = RoleGrant.held_by(self, teams)
        self.roles_lapsed = bool(lapsed)
        self.owes_second_factor = not self.has_second_factor and bool(self._asked_for_one & {one.role for one in held})
        if self.owes_second_factor:
            held, teams = frozenset(), frozenset()
        return Actor(self.username, held, self.pk, address, request_id, teams, session=session)

    @property
    def needs_second_factor(self) -> bool:
        """Whether a role of this person asks for one, which they may have."""
        teams = frozenset(self.memberships.values_list("team_id", flat=True))
        return bool(self._asked_for_one & {one.role for one in RoleGrant.held_by(self, teams)[0]})

    @property
    def _asked_for_one(self) -> frozenset[str]:
        """The roles that ask for one. Who came with a request brings the answer along, so that it costs no query."""
        if "second_factor_for" in self.__dict__:
            return asking_second_factor(self.__dict__["second_factor_for"])
        return asking_second_factor(Deployment.objects.values_list("second_factor_for", flat=True).first())

    def came_in_from(self, address: str) -> bool:
        """Whether this person ever signed in from there."""
        return AuditEntry.objects.filter(actor=self.username, action="user.sign_in", outcome=OK, address=address).exists()

    @staticmethod
    def fits(username: str) -> bool:
        return re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9@.+_-]{0,149}", username) is not None

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

    @classmethod
    def made(cls, username: str, password: str) -> "User":
        """Inside another deed. Raises Invalid (fields username, password)."""
        _check_new_user(username, password, set())
        return cls.objects.create_user(username, password=password)

    def disable(self, *, by: Actor, revoke_tokens: bool = False) -> None:
        """Refused at the next request, and so are the API tokens; those that stay work again once the person does. Raises OwnRights,
        LastOwner, and Conflict for who is disabled already."""
        self._switch("user.disable", False, by, revoke_tokens)

    def enable(self, *, by: Actor) -> None:
        self._switch("user.enable", True, by)

    def delete(self, *, by: Actor) -> None:  # type: ignore[override]
        """With roles and memberships; what the log says of this person stays. Raises OwnRights, LastOwner."""
        with deed(by, "user.delete", self) as entry, rights_change(by, "user.delete", self) as giver:
            refuse_own(giver, self)
            self._lock()
            teams = Team.objects.filter(memberships__user=self).order_by("name_folded")
            entry.facts = {"roles": told(self.role_grants.all()), "teams": [team.name for team in teams]}
            type(self).objects.filter(pk=self.pk).delete()

    def _switch(self, action: str, active: bool, by: Actor, revoke_tokens: bool = False) -> None:
        with deed(by, action, self) as entry, rights_change(by, action, self) as giver:
            refuse_own(giver, self)
            self._lock()
            if self.is_active is active:
                text = _("%(name)s is active already.") if active else _("%(name)s is disabled already.")
                raise Conflict(text % {"name": self.username})
            self.is_active = active
            self.save(update_fields=["is_active"])
            entry.facts = self._without_tokens(revoke_tokens)

    def _lock(self) -> None:
        if (fresh := locked(type(self).objects.filter(pk=self.pk)).first()) is None:
            raise NotFound()
        self.is_active = fresh.is_active

    def sign_in(self, methods: Sequence[str], *, by: Actor) -> None:
        """`methods` by which it was shown who comes. The session is the console's; the entry is made here."""
        with deed(by, "user.sign_in", self) as entry:
            entry.facts = {"methods": list(methods)}

    def sign_out(self, *, by: Actor) -> None:
        with deed(by, "user.sign_out", self):
            pass

    def change_password(self, password: str, *, by: Actor, revoke_tokens: bool = False) -> None:
        """One's own. Raises Invalid (field password). Every session that the old one opened is over."""
        with deed(by, "user.change_password", self) as entry:
            if by.user_id != self.pk:
                raise NotAllowed("user.change_password")
            self._take(password)
            entry.facts = self._without_tokens(revoke_tokens)

    def reset_password(self, password: str, *, by: Actor, revoke_tokens: bool = True) -> None:
        """Somebody's, by whoever runs the console: the old one may be known to others. Raises Invalid (field password)."""
        with deed(by, "user.reset_password", self) as entry:
            self._take(password)
            entry.facts = self._without_tokens(revoke_tokens)

    def _take(self, password: str) -> None:
        try:
            validate_password(password, self)
        except ValidationError as weak:
            raise Invalid({"password": list(weak.messages)}) from None
        self.set_password(password)
        self.save(update_fields=["password"])

    def _without_tokens(self, revoke: bool) -> dict[str, Fact]:
        """For the entry: the names of the API tokens that open nothing any more, where there are any."""
        gone = sorted(self.api_tokens.values_list("name", flat=True)) if revoke else []
        if gone:
            self.api_tokens.all().delete()
        return {"revoked_tokens": gone} if gone else {}

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


def username_problem(username: str) -> object:
    """Why nobody new can have this name, or nothing."""
    if not User.fits(username):
        return _("Use 1 to 150 letters, digits and @ . + - _, starting with a letter or a digit.")
    if looks_like_a_process(username):
        return _("In the audit log this name stands for the console itself, or looks as if it did. Choose another.")
    if User.objects.filter(username__iexact=username).exists():
        return _("A person with this username exists. Choose another.")
    return None


def _check_new_user(username: str, password: str, roles: set[str]) -> None:
    errors: dict[str, list[object]] = {}
    if problem := username_problem(username):
        errors["username"] = [problem]
    try:
        validate_password(password, User(username=username))
    except ValidationError as weak:
        errors["password"] = list(weak.messages)
    if strange := roles - ROLES.keys():
        text = _("There is no role “%(role)s”. Choose from: %(roles)s.")
        errors["roles"] = [text % {"role": min(strange), "roles": ", ".join(ROLES)}]
    if errors:
        raise Invalid(errors)
