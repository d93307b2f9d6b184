"""What a post must carry, what it may not set, and that nothing happens without its entry in the log."""

import re
import uuid
from collections.abc import Iterator
from html import unescape
from http.cookies import SimpleCookie
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import timezone

from secrets_app.models import ApiToken, AuditEntry, RoleGrant, User
from tests import cast
from tests.security.policy import ENTERING, WRITING
from tests.security.world import World, everything, fingerprint, things

BY_ALICE = [name for name, row in WRITING.items() if row.may("alice") and row.who != "anybody"]


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("name", WRITING)
def test_a_post_without_the_forms_token_or_from_elsewhere_changes_nothing(world: World, name: str) -> None:
    row = WRITING[name]
    assert row.body
    url, body = row.url(name, world), row.body(world)
    client = cast.client(row.somebody if name not in ENTERING else "", enforce_csrf_checks=True)
    client.get("/sign-out/" if name not in ENTERING else "/sign-in/")
    cookie = client.cookies.get(settings.CSRF_COOKIE_NAME)
    assert cookie is not None
    token = {"X-CSRFToken": cookie.value}
    before = fingerprint()
    for headers in (
        {},
        {"X-CSRFToken": "x" * 32},
        {"X-CSRFToken": ""},
        {**token, "Origin": "https://evil.example"},
        {**token, "Origin": "null"},
        {**token, "Sec-Fetch-Site": "cross-site"},
        {**token, "Sec-Fetch-Site": "same-site"},
    ):
        answer = client.post(url, body, headers=headers)
        assert answer.status_code == 403, headers
        assert "This form is too old" in answer.content.decode()
    assert fingerprint() == before
    point = transaction.savepoint()
    assert client.post(url, body, headers=token).status_code in (200, 302, 303)
    assert fingerprint() != before
    transaction.savepoint_rollback(point)


@pytest.mark.parametrize("name", WRITING)
def test_no_other_method_does_the_deed(world: World, name: str) -> None:
    row = WRITING[name]
    assert row.body
    url, body = row.url(name, world), row.body(world)
    client = cast.client(row.somebody) if row.who != "anybody" else cast.client()
    before = fingerprint()
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "POSTT"):
        answer = client.generic(
            method, url, "&".join(f"{field}={value}" for field, value in body.items()), "application/x-www-form-urlencoded"
        )
        assert answer.status_code in ((200, 302, 405) if method in ("GET", "HEAD") else (405,)), method
    client.get(url, body)
    client.get(url, body, headers={"X-HTTP-Method-Override": "POST"})
    assert fingerprint() == before


@pytest.mark.parametrize("name", BY_ALICE)
def test_a_deed_whose_entry_cannot_be_written_does_not_happen(world: World, name: str) -> None:
    row = WRITING[name]
    assert row.body
    client = cast.client("alice", raise_request_exception=False)
    url, body = row.url(name, world), row.body(world)
    before = fingerprint()
    for broken in ("secrets_app.models.audit.AuditEntry.save", "secrets_app.models.audit.AuditEntry.digest"):
        with patch(broken, side_effect=OSError(FAILURE)):
            answer = client.post(url, body)
        assert_told_safely(answer, body)
        assert fingerprint() == before


SAVE = "secrets_app.models.audit.AuditEntry.save"
FAILURE = "no space left on /srv/the-path-of-the-log"


def assert_told_safely(answer: Any, body: dict[str, str]) -> None:
    """What happened and what to do, and nothing of what was sent or of why the log is broken."""
    page = answer.content.decode()
    assert answer.status_code == 500
    assert "Something went wrong in the console" in page
    assert "Look whether your change was made before you try again. The console's log says what happened." in unescape(page)
    assert not [said for said in (FAILURE, "Traceback", "OSError", *body.values()) if len(said) > 6 and said in page]


def test_the_api_tells_a_failing_log_in_json(world: World) -> None:
    text = ApiToken.create("ci", None, ["key.rotate"], 9, by=cast.actor("kim"))[1]
    client = cast.client(raise_request_exception=False)
    ApiToken.objects.update(last_used_at=timezone.now())
    before = fingerprint()
    with patch(SAVE, side_effect=OSError(FAILURE)):
        sent = {"value": "a value that was posted", "overlap_hours": 0}
        answer = client.post("/api/v1/local/keys/spare/rotate/", sent, "application/json", headers={"Authorization": f"Bearer {text}"})
    assert (answer.status_code, answer.json()["code"]) == (500, "failed")
    assert "Look whether the change was made before you try again." in answer.json()["message"]
    assert FAILURE not in answer.content.decode()
    assert fingerprint() == before


def test_nobody_comes_in_without_an_entry(world: World) -> None:
    accept = {"password": "three unrelated words", "again": "three unrelated words"}
    before = fingerprint()
    with patch(SAVE, side_effect=OSError(FAILURE)):
        for url, body in (("/sign-in/", {"login": "kim", "password": cast.PASSWORD}), (f"/invited/{world.token}/", accept)):
            client = cast.client(raise_request_exception=False)
            assert_told_safely(client.post(url, body), body)
            assert client.get("/local/").status_code == 302
    assert fingerprint() == before


@pytest.mark.parametrize("failure", [OSError(FAILURE), DatabaseError(FAILURE)])
def test_whoever_wants_to_go_out_goes_out_entry_or_not(world: World, failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """A session that is to end must not outlive a broken log."""
    client = cast.client("kim")
    stolen = cast.client()
    stolen.cookies = SimpleCookie(client.cookies.output(attrs=[], header="", sep=";").strip())
    assert stolen.get("/local/").status_code == 200
    with patch(SAVE, side_effect=failure):
        answer = client.post("/sign-out/")
    assert (answer.status_code, answer["Location"]) == (302, "/sign-in/")
    assert [browser.get("/local/").status_code for browser in (client, stolen)] == [302, 302]
    assert "kim signed out, and no entry of the audit log says so." in caplog.text
    assert not AuditEntry.objects.filter(action="user.sign_out").exists()


@pytest.mark.usefixtures("one_minute")
@pytest.mark.parametrize("failure", [OSError(FAILURE), DatabaseError(FAILURE)])
def test_a_refusal_stays_one_when_the_log_takes_no_entry(world: World, failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing was to be done, and nothing is: whoever asks is told the same as ever."""
    body = WRITING["key-rotate"].body
    assert body
    rotated, in_use = WRITING["key-rotate"].url("key-rotate", world), WRITING["key-delete"].url("key-delete", world, name="partner")
    asked: list[tuple[str, str, dict[str, str], int, str]] = [
        ("vera", rotated, body(world), 403, "Needs Key manager"),
        ("vera", "/settings/", {}, 403, "Needs Owner"),
        ("alice", in_use, {"confirm": "partner", "once": str(uuid.uuid4())}, 409, "acme"),
        ("", "/sign-in/", {"login": "kim", "password": "not the password"}, 422, "The username or the password is wrong."),
        ("", "/invited/neverwas/", {}, 404, ""),
        ("", "/api/v1/local/keys/", {}, 401, "unknown_token"),
    ]
    for who, url, sent, status, words in asked:
        client = cast.client(who)
        before = fingerprint()
        with patch(SAVE, side_effect=failure):
            answer = client.post(url, sent) if sent else client.get(url)
        page = answer.content.decode()
        assert (answer.status_code, words in page, FAILURE in page) == (status, True, False), url
        assert fingerprint() == before
    assert caplog.text.count("and no entry of the audit log says so") >= len(asked)
    assert "not the password" not in caplog.text


@pytest.mark.usefixtures("control_plane_down")
@pytest.mark.parametrize("name", BY_ALICE)
def test_the_same_post_twice_is_one_deed(world: World, name: str) -> None:
    row = WRITING[name]
    assert row.body
    client, url, body = cast.client("alice"), row.url(name, world), row.body(world)
    client.post(url, body)
    seen, after = AuditEntry.objects.filter(outcome="ok").count(), things()
    assert client.post(url, body).status_code < 500
    assert AuditEntry.objects.filter(outcome="ok").count() == seen or row.action == "user.edit_theme"
    assert things() == after


# A repeat of these would not be seen without the form's token: they make something, or a new version of it.
WITH_TOKEN = ["key-create", "key-rotate", "consumer-create", "consumer-rotate", "instance-create", "service-create", "region-create"]


@pytest.mark.parametrize("first", WITH_TOKEN)
def test_a_token_that_was_used_is_refused_by_every_other_form(world: World, first: str) -> None:
    """Never a failure of ours, never what looks like a success; and the form that comes back can be sent."""
    token, client = str(uuid.uuid4()), cast.client("alice")
    client.post(WRITING[first].url(first, world), body(first, world, token))
    done = AuditEntry.objects.latest("seq")
    assert (done.action, str(done.operation)) == (WRITING[first].action, token)
    after = things()
    for name in WITH_TOKEN:
        if name == first:
            continue
        url = WRITING[name].url(name, world)
        for headers in ({}, {"HX-Request": "true", "HX-Target": "panel"}):
            answer = client.post(url, body(name, world, token), headers=headers)
            page = answer.content.decode()
            assert answer.status_code == 409, f"{name} after {first}"
            assert "This form was sent before, for something else." in page
            fresh = re.search(r'name="once" value="([^"]+)"', page)
            assert fresh
            assert fresh[1] != token
        entry = AuditEntry.objects.latest("seq")
        assert (entry.action, entry.outcome, entry.facts) == (WRITING[name].action, "refused", {"reason": "form_reused"})
        assert things() == after
        point = transaction.savepoint()
        assert client.post(url, body(name, world, fresh[1])).status_code in (200, 303)
        transaction.savepoint_rollback(point)


def body(name: str, world: World, token: str) -> dict[str, str]:
    """Each with a value of its own."""
    made = WRITING[name].body
    assert made
    sent = made(world) | {"once": token}
    return sent | {field: f"a value posted to {name}" for field in ("value", "value_0") if field in sent}


@pytest.mark.parametrize("name", WITH_TOKEN)
def test_sent_again_with_another_value_says_that_nothing_was_changed(world: World, name: str) -> None:
    token, client = str(uuid.uuid4()), cast.client("alice")
    url = WRITING[name].url(name, world)
    client.post(url, body(name, world, token))
    after = things()
    answer = client.post(url, body(name, world, token) | {"value": "a third value that was posted", "value_0": "and a fourth one of them"})
    assert things() == after
    assert "Nothing was changed now." in client.get(answer["Location"]).content.decode()


@pytest.mark.parametrize("name", WITH_TOKEN)
def test_another_persons_token_is_no_way_to_their_answer(world: World, name: str) -> None:
    row = WRITING[name]
    others = [who for who in ("kim", "olive") if row.may(who)]
    token, url = str(uuid.uuid4()), row.url(name, world)
    cast.client("alice").post(url, body(name, world, token))
    for who in others:
        assert cast.client(who).post(url, body(name, world, token)).status_code == 409


REFUSED = {  # what each address answers with 403 or 409, by who asks, with what, and how it comes to be refused
    "key-delete": ("partner", {"confirm": "partner"}, "key_in_use"),
    "key-delete ": ("partner", {"confirm": "not its name"}, "key_in_use"),
    "key-disable": ("resting", {}, "conflict"),
    "key-enable": ("spare", {}, "conflict"),
    "key-edit": ("spare", {"description": "x", "lock_version": "99"}, "stale_edit"),
    "consumer-rotate": ("acme", {"value": "another value that was posted", "overlap": "24"}, "conflict"),
    "consumer-rotate-jwt": ("acme", {}, "conflict"),
    "consumer-switch-method": ("own", {"lock_version": "99"}, "stale_edit"),
    "consumer-disable": ("asleep", {}, "conflict"),
    "consumer-enable": ("own", {}, "conflict"),
    "consumer-edit": ("own", {"lock_version": "99"}, "stale_edit"),
    "service-open": ("open-house", {}, "conflict"),
    "service-require-authentication": ("chat", {}, "conflict"),
    "service-edit": ("open-house", {"lock_version": "99"}, "stale_edit"),
    "service-authorize": ("chat", {"consumers": "acme"}, "conflict"),
    "service-revoke": ("open-house", {}, "conflict"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_every_refused_deed_is_in_the_log(world: World, case: str) -> None:
    name, (target, fields, reason) = case.strip(), REFUSED[case]
    row, before = WRITING[name], AuditEntry.objects.latest("seq").seq
    answer = cast.client("alice").post(row.url(name, world, name=target), body(name, world, str(uuid.uuid4())) | fields)
    assert answer.status_code == 409
    entry = AuditEntry.objects.get(seq__gt=before)
    assert (entry.action, entry.outcome, entry.facts, entry.target) == (row.action, "refused", {"reason": reason}, target)


@pytest.mark.usefixtures("control_plane_down")
@pytest.mark.parametrize("name", BY_ALICE)
def test_fields_that_are_no_fields_of_the_form_are_ignored(world: World, name: str) -> None:
    """Whatever a model calls its columns, a post sets what its form asks for and nothing else."""
    row = WRITING[name]
    assert row.body
    client, url, body = cast.client("alice"), row.url(name, world), row.body(world)
    asked = set(re.findall(r'\sname="([^"]+)"', client.get(url).content.decode())) | set(body)
    stranger = uuid.uuid4()
    extra = {field: value for field, value in hostile_columns(world, stranger) if field not in asked}
    grants, people = held(), User.objects.count() - (row.action == "user.delete")
    client.post(url, body | extra)
    assert AuditEntry.objects.latest("seq").action == row.action
    stored = everything()
    for mark in ("smuggled", stranger.hex, str(stranger), "2001-02-03", "313373133731337"):
        assert mark not in stored, mark
    assert row.action in CHANGING_RIGHTS or held() == grants
    assert {who for who, role in held() if role == "owner"} == {"alice"}
    assert (User.objects.count(), User.objects.filter(is_superuser=True).count(), User.objects.filter(is_staff=True).count()) == (
        people,
        0,
        0,
    )
    assert AuditEntry.objects.latest("seq").actor == "alice"


CHANGING_RIGHTS = {"role.grant", "role.revoke", "user.delete"}


def held() -> list[tuple[str, str]]:
    return sorted((who or "a team", role) for who, role in RoleGrant.objects.values_list("user__username", "role"))


def hostile_columns(world: World, stranger: uuid.UUID) -> Iterator[tuple[str, str]]:
    for column in ("id", "pk", "key_id", "version_id", "user", "user_id", "actor", "actor_id", "target_id", "deployment"):
        yield column, str(stranger)
    for column in ("region", "region_id"):
        yield column, str(world.abroad.pk)
    for column in (
        "created_by",
        "rotated_by",
        "ref",
        "holder_kind",
        "path",
        "kek_id",
        "stage",
        "search_text",
        "name_folded",
        "token_hash",
        "hash",
    ):
        yield column, "smuggled"
    for column in ("created_at", "rotated_at", "accepted_until", "at", "joined_at", "last_login"):
        yield column, "2001-02-03 04:05:06"
    for column in ("reference_count", "changed_seq", "in_effect_seq", "seq", "holder_id", "number"):
        yield column, "313373133731337"
    for column in ("is_superuser", "is_staff", "inbound", "header_safe", "long_enough"):
        yield column, "1"
    for column in ("role", "roles", "permissions", "groups"):
        yield column, "owner"
    for column in ("body", "wrapped", "fingerprint", "facts", "outcome", "by", "operation", "body_file"):
        yield column, "smuggled"
