"""Second factors: added and removed on one's own page, asked for after the password, used once, guessed five times."""

import json
import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.management import CommandError, call_command
from django.http import HttpResponse
from django.test import Client

from console import factors
from secrets_app import keyring, sign_in_key
from secrets_app.errors import CannotOpen, CannotSeal
from secrets_app.kms import builtin
from secrets_app.models import ApiToken, AuditEntry, Region, User
from tests import cast

ASKED = "Confirm that it is you"


@pytest.fixture
def seed(region: Region) -> str:
    """Of kim's app."""
    return cast.app_of("kim")


def half_in(name: str = "kim") -> Client:
    """A browser in which the password was right."""
    client = cast.client()
    answer = client.post("/sign-in/", {"login": name, "password": cast.PASSWORD, "next": "/local/keys/"})
    assert answer["Location"] == "/sign-in/second-factor/"
    return client


def give(client: Client, code: str = "", **more: str) -> HttpResponse:
    answer: HttpResponse = client.post("/sign-in/second-factor/", {"code": code, **more})
    return answer


def offer(client: Client) -> tuple[str, dict[str, str]]:
    """The seed that the page shows, and what its form carries."""
    page = client.get("/account/authenticator-app/").content.decode()
    seed = re.search(r'data-copy="(\w+)"', page)
    token = re.search(r'name="offer" value="([^"]+)"', page)
    assert seed
    assert token
    return seed[1], {"offer": token[1]}


def last() -> tuple[Any, ...]:
    entry = AuditEntry.objects.latest("seq")
    return entry.actor, entry.action, entry.outcome, entry.facts


# Signing in


def test_the_password_alone_opens_nothing(seed: str) -> None:
    client = half_in()
    assert client.get("/local/keys/").status_code == 302
    assert "Second factor" in client.get("/sign-in/second-factor/").content.decode()
    assert last()[1] != "user.sign_in"


def test_with_the_code_one_is_in_where_one_wanted_and_the_entry_says_how(seed: str) -> None:
    client = half_in()
    answer = give(client, cast.code(seed))
    assert (answer.status_code, answer["Location"]) == (302, "/local/keys/")
    assert last() == ("kim", "user.sign_in", "ok", {"methods": ["password", "totp"]})
    assert client.get("/local/keys/").status_code == 200


@pytest.mark.parametrize("form", ["{0}", " {0} ", "{1} {2}", "{1}-{2}"])
def test_the_code_may_be_typed_with_spaces(seed: str, form: str) -> None:
    code = cast.code(seed)
    assert give(half_in(), form.format(code, code[:3], code[3:])).status_code == 302


@pytest.mark.parametrize(("steps", "fits"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_a_clock_may_be_off_by_half_a_minute(seed: str, steps: int, fits: bool) -> None:
    assert (give(half_in(), cast.code(seed, steps)).status_code == 302) is fits


def test_a_code_is_good_once_and_none_before_it_after_that(seed: str) -> None:
    assert give(half_in(), cast.code(seed)).status_code == 302
    assert give(half_in(), cast.code(seed)).status_code == 422
    assert give(half_in(), cast.code(seed, -1)).status_code == 422
    assert give(half_in(), cast.code(seed, 1)).status_code == 302


def test_a_wrong_code_is_refused_in_words_and_audited(seed: str) -> None:
    client = half_in()
    answer = give(client, "000000")
    assert answer.status_code == 422
    assert "The code is wrong, or was used before." in answer.content.decode()
    assert last() == ("kim", "user.give_factor", "refused", {"reason": "not_allowed"})
    assert client.get("/local/keys/").status_code == 302


@pytest.mark.parametrize("code", ["", "  ", "١٢٣٤٥٦", "x" * 5000, "12345", "1234567", "\ud7ff", "${jndi}"])
def test_what_is_no_code_is_refused(seed: str, code: str) -> None:
    assert give(half_in(), code).status_code == 422


def test_of_very_many_guesses_five_are_looked_at_wherever_they_come_from(seed: str, one_minute: None) -> None:
    client = half_in()
    statuses = [
        client.post("/sign-in/second-factor/", {"code": f"{number:06}"}, REMOTE_ADDR=f"203.0.113.{number % 200}").status_code
        for number in range(60)
    ]
    assert statuses == [422] * 5 + [429] * 55
    assert give(client, cast.code(seed)).status_code == 429
    assert give(half_in(), cast.code(seed)).status_code == 429


def test_a_right_code_uses_nothing_of_the_limit_up_and_forgives_no_guess(seed: str) -> None:
    for _each in range(4):
        give(half_in(), "000000")
    assert give(half_in(), cast.code(seed)).status_code == 302
    assert give(half_in(), "000000").status_code == 422
    assert give(half_in(), cast.code(seed, 1)).status_code == 429


def test_guesses_at_the_confirmation_are_counted_with_those_at_sign_in(seed: str) -> None:
    client = cast.passed(cast.client("kim"), 600)
    for _each in range(5):
        assert client.post("/account/confirm/", {"code": "000000"}).status_code == 422
    assert give(half_in(), cast.code(seed)).status_code == 429


def test_who_gave_no_password_is_asked_for_that_first(seed: str) -> None:
    for client in (cast.client(), cast.client("vera")):
        assert client.get("/sign-in/second-factor/")["Location"] == "/sign-in/"
        assert give(client, cast.code(seed))["Location"] == "/sign-in/"


def test_who_is_disabled_in_between_does_not_get_in(seed: str) -> None:
    client = half_in()
    User.objects.filter(username="kim").update(is_active=False)
    assert give(client, cast.code(seed))["Location"] == "/sign-in/"
    assert client.get("/local/keys/").status_code == 302


def test_another_persons_code_fits_nobody_else(seed: str) -> None:
    olives = cast.app_of("olive")
    assert give(half_in(), cast.code(olives)).status_code == 422


def test_the_session_gets_another_name_when_its_person_is_in(seed: str) -> None:
    client = half_in()
    before = client.cookies[settings.SESSION_COOKIE_NAME].value
    give(client, cast.code(seed))
    assert client.cookies[settings.SESSION_COOKIE_NAME].value != before


# Recovery codes


def test_a_recovery_code_lets_in_once_and_is_counted_down(seed: str) -> None:
    codes = factors.make_recovery_codes(cast.person("kim"), by=cast.actor("kim"))
    assert give(half_in(), codes[3].upper().replace("-", " ")).status_code == 302
    used, entered = AuditEntry.objects.order_by("-seq")[1], AuditEntry.objects.latest("seq")
    assert (used.action, used.facts) == ("user.use_recovery_code", {"left": 9})
    assert entered.facts == {"methods": ["password", "recovery_codes"]}
    assert give(half_in(), codes[3]).status_code == 422
    assert give(half_in(), codes[4]).status_code == 302


def test_new_ones_take_the_place_of_the_old_ones_and_are_shown_once(seed: str) -> None:
    old = factors.make_recovery_codes(cast.person("kim"), by=cast.actor("kim"))
    client = half_in()
    give(client, cast.code(seed))
    form = client.get("/account/recovery-codes/").content.decode()
    assert "You have 10 codes left" in form
    once = re.search(r'name="once" value="([^"]+)"', form)
    assert once
    page = client.post("/account/recovery-codes/", {"once": once[1]}).content.decode()
    new = re.findall(r"\b\d{4}-\d{4}-\d{4}\b", page)
    assert len(set(new)) == 10
    assert not set(new) & set(old)
    assert last() == ("kim", "user.make_recovery_codes", "ok", {"count": 10})
    again = client.post("/account/recovery-codes/", {"once": once[1]}, follow=True).content.decode()
    assert not re.findall(r"\b\d{4}-\d{4}-\d{4}\b", again)
    assert give(half_in(), old[0]).status_code == 422
    assert give(half_in(), new[0]).status_code == 302


def test_who_has_few_left_is_warned(seed: str) -> None:
    codes = factors.make_recovery_codes(cast.person("kim"), by=cast.actor("kim"))
    for code in codes[:7]:
        assert factors.fits(cast.person("kim"), code, by=cast.actor("kim")) == factors.RECOVERY
    assert "Only 3 recovery codes are left." in cast.client("kim").get("/account/").content.decode()


def test_there_are_none_without_a_factor(region: Region) -> None:
    answer = cast.client("kim").post("/account/recovery-codes/")
    assert answer.status_code == 409
    assert "Add one first." in answer.content.decode()


# Adding, renaming, removing


def test_an_app_is_added_with_its_first_code_and_brings_recovery_codes(region: Region) -> None:
    client = cast.client("kim")
    seed, form = offer(client)
    wrong = client.post("/account/authenticator-app/", form | {"code": "000000"})
    assert wrong.status_code == 422
    assert seed in wrong.content.decode()  # the same one: it is in the app by now
    page = client.post("/account/authenticator-app/", form | {"code": cast.code(seed)}).content.decode()
    assert len(re.findall(r"\b\d{4}-\d{4}-\d{4}\b", page)) == 10
    assert last() == ("kim", "user.add_factor", "ok", {"factor": "totp"})
    assert cast.person("kim").has_second_factor
    assert "Authenticator app" in client.get("/account/").content.decode()
    assert give(half_in(), cast.code(seed)).status_code == 422  # that code was used to add it
    assert give(half_in(), cast.code(seed, 1)).status_code == 302


def test_there_is_one_app_for_a_person(seed: str) -> None:
    client = half_in()
    give(client, cast.code(seed))
    other, form = offer(client)
    answer = client.post("/account/authenticator-app/", form | {"code": cast.code(other)})
    assert answer.status_code == 409
    assert factors.of(cast.person("kim")).count() == 1


def test_an_offer_is_for_one_person_and_a_quarter_of_an_hour(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    seed, token = factors.offer_app(cast.person("olive"))
    answer = cast.client("kim").post("/account/authenticator-app/", {"offer": token, "code": cast.code(seed)})
    assert answer.status_code == 422
    assert seed not in answer.content.decode()
    monkeypatch.setattr(factors, "OFFERED_FOR", -1)
    answer = cast.client("olive").post("/account/authenticator-app/", {"offer": token, "code": cast.code(seed)})
    assert "This took too long." in answer.content.decode()
    assert not Authenticator.objects.exists()


@pytest.mark.parametrize("token", ["", "x", "gAAAAA" + "A" * 200, "é", "\n"])
def test_a_made_up_offer_is_none(region: Region, token: str) -> None:
    assert cast.client("kim").post("/account/authenticator-app/", {"offer": token, "code": "123456"}).status_code == 422


ADDRESSES = ["authenticator-app", "security-key", "recovery-codes", "password", "factors/{}/remove"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_password_entered_long_ago_opens_none_of_it(seed: str, address: str) -> None:
    factor = factors.of(cast.person("kim")).get()
    client = cast.passed(cast.client("kim"), 600)
    url = f"/account/{address.format(factor.pk)}/"
    seen = AuditEntry.objects.count()
    assert ASKED in client.get(url).content.decode()
    assert client.post(url).status_code == 403
    assert AuditEntry.objects.count() == seen


@pytest.mark.parametrize("address", ADDRESSES)
def test_nor_does_a_fresh_password_of_somebody_who_has_a_second_factor(seed: str, address: str) -> None:
    """Who stole the password and found a browser open could otherwise take the factor away."""
    factor = factors.of(cast.person("kim")).get()
    client, url = cast.client("kim"), f"/account/{address.format(factor.pk)}/"
    page = client.get(url).content.decode()
    assert ASKED in page
    assert 'name="password"' not in page
    assert client.post("/account/confirm/", {"password": cast.PASSWORD, "next": url}).status_code == 422
    assert client.post("/account/confirm/", {"code": cast.code(seed), "next": url})["Location"] == url
    assert last() == ("kim", "user.confirm", "ok", {"methods": ["totp"]})
    assert ASKED not in client.get(url).content.decode()


def test_the_last_one_removed_takes_the_recovery_codes_along(seed: str) -> None:
    client = half_in()
    give(client, cast.code(seed))
    url = f"/account/factors/{factors.of(cast.person('kim')).get().pk}/remove/"
    assert "This is your only second factor" in client.get(url).content.decode()
    assert client.post(url)["Location"] == "/account/"
    assert last() == ("kim", "user.remove_factor", "ok", {"factor": "totp", "name": "Authenticator app"})
    assert not Authenticator.objects.exists()
    assert not cast.person("kim").has_second_factor
    assert cast.client().post("/sign-in/", {"login": "kim", "password": cast.PASSWORD})["Location"] == "/"


def test_a_factor_is_renamed(seed: str) -> None:
    client = cast.client("kim")
    url = f"/account/factors/{factors.of(cast.person('kim')).get().pk}/rename/"
    assert client.post(url, {"name": ""}).status_code == 422
    assert client.post(url, {"name": "Old phone"})["Location"] == "/account/"
    assert last() == ("kim", "user.rename_factor", "ok", {"factor": "totp", "name": "Old phone"})
    assert "Old phone" in client.get("/account/").content.decode()


@pytest.mark.parametrize("address", ["rename", "remove"])
def test_another_persons_factor_is_not_there(seed: str, address: str) -> None:
    url = f"/account/factors/{factors.of(cast.person('kim')).get().pk}/{address}/"
    missing = f"/account/factors/99999/{address}/"
    for client in (cast.client("alice"), cast.client("olive")):
        assert client.get(url).status_code == client.get(missing).status_code == 404
        assert client.post(url, {"name": "mine now"}).status_code == 404
    assert factors.name_of(factors.of(cast.person("kim")).get()) == "Authenticator app"


def test_who_lost_them_all_is_helped_by_a_command(seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    client = half_in()
    give(client, cast.code(seed))
    ApiToken.create("deploy", None, ["key.view"], 30, by=cast.person("kim").as_actor())
    call_command("remove_factors", "KIM")
    told = capsys.readouterr().out
    assert "1 second factors of kim removed" in told
    assert "API tokens of theirs that go on working: 1." in told
    assert last() == ("remove_factors", "user.remove_factor", "ok", {"count": 1})
    assert client.get("/account/").status_code == 302
    assert cast.client().post("/sign-in/", {"login": "kim", "password": cast.PASSWORD})["Location"] == "/"
    with pytest.raises(CommandError, match="nobody"):
        call_command("remove_factors", "nobody")


# Security keys: the real thing is in tests/flows; here what makes none


def _answer(**response: str) -> str:
    return json.dumps({"id": "AA", "rawId": "AA", "type": "public-key", "response": response})


ANSWERS = [
    "{}",
    "[]",
    "null",
    "1",
    '"x"',
    "{",
    "[[[",
    "[" * 8000,  # deeper than Python reads
    '{"id":' * 1300,
    '{"id": 1}',
    _answer(),
    _answer(clientDataJSON="AA", authenticatorData="AA", signature="AA"),
    _answer(clientDataJSON="e30", attestationObject="oA"),
    _answer(clientDataJSON="eyJ0eXBlIjoxfQ", attestationObject="oWhhdXRoRGF0YUAA"),
    _answer(
        clientDataJSON="eyJ0eXBlIjoid2ViYXV0aG4uZ2V0IiwiY2hhbGxlbmdlIjoiQUEiLCJvcmlnaW4iOiJ4In0", authenticatorData="AA", signature="AA"
    ),
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_made_up_answer_of_a_key_is_refused(seed: str, answer: str) -> None:
    client = half_in()
    assert give(client, answer=answer).status_code == 422
    fresh = cast.client("olive")
    fresh.get("/account/security-key/")
    refused = fresh.post("/account/security-key/", {"name": "mine", "answer": answer})
    assert refused.status_code == 422
    assert "There is a problem" in refused.content.decode()
    assert not factors.of(cast.person("olive")).exists()


def test_at_an_address_where_browsers_offer_no_keys_the_page_says_so(region: Region) -> None:
    client = cast.client("kim")
    assert "do not work at this address" in client.get("/account/security-key/", headers={"Host": "127.0.0.1:8000"}).content.decode()
    assert "do not work at this address" not in client.get("/account/security-key/", headers={"Host": "localhost:8000"}).content.decode()


# What is stored


def test_neither_seed_nor_code_stands_in_the_database_or_the_session(seed: str) -> None:
    codes = factors.make_recovery_codes(cast.person("kim"), by=cast.actor("kim"))
    client = half_in()
    stored = json.dumps([row.data for row in Authenticator.objects.all()]) + json.dumps(dict(client.session), default=str)
    assert seed not in stored
    assert not any(code in stored or code.replace("-", "") in stored for code in codes)
    assert cast.PASSWORD not in json.dumps(dict(client.session), default=str)


def test_what_is_kept_opens_for_what_it_was_made_and_with_this_key_alone(region: Region) -> None:
    token = sign_in_key.encrypt("a seed", "factor")
    assert sign_in_key.decrypt(token, "factor") == "a seed"
    with pytest.raises(CannotOpen):
        sign_in_key.decrypt(token, "something else")
    file = keyring.folder() / builtin.SIGN_IN_KEY
    assert file.stat().st_mode & 0o077 == 0
    was = file.read_bytes()
    try:
        file.write_text("0" * 64)
        with pytest.raises(CannotOpen):
            sign_in_key.decrypt(token, "factor")
        file.write_text("1" * 64)
        file.chmod(0o644)
        with pytest.raises(CannotSeal, match="chmod 600"):
            sign_in_key.encrypt("x", "factor")
        file.unlink()
        with pytest.raises(CannotSeal, match="is missing"):
            sign_in_key.encrypt("x", "factor")
    finally:
        file.write_bytes(was)
        file.chmod(0o600)


def test_without_the_key_nobody_with_an_app_gets_in_and_the_page_says_why(seed: str) -> None:
    file = keyring.folder() / builtin.SIGN_IN_KEY
    was = file.read_bytes()
    try:
        file.unlink()
        answer = give(half_in(), cast.code(seed))
        assert answer.status_code == 503
        assert "sign_in.key" in answer.content.decode()
    finally:
        file.write_bytes(was)
        file.chmod(0o600)


def test_no_seed_code_password_or_session_id_is_told_to_a_log_or_a_later_page(region: Region, caplog: pytest.LogCaptureFixture) -> None:
    """A whole life: added, refused, used, renamed, asked again, removed."""
    caplog.set_level("DEBUG")
    client, told = cast.client("kim"), []
    seed, form = offer(client)
    page = client.post("/account/authenticator-app/", form | {"code": cast.code(seed)}).content.decode()
    codes = re.findall(r"\b\d{4}-\d{4}-\d{4}\b", page)
    other = half_in()
    give(other, "000000")
    give(other, codes[0])
    cast.passed(client, 600)
    told += [client.post("/account/confirm/", {"code": codes[1], "next": "/account/"}, follow=True)]
    told += [client.get(address, follow=True) for address in ("/account/", "/account/recovery-codes/", "/account/password/")]
    told += [client.post("/account/password/", {"old": "a-wrong-old-one", "password": "kimkimkimkimkim", "again": "x"})]
    told += [cast.client("audrey").get("/audit/")]
    sessions = [str(one.cookies[settings.SESSION_COOKIE_NAME].value) for one in (client, other)]
    where = "\n".join(answer.content.decode() for answer in told) + caplog.text + str(list(AuditEntry.objects.values()))
    secret = [seed, cast.code(seed), *codes, *(code.replace("-", "") for code in codes), *sessions, "a-wrong-old-one", cast.PASSWORD]
    assert len(codes) == 10
    assert [one for one in secret if one in where] == []
