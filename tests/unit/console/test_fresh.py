"""Sensitive deeds ask again who sits there, in the place of what was asked for, and lead on to it."""

import json
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from console.fresh import fresh
from console.middleware import allows, takes
from console.urls import urlpatterns as real
from secrets_app.models import AuditEntry, Region, User
from tests import cast

PANEL = {"HX-Request": "true", "HX-Target": "panel", "HX-Current-URL": "http://testserver/local/keys/"}
SHEET = PANEL | {"HX-Target": "sheet"}
ASKED = "Confirm that it is you"


@allows("key.create")
@fresh
def sensitive(request: HttpRequest) -> HttpResponse:
    return HttpResponse("done" if request.method == "POST" else "shown")


@takes("POST")
@allows("key.create")
@fresh
def only_posts(request: HttpRequest) -> HttpResponse:
    return HttpResponse("done")


urlpatterns = [path("t/sensitive/", sensitive, name="t-sensitive"), path("t/posts/", only_posts, name="t-posts"), *real]
pytestmark = pytest.mark.urls(__name__)


@pytest.fixture
def late(region: Region) -> Client:
    """kim, five minutes after she entered her password."""
    return cast.passed(cast.client("kim"), settings.FRESH_FOR)


def confirm(client: Client, to: str = "/t/sensitive/", password: str = cast.PASSWORD, **options: Any) -> HttpResponse:
    answer: HttpResponse = client.post("/account/confirm/", {"password": password, "next": to}, **options)
    return answer


def test_who_just_signed_in_is_not_asked(region: Region) -> None:
    cast.person("kim")
    client = cast.client()
    client.post("/sign-in/", {"login": "kim", "password": cast.PASSWORD})
    assert client.get("/t/sensitive/").content == b"shown"
    assert client.post("/t/sensitive/").content == b"done"


@pytest.mark.parametrize(("seconds", "passes"), [(0, True), (settings.FRESH_FOR - 5, True), (settings.FRESH_FOR, False), (-60, False)])
def test_it_holds_for_five_minutes_and_no_clock_that_is_ahead_counts(region: Region, seconds: int, passes: bool) -> None:
    answer = cast.passed(cast.client("kim"), seconds).get("/t/sensitive/")
    assert (answer.content == b"shown") is passes


def test_a_session_that_never_saw_a_password_is_asked(region: Region) -> None:
    client = Client()
    client.force_login(cast.person("kim"))
    assert ASKED in client.get("/t/sensitive/").content.decode()


def test_the_question_stands_in_the_place_of_the_page_and_leads_on_to_it(late: Client) -> None:
    page = late.get("/t/sensitive/?a=1").content.decode()
    assert ASKED in page
    assert 'name="next" value="/t/sensitive/?a=1"' in page
    assert ">shown<" not in page
    answer = confirm(late, "/t/sensitive/?a=1")
    assert (answer.status_code, answer["Location"]) == (303, "/t/sensitive/?a=1")
    assert late.get("/t/sensitive/?a=1").content == b"shown"


def test_a_post_is_not_done_and_says_so(late: Client) -> None:
    answer = late.post("/t/sensitive/", {"value": "a-value-that-was-posted"})
    assert answer.status_code == 403
    assert ASKED in answer.content.decode()
    assert "a-value-that-was-posted" not in answer.content.decode()
    assert 'name="next" value="/t/sensitive/"' in answer.content.decode()


def test_an_address_that_only_takes_posts_leads_back_to_the_page_it_was_sent_from(late: Client) -> None:
    page = late.post("/t/posts/", headers={"Referer": "http://testserver/local/keys/"}).content.decode()
    assert 'name="next" value="/local/keys/"' in page
    page = late.post("/t/posts/", headers={"Referer": "http://evil.example/local/"}).content.decode()
    assert 'name="next" value="/"' in page


def test_in_a_panel_the_question_is_a_part_and_what_was_asked_for_follows_in_the_panel(late: Client) -> None:
    part = late.get("/t/sensitive/", headers=PANEL).content.decode()
    assert "<html" not in part
    assert 'hx-post="/account/confirm/"' in part
    assert 'href="/local/keys/" data-close' in part  # Cancel
    wrong = confirm(late, password="not it", headers=SHEET)
    assert (wrong.status_code, b"<html" in wrong.content) == (422, False)
    answer = confirm(late, headers=SHEET)
    assert answer.status_code == 204
    assert json.loads(answer["HX-Location"]) == {"path": "/t/sensitive/", "target": "#panel", "push": "false"}


def test_a_part_that_is_no_panel_leaves_for_a_page_of_its_own(late: Client) -> None:
    answer = late.get("/t/sensitive/", headers=PANEL | {"HX-Target": "delivery"})
    assert (answer.status_code, answer["HX-Redirect"]) == (401, "/account/confirm/?next=%2Ft%2Fsensitive%2F")
    assert ASKED in late.get(answer["HX-Redirect"]).content.decode()


def test_a_wrong_password_is_refused_in_words_and_audited(late: Client) -> None:
    answer = confirm(late, password="a-wrong-password")
    assert answer.status_code == 422
    assert "The password is wrong." in answer.content.decode()
    assert "a-wrong-password" not in answer.content.decode()
    entry = AuditEntry.objects.latest("seq")
    assert (entry.actor, entry.action, entry.outcome) == ("kim", "user.confirm", "refused")
    assert ASKED in late.get("/t/sensitive/").content.decode()


def test_nothing_entered_is_said_to_be_missing(late: Client) -> None:
    assert "Enter your password." in confirm(late, password="").content.decode()


def test_the_right_one_is_audited(late: Client) -> None:
    confirm(late)
    entry = AuditEntry.objects.latest("seq")
    assert (entry.actor, entry.action, entry.outcome, entry.facts) == ("kim", "user.confirm", "ok", {"methods": ["password"]})


def test_of_a_thousand_guesses_five_are_looked_at_and_the_sixth_right_one_is_not(late: Client, one_minute: None) -> None:
    answers = [confirm(late, password=f"guess {number}").status_code for number in range(40)]
    assert answers == [422] * 5 + [429] * 35
    assert confirm(late).status_code == 429
    assert ASKED in late.get("/t/sensitive/").content.decode()


def test_guesses_here_and_at_sign_in_are_counted_together(late: Client) -> None:
    for number in range(3):
        confirm(late, password=f"guess {number}")
    for spelling in ("KIM", " kim "):
        cast.client().post("/sign-in/", {"login": spelling, "password": "not it"})
    assert confirm(late).status_code == 429


def test_the_session_gets_another_name_and_the_one_before_opens_nothing(late: Client) -> None:
    before = late.cookies[settings.SESSION_COOKIE_NAME].value
    confirm(late)
    assert late.cookies[settings.SESSION_COOKIE_NAME].value != before
    late.cookies[settings.SESSION_COOKIE_NAME] = before
    assert late.get("/t/sensitive/").status_code == 302


def test_another_persons_password_proves_nothing(late: Client) -> None:
    User.create("karl", "another long password", {"owner"}, by=cast.SETUP)
    assert confirm(late, password="another long password").status_code == 422


def test_what_another_person_proved_in_this_browser_does_not_count(region: Region) -> None:
    client = cast.client("kim")
    client.post("/sign-out/")
    client.force_login(cast.person("alice"))
    assert ASKED in client.get("/t/sensitive/").content.decode()


@pytest.mark.parametrize("to", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nb"])
def test_it_leads_to_no_other_site(late: Client, to: str) -> None:
    page = late.get("/account/confirm/", {"next": to}).content.decode()
    assert 'name="next" value="/"' in page
    assert confirm(late, to)["Location"] == "/"
    assert late.get("/account/confirm/", {"next": to})["Location"] == "/"


def test_who_may_not_is_refused_before_being_asked(region: Region) -> None:
    answer = cast.passed(cast.client("vera"), 600).get("/t/sensitive/")
    assert answer.status_code == 403
    assert ASKED not in answer.content.decode()
