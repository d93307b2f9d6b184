"""Coming in and going out: one answer for every wrong pair, limits that no header escapes, and an entry for each."""

from typing import Any

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.urls import NoReverseMatch, reverse

import console.settings as product
from secrets_app.models import AuditEntry, RefusalTally, Region, User
from tests import cast

WRONG = "The username or the password is wrong."
LOCKED = "Too many sign-ins failed."


def sign_in(client: Client, name: str = "kim", password: str = cast.PASSWORD, to: str = "", **options: Any) -> HttpResponse:
    answer: HttpResponse = client.post("/sign-in/", {"login": name, "password": password, "next": to}, **options)
    return answer


@pytest.fixture
def kim(region: Region) -> None:
    cast.person("kim")


@pytest.mark.usefixtures("kim")
def test_kim_signs_in_and_it_is_audited() -> None:
    client = cast.client()
    answer = sign_in(client)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    entry = AuditEntry.objects.latest("seq")
    assert (entry.actor, entry.action, entry.outcome, entry.target, entry.address) == ("kim", "user.sign_in", "ok", "kim", "127.0.0.1")
    assert client.get("/local/").status_code == 200


@pytest.mark.usefixtures("kim")
def test_the_session_gets_a_new_name_and_a_closed_cookie() -> None:
    client = cast.client()
    client.get("/sign-in/")
    cookie = sign_in(client).cookies[settings.SESSION_COOKIE_NAME]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    again = cast.client()
    again.cookies[settings.SESSION_COOKIE_NAME] = "chosen-by-an-attacker"
    assert sign_in(again).cookies[settings.SESSION_COOKIE_NAME].value != "chosen-by-an-attacker"


@pytest.mark.usefixtures("kim")
def test_a_wrong_password_and_an_unknown_name_are_answered_alike() -> None:
    wrong, unknown = sign_in(cast.client(), "kim", "not it, not it"), sign_in(cast.client(), "nobody", "not it, not it")
    assert (wrong.status_code, unknown.status_code) == (422, 422)
    assert WRONG in wrong.content.decode()
    assert plain(wrong).replace("kim", "?") == plain(unknown).replace("nobody", "?")
    assert "not it, not it" not in wrong.content.decode()


def plain(answer: HttpResponse) -> str:
    return "\n".join(line for line in answer.content.decode().splitlines() if "csrf" not in line.lower())


@pytest.mark.usefixtures("kim")
def test_an_inactive_person_with_the_right_password_is_answered_like_a_wrong_one() -> None:
    user = cast.person("kim")
    user.is_active = False
    user.save()
    right, wrong = sign_in(cast.client()), sign_in(cast.client(), password="not it, not it")
    assert (right.status_code, plain(right)) == (wrong.status_code, plain(wrong))


@pytest.mark.usefixtures("kim")
def test_an_empty_form_says_of_each_field_what_is_missing() -> None:
    page = sign_in(cast.client(), "", "").content.decode()
    assert page.count("Enter your username.") == page.count("Enter your password.") == 2  # in the summary and at the field


@pytest.mark.usefixtures("kim")
def test_who_is_sent_here_on_the_way_is_told_that_nothing_unsaved_is_kept() -> None:
    told = "What stood in a form and was not saved has to be entered again."
    assert told not in cast.client().get("/sign-in/").content.decode()
    assert told in cast.client().get("/sign-in/?next=/local/keys/new/").content.decode()


@pytest.mark.usefixtures("kim")
def test_a_new_password_ends_the_sessions_that_were_open() -> None:
    client = cast.client()
    sign_in(client)
    assert client.get("/local/").status_code == 200
    user = User.objects.get(username="kim")
    user.set_password("a new one, long enough")  # what manage.py changepassword does
    user.save()
    assert client.get("/local/").status_code == 302


@pytest.mark.usefixtures("kim")
def test_a_failure_is_audited_and_names_only_who_exists() -> None:
    sign_in(cast.client(), "my-password-in-the-wrong-field", "x")
    entry = AuditEntry.objects.latest("seq")
    assert (entry.actor, entry.action, entry.outcome) == ("unknown", "user.sign_in", "refused")
    sign_in(cast.client(), "KIM", "x")
    assert AuditEntry.objects.latest("seq").actor == "kim"
    assert not AuditEntry.objects.filter(target__contains="wrong-field").exists()


@pytest.mark.usefixtures("kim", "one_minute")
def test_six_wrong_passwords_close_the_name_to_their_address_for_a_while_even_for_the_right_one() -> None:
    for _ in range(5):
        assert sign_in(cast.client(), password="not it").status_code == 422
    answer = sign_in(cast.client())
    assert answer.status_code == 429
    assert LOCKED in answer.content.decode()
    assert RefusalTally.objects.get(actor="kim").count == 5


@pytest.mark.parametrize(
    ("theirs", "kims"), [("203.0.113.9", "198.51.100.7"), ("2001:db8:1::9", "2001:db8:2::7"), ("203.0.113.9", "2001:db8:2::7")]
)
@pytest.mark.usefixtures("kim")
def test_wrong_passwords_from_elsewhere_do_not_lock_kim_out(theirs: str, kims: str) -> None:
    answers = [sign_in(cast.client(), password="not it", REMOTE_ADDR=theirs).status_code for _ in range(8)]
    assert answers == [422] * 5 + [429] * 3
    assert sign_in(cast.client(), REMOTE_ADDR=kims).status_code == 302


@pytest.mark.usefixtures("kim")
def test_the_addresses_of_one_network_are_one() -> None:
    answers = [sign_in(cast.client(), password="not it", REMOTE_ADDR=f"2001:db8:1::{number}").status_code for number in range(1, 8)]
    assert answers == [422] * 5 + [429] * 2


@pytest.mark.parametrize("name", ["kim", "nobody"])
@pytest.mark.usefixtures("kim")
def test_guesses_from_very_many_addresses_close_a_name_to_all_but_where_it_came_in_before(name: str) -> None:
    sign_in(cast.client(), REMOTE_ADDR="198.51.100.7")
    answers = [sign_in(cast.client(), name, "not it", REMOTE_ADDR=f"203.0.113.{number}").status_code for number in range(102)]
    assert answers == [422] * 100 + [429] * 2
    stranger = sign_in(cast.client(), name, REMOTE_ADDR="203.0.114.1")
    assert stranger.status_code == 429
    assert LOCKED in stranger.content.decode()
    assert sign_in(cast.client(), name, REMOTE_ADDR="198.51.100.7").status_code == (302 if name == "kim" else 429)
    assert sign_in(cast.client(), name, "not it", REMOTE_ADDR="198.51.100.7").status_code == (422 if name == "kim" else 429)


@pytest.mark.usefixtures("kim")
def test_signing_in_rightly_uses_nothing_up() -> None:
    for number in range(110):
        assert sign_in(cast.client(), REMOTE_ADDR=f"203.0.113.{number}").status_code == 302


@pytest.mark.usefixtures("kim")
def test_a_flood_of_names_does_not_wash_the_counters_away() -> None:
    for _ in range(5):
        sign_in(cast.client(), password="not it", REMOTE_ADDR="203.0.113.250")
    for number in range(400):
        sign_in(cast.client(), f"name-{number}", "not it", REMOTE_ADDR=f"198.51.{number // 200}.{number % 200}")
    assert sign_in(cast.client(), REMOTE_ADDR="203.0.113.250").status_code == 429


@pytest.mark.usefixtures("kim")
def test_behind_a_trusted_proxy_the_callers_own_address_counts_and_is_audited(settings: Any) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    for _ in range(5):
        sign_in(cast.client(), password="not it", REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": "198.51.100.7, 203.0.113.9"})
    assert sign_in(cast.client(), REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 429
    assert sign_in(cast.client(), REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": "198.51.100.7"}).status_code == 302
    assert AuditEntry.objects.latest("seq").address == "198.51.100.7"


@pytest.mark.usefixtures("kim")
def test_no_spelling_and_no_header_escapes_the_limit() -> None:
    spellings = ["kim", "KIM", " kim ", "ｋｉｍ", "Kim"]
    for number, spelling in enumerate(spellings):
        headers = {"Host": f"testserver:{1000 + number}", "X-Forwarded-For": f"203.0.113.{number}"}
        sign_in(cast.client(), spelling, "not it", headers=headers)
    assert sign_in(cast.client()).status_code == 429


@pytest.mark.usefixtures("kim")
def test_an_unknown_name_is_closed_just_like_a_known_one() -> None:
    answers = [sign_in(cast.client(), "nobody", "not it") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [422] * 5 + [429]


@pytest.mark.usefixtures("kim")
def test_one_address_may_not_try_name_after_name() -> None:
    answers = [sign_in(cast.client(), f"name-{number}", "not it").status_code for number in range(11)]
    assert answers == [422] * 10 + [429]


@pytest.mark.usefixtures("kim")
def test_too_many_sign_ins_from_one_address_are_told_to_wait() -> None:
    answers = [sign_in(cast.client()).status_code for _ in range(31)]
    assert answers == [302] * 30 + [429]


@pytest.mark.parametrize("to", ["/a\nb", "/a\r\nSet-Cookie: x=y", "/a\tb", "/\u2028", "/" + "a" * 5000])
@pytest.mark.usefixtures("kim")
def test_where_to_go_next_is_one_line_of_text(to: str) -> None:
    """It becomes a header."""
    client = cast.client()
    assert sign_in(client, to=to)["Location"] == "/"
    assert client.post("/theme/", {"theme": "dark", "next": to})["Location"] == "/"
    assert client.post("/theme/", {"theme": "dark", "next": to}, headers={"HX-Request": "true"}).status_code == 204
    assert client.get("/sign-in/", {"next": to})["Location"] == "/"


@pytest.mark.parametrize("to", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "local/"])
@pytest.mark.usefixtures("kim")
def test_sign_in_leads_to_no_other_site(to: str) -> None:
    assert sign_in(cast.client(), to=to)["Location"] == "/"


@pytest.mark.usefixtures("kim")
def test_sign_in_leads_back_to_where_one_was() -> None:
    assert sign_in(cast.client(), to="/local/keys/?q=a")["Location"] == "/local/keys/?q=a"
    assert cast.client("kim").get("/sign-in/?next=/local/")["Location"] == "/local/"


@pytest.mark.usefixtures("kim")
def test_an_answer_in_json_is_never_given_because_it_would_repeat_the_password() -> None:
    for headers in ({"X-Requested-With": "XMLHttpRequest"}, {"Accept": "application/json"}):
        answer = sign_in(cast.client(), password="a-typed-password", headers=headers)
        assert b"a-typed-password" not in answer.content
        assert answer["Content-Type"].startswith("text/html")


@pytest.mark.usefixtures("kim")
def test_signing_out_ends_the_session_and_is_audited() -> None:
    client = cast.client("kim")
    assert b"Sign out of Latchkey?" in client.get("/sign-out/").content
    assert client.get("/local/").status_code == 200  # asking is not doing
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert AuditEntry.objects.latest("seq").action == "user.sign_out"
    client.cookies[settings.SESSION_COOKIE_NAME] = session
    assert client.get("/local/").status_code == 302


@pytest.mark.usefixtures("kim")
def test_nothing_else_of_the_account_package_is_mounted() -> None:
    for path in ("signup", "password/reset", "login", "email", "inactive", "reauthenticate", "login/code"):
        assert cast.client().get(f"/accounts/{path}/").status_code == 404
    for name in ("account_login", "account_signup", "account_reset_password", "account_email"):
        with pytest.raises(NoReverseMatch):
            reverse(name)


def test_a_person_without_a_role_may_come_in_and_see_nothing(region: Region) -> None:
    cast.person("mallory")
    client = cast.client()
    assert sign_in(client, "mallory").status_code == 302
    assert client.get("/local/").status_code == 403


def test_the_product_hashes_passwords_with_argon2_alone() -> None:
    assert product.PASSWORD_HASHERS == ["django.contrib.auth.hashers.Argon2PasswordHasher"]


@pytest.mark.usefixtures("kim")
def test_the_theme_is_kept_on_the_person_and_audited() -> None:
    client = cast.client("kim")
    answer = client.post("/theme/", {"theme": "dark", "next": "/local/"})
    assert (answer.status_code, answer["Location"]) == (303, "/local/")
    assert cast.person("kim").theme == "dark"
    assert (AuditEntry.objects.latest("seq").action, AuditEntry.objects.latest("seq").facts) == ("user.edit_theme", {"theme": "dark"})
    assert b'data-theme="dark"' in client.get("/local/").content
    assert client.post("/theme/", {"theme": "pink"}).status_code == 422
    assert client.post("/theme/", {"theme": "light", "next": "//evil.example"})["Location"] == "/"
