"""People: how they are made, and that their rights are what the database says now."""

import pytest
from django.core.management import CommandError, call_command

from secrets_app.actor import Actor
from secrets_app.errors import Invalid, NotAllowed
from secrets_app.models import AuditEntry, Identity, Invitation, User
from secrets_app.scope import EVERYWHERE
from tests import cast

pytestmark = pytest.mark.django_db


def test_making_a_person_is_one_audited_deed() -> None:
    user = User.create("mei.chen", cast.PASSWORD, {"owner", "auditor"}, by=cast.SETUP)
    assert user.as_actor().roles == {"owner", "auditor"}
    assert user.check_password(cast.PASSWORD)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target, entry.facts) == ("user.create", "mei.chen", {"roles": ["auditor", "owner"]})


def test_only_owners_make_people() -> None:
    kim = cast.actor("kim")
    with pytest.raises(NotAllowed):
        User.create("friend", cast.PASSWORD, {"owner"}, by=kim)
    assert not User.objects.filter(username="friend").exists()
    assert User.create("friend", cast.PASSWORD, set(), by=cast.actor("alice")).as_actor().roles == set()


@pytest.mark.parametrize("name", ["", " kim", "kim\n", "a b", "-kim", "ｋｉｍ", "kïm", "x" * 151, "a\x00b", "<b>"])
def test_a_wrong_username_is_refused_by_field(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        User.create(name, cast.PASSWORD, set(), by=cast.SETUP)
    assert list(refused.value.errors) == ["username"]


@pytest.mark.parametrize(
    "name",
    [
        "control-plane",
        "unknown",
        "up",
        "Control-Plane",
        "c0ntrol_p1ane",
        "UNKN0WN",
        "u.p",
        "Create-User",
        "controI.plane",
        "systern",
        "run-vveb",
    ],
)
def test_nobody_is_called_like_the_console_itself(name: str) -> None:
    """In the log a person would pass for a process."""
    cast.deployment()
    with pytest.raises(Invalid, match="audit log") as refused:
        User.create(name, cast.PASSWORD, set(), by=cast.SETUP)
    assert list(refused.value.errors) == ["username"]
    with pytest.raises(Invalid, match="audit log"):
        Invitation.create(name, "", "viewer", cast.everywhere(), by=cast.actor("alice"))
    with pytest.raises(CommandError, match="audit log"):
        call_command("create_user", name)
    with pytest.raises(Invalid, match="audit log"):
        Identity.make("https://id.example.com", "u-1", name, [], by=Actor.system("single sign-on"))


def test_two_names_that_sign_in_alike_are_one() -> None:
    cast.person("kim")
    with pytest.raises(Invalid, match="exists"):
        User.create("KIM", cast.PASSWORD, set(), by=cast.SETUP)


@pytest.mark.parametrize("password", ["", "2shrt", "password1234", "mei.chen-2026"])
def test_a_weak_password_is_refused_and_not_repeated(password: str) -> None:
    with pytest.raises(Invalid) as refused:
        User.create("mei.chen", password, set(), by=cast.SETUP)
    assert list(refused.value.errors) == ["password"]
    assert not password or password not in str(refused.value)


def test_a_role_that_does_not_exist_is_refused() -> None:
    for role in ("root", "system", "everybody"):
        with pytest.raises(Invalid) as refused:
            User.create("mei", cast.PASSWORD, {role}, by=cast.SETUP)
        assert list(refused.value.errors) == ["roles"]


def test_rights_are_those_of_the_moment() -> None:
    user = cast.person("kim")
    assert user.as_actor().may("key.create", EVERYWHERE)
    user.role_grants.all().delete()
    assert not User.objects.get(pk=user.pk).as_actor().may("key.create", EVERYWHERE)


def test_the_command_prints_a_password_that_works_once(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_user", "mei", "--role", "owner", "--role", "auditor")
    out = capsys.readouterr().out
    assert "mei made (auditor, owner)." in out
    password = out.split("Password: ")[1].split()[0]
    assert User.objects.get(username="mei").check_password(password)
    assert AuditEntry.objects.get().actor == "create_user"


def test_the_command_takes_a_password_from_the_environment_and_does_not_print_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("CONSOLE_USER_PASSWORD", "given by the environment")
    call_command("create_user", "mei")
    monkeypatch.delenv("CONSOLE_USER_PASSWORD")
    file = tmp_path_factory.mktemp("secret") / "password"
    file.write_text("given by a file of its own")
    monkeypatch.setenv("CONSOLE_USER_PASSWORD_FILE", str(file))
    call_command("create_user", "priya", "--role", "viewer")
    assert User.objects.get(username="mei").check_password("given by the environment")
    assert User.objects.get(username="priya").check_password("given by a file of its own")
    assert "given by" not in capsys.readouterr().out


def test_the_command_says_what_is_wrong() -> None:
    call_command("create_user", "mei")
    with pytest.raises(CommandError, match="exists"):
        call_command("create_user", "Mei")
    with pytest.raises(CommandError, match="invalid choice"):
        call_command("create_user", "priya", "--role", "root")


def test_a_theme_is_one_of_those_listed() -> None:
    user = cast.person("vera")
    user.choose_theme("dark", by=user.as_actor())
    assert User.objects.get(pk=user.pk).theme == "dark"
    with pytest.raises(Invalid):
        user.choose_theme("pink", by=user.as_actor())
