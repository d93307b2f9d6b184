"""Somebody's own page: the password, and sessions that end when they should."""

import getpass
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.backends.base import UpdateError
from django.core.management import CommandError, call_command, get_commands
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from console.facts.account import browser_of
from console.models import Session
from secrets_app.errors import NotAllowed
from secrets_app.models import AuditEntry, Region, User
from secrets_app.models.token import ApiToken
from tests import cast

NEW = "three unrelated words"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture(autouse=True)
def kim(region: Region) -> User:
    return cast.person("kim")


def sign_in(name: str = "kim", password: str = cast.PASSWORD, **options: Any) -> Client:
    client = Client(**options)
    assert client.post("/sign-in/", {"login": name, "password": password}).status_code == 302
    return client


def change(client: Client, old: str = cast.PASSWORD, new: str = NEW, again: str = "") -> HttpResponse:
    answer: HttpResponse = client.post("/account/password/", {"old": old, "password": new, "again": again or new})
    return answer


def inside(client: Client) -> bool:
    return client.get("/account/").status_code == 200


def cookie(client: Client) -> str:
    return str(client.cookies[settings.SESSION_COOKIE_NAME].value)


# The password


def test_a_new_password_keeps_this_session_and_ends_the_others() -> None:
    here, there = sign_in(), sign_in()
    before = cookie(here)
    answer = change(here)
    assert (answer.status_code, answer["Location"]) == (303, "/account/")
    entry = AuditEntry.objects.latest("seq")
    assert (entry.actor, entry.action, entry.target, entry.facts) == ("kim", "user.change_password", "kim", {})
    assert inside(here)
    assert cookie(here) != before
    assert not inside(there)
    assert Session.objects.filter(user=cast.person("kim")).count() == 1
    stolen = Client()
    stolen.cookies[settings.SESSION_COOKIE_NAME] = before
    assert not inside(stolen)
    assert inside(sign_in(password=NEW))


def token(name: str, who: str = "kim") -> str:
    return ApiToken.create(name, None, ["consumer.view"], 30, by=cast.person(who).as_actor())[1]


def opens(text: str) -> bool:
    return Client().get("/api/v1/local/consumers/", headers={"Authorization": f"Bearer {text}"}).status_code == 200


def test_api_tokens_go_with_the_old_password_unless_one_says_no() -> None:
    alices = token("other", "alice")
    assert "revoke_tokens" not in sign_in().get("/account/password/").content.decode()
    for asked, kept in ((False, True), (True, False)):
        texts, here = [token("backup"), token("deploy")], sign_in(password=NEW if asked else cast.PASSWORD)
        page = here.get("/account/password/").content.decode()
        assert re.search(r'name="revoke_tokens"[^>]* checked', page)
        assert f"Also revoke my {4 if asked else 2} API tokens" in page
        old, new = (NEW, "three other words there") if asked else (cast.PASSWORD, NEW)
        body = {"old": old, "password": new, "again": new, "tokens_told": "True"} | ({"revoke_tokens": "on"} if asked else {})
        assert here.post("/account/password/", body).status_code == 303
        assert [opens(one) for one in texts] == [kept, kept]
        facts = AuditEntry.objects.filter(action="user.change_password").latest("seq").facts
        assert facts == ({"revoked_tokens": ["backup", "backup", "deploy", "deploy"]} if asked else {})
    assert "API tokens open nothing" in here.get("/account/").content.decode()
    assert opens(alices)


@pytest.mark.parametrize("kept", [False, True])
def test_the_command_ends_sessions_and_revokes_tokens(kept: bool, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert get_commands()["changepassword"] == "console"
    here, text = sign_in(), token("deploy")
    monkeypatch.setenv("CONSOLE_USER_PASSWORD", NEW)
    call_command("changepassword", "KIM", *(["--keep-tokens"] if kept else []))
    assert not inside(here)
    assert opens(text) is kept
    entry = AuditEntry.objects.filter(action="user.reset_password").latest("seq")
    if not kept:
        assert (entry.actor, entry.action, entry.target) == ("changepassword", "user.reset_password", "kim")
        assert entry.facts == {"revoked_tokens": ["deploy"]}
    assert NEW not in str(entry.facts) + capsys.readouterr().out
    sign_in(password=NEW)
    monkeypatch.setenv("CONSOLE_USER_PASSWORD", "short")
    with pytest.raises(CommandError, match="12 characters"):
        call_command("changepassword", "kim")
    monkeypatch.delenv("CONSOLE_USER_PASSWORD")
    typed = iter([NEW + "!", NEW])
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: next(typed))
    with pytest.raises(CommandError, match="not the same"):
        call_command("changepassword", "kim")
    with pytest.raises(CommandError, match="nobody"):
        call_command("changepassword", "nina")
    sign_in(password=NEW)


def test_whoever_disables_somebody_is_asked_about_their_tokens() -> None:
    text = token("deploy")
    page = cast.client("alice").get("/team/people/kim/disable/").content.decode()
    assert "Also revoke their API token" in page
    assert re.search(r'name="revoke_tokens"[^>]* checked', page)
    assert cast.client("alice").post("/team/people/kim/disable/", {"tokens_told": "True"}).status_code == 303
    assert not opens(text)
    cast.client("alice").post("/team/people/kim/enable/", {})
    assert opens(text)
    cast.client("alice").post("/team/people/kim/disable/", {"revoke_tokens": "on"})
    entry = AuditEntry.objects.latest("seq")
    assert (entry.action, entry.facts) == ("user.disable", {"revoked_tokens": ["deploy"]})
    cast.client("alice").post("/team/people/kim/enable/", {})
    assert not opens(text)
    text = token("later")
    cast.client("alice").post("/team/people/kim/disable/", {})  # of a page that knew of none
    cast.client("alice").post("/team/people/kim/enable/", {})
    assert not opens(text)


def test_the_old_one_is_asked_for_and_a_wrong_one_is_counted(one_minute: None) -> None:
    client = sign_in()
    assert [change(client, old="not it").status_code for _each in range(6)] == [422] * 5 + [429]
    assert cast.person("kim").check_password(cast.PASSWORD)
    assert AuditEntry.objects.filter(action="user.change_password").count() == 0


@pytest.mark.parametrize(
    ("new", "again", "words"),
    [
        ("f6-Kq!9z", "", "12 characters"),
        ("passwordpassword", "", "easy to guess"),
        ("P@ssw0rd2026!", "", "easy to guess"),
        ("kimkimkimkimkim", "", "easy to guess"),
        (NEW, "another one of them", "The two are not the same."),
        ("", "", "Enter a new password."),
    ],
)
def test_a_bad_new_one_is_refused_in_words_and_none_comes_back(new: str, again: str, words: str) -> None:
    answer = change(sign_in(), new=new, again=again)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert words in page
    assert cast.PASSWORD not in page
    assert not new or new not in page


def test_nobody_changes_anothers_by_the_verb(kim: User) -> None:
    with pytest.raises(NotAllowed):
        kim.change_password(NEW, by=cast.actor("alice"))
    assert kim.check_password(cast.PASSWORD)


# Sessions


def test_the_list_says_where_from_and_with_what_and_which_is_this_one() -> None:
    other = Client(headers={"user-agent": FIREFOX}, REMOTE_ADDR="203.0.113.9")
    other.post("/sign-in/", {"login": "kim", "password": cast.PASSWORD})
    page = re.sub(r"<[^>]+>|\s+", " ", sign_in().get("/account/").content.decode())
    assert "Firefox on Linux" in page
    assert "203.0.113.9" in page
    assert page.count("This browser") == 1


def test_no_page_holds_what_the_cookie_holds_and_neither_does_the_database() -> None:
    client, other = sign_in(), sign_in()
    page = client.get("/account/").content.decode()
    for key in (cookie(client), cookie(other)):
        assert key not in page
        assert not Session.objects.filter(session_key=key).exists()
    thief = Client()
    for row in Session.objects.all():
        thief.cookies[settings.SESSION_COOKIE_NAME] = row.session_key
        assert not inside(thief)


def test_one_is_ended_and_refused_at_its_next_request() -> None:
    here, there = sign_in(), sign_in()
    ref = Session.objects.latest("began_at").ref
    answer = here.post(f"/account/sessions/{ref}/end/")
    assert (answer.status_code, answer["Location"]) == (303, "/account/")
    assert (AuditEntry.objects.latest("seq").action, AuditEntry.objects.latest("seq").facts) == ("user.end_session", {"sessions": 1})
    assert not inside(there)
    assert inside(here)
    assert here.post(f"/account/sessions/{ref}/end/").status_code == 404


def test_a_request_under_way_does_not_bring_an_ended_session_back() -> None:
    there = sign_in()
    session = there.session
    session["late"] = "a change"
    Session.objects.all().delete()
    with pytest.raises(UpdateError):
        session.save()
    assert not inside(there)


def test_all_others_are_ended_at_once() -> None:
    here, others = sign_in(), [sign_in() for _each in range(3)]
    alices = sign_in("alice") if cast.person("alice") else None
    once = str(uuid.uuid4())
    assert "3 sessions besides this one" in here.get("/account/sessions/end-others/").content.decode()
    here.post("/account/sessions/end-others/", {"once": once})
    assert AuditEntry.objects.latest("seq").facts == {"sessions": 3}
    assert [inside(other) for other in others] == [False] * 3
    assert inside(here)
    assert alices is not None
    assert inside(alices)


def test_another_persons_session_is_not_there() -> None:
    there = sign_in()
    ref = Session.objects.latest("began_at").ref
    alice = cast.client("alice")
    for answer in (alice.get(f"/account/sessions/{ref}/end/"), alice.post(f"/account/sessions/{ref}/end/")):
        assert answer.status_code == 404
    assert inside(there)


def wind(back: timedelta, *columns: str) -> None:
    for row in Session.objects.all():
        for column in columns:
            setattr(row, column, getattr(row, column) - back)
        row.save()


def test_half_an_hour_without_a_request_ends_it() -> None:
    client = sign_in()
    wind(timedelta(minutes=29), "seen_at", "expire_date")
    assert inside(client)
    wind(timedelta(minutes=29), "seen_at", "expire_date")
    assert inside(client)
    wind(timedelta(minutes=31), "seen_at", "expire_date")
    assert not inside(client)


def test_what_a_page_asks_for_by_itself_keeps_no_session_alive() -> None:
    client = sign_in()
    wind(timedelta(minutes=29), "seen_at", "expire_date")
    assert client.get("/account/", headers={"HX-Polled": "true"}).status_code == 200
    wind(timedelta(minutes=2), "seen_at", "expire_date")
    assert not inside(client)


def test_twelve_hours_after_sign_in_it_is_over_however_busy() -> None:
    client = sign_in()
    session = client.session
    session["begun"] = session["begun"] | {"at": session["begun"]["at"] - 12 * 3600 + 60}
    session.save()
    assert inside(client)
    row = Session.objects.get()
    assert row.expire_date - timezone.now() < timedelta(minutes=2)
    session["begun"] = session["begun"] | {"at": session["begun"]["at"] - 120}
    session.save()
    assert not inside(client)


def test_use_is_written_down_once_a_minute_and_not_with_each_page(django_assert_num_queries: Any) -> None:
    client = sign_in()
    seen = Session.objects.get().seen_at
    inside(client)
    assert Session.objects.get().seen_at == seen
    wind(timedelta(minutes=2), "seen_at")
    inside(client)
    assert Session.objects.get().seen_at > seen - timedelta(minutes=1)


def test_those_that_are_over_are_swept_away_at_the_next_sign_in() -> None:
    sign_in()
    wind(timedelta(hours=1), "expire_date")
    sign_in()
    assert Session.objects.count() == 1


def test_a_session_of_a_made_up_name_is_not_taken_up() -> None:
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = "a" * 32
    client.post("/sign-in/", {"login": "kim", "password": cast.PASSWORD})
    assert cookie(client) != "a" * 32
    assert inside(client)


@pytest.mark.parametrize("what", ["sign out", "disable", "password", "delete"])
def test_a_cookie_that_was_kept_opens_nothing_after(what: str, kim: User) -> None:
    client = sign_in()
    kept = Client()
    kept.cookies[settings.SESSION_COOKIE_NAME] = cookie(client)
    assert inside(kept)
    if what == "sign out":
        client.post("/sign-out/")
    elif what == "disable":
        kim.disable(by=cast.SETUP)
    elif what == "password":
        kim.set_password("something else entirely")
        kim.save()
    else:
        kim.delete(by=cast.SETUP)
    assert kept.get("/account/").status_code == 302


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on iOS"),
        ("curl/8.0", "curl"),
        ("", "Unknown browser"),
        ("<script>alert(1)</script>", "Unknown browser"),
    ],
)
def test_browsers_are_told_in_words(agent: str, said: str) -> None:
    assert browser_of(agent) == said
