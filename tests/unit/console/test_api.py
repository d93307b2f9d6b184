"""The API: a token opens what its maker may and no more, now; a cookie opens nothing."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from secrets_app.access import KEY_MANAGER, OWNER
from secrets_app.errors import AboveOwn, Invalid
from secrets_app.models import AuditEntry, Key, Region, RoleGrant
from secrets_app.models.token import FOR_TOKENS, ApiToken
from tests import cast
from tests.unit.console.asking import CANARY, get, post, text


@pytest.fixture(autouse=True)
def counted_anew(db: None) -> None:
    cache.clear()


def token(who: str = "kim", region: Region | None = None, permissions: tuple[str, ...] = FOR_TOKENS[:5], **more: Any) -> str:
    return ApiToken.create("ci", region, permissions, more.pop("days", 90), by=cast.actor(who), **more)[1]


def call(path: str, text: str, body: object = None, method: str = "", **headers: str) -> HttpResponse:
    sent = {"Authorization": f"Bearer {text}"} if text else {}
    client = Client(enforce_csrf_checks=True)
    data = body if isinstance(body, str) else json.dumps(body) if body is not None else ""
    method = method or ("GET" if body is None else "POST")
    answer: Any = client.generic(method, f"/api/v1/{path}", data, "application/json", headers=sent | headers)
    return answer  # type: ignore[no-any-return]


def test_keys_are_listed_made_rotated_and_switched(region: Region) -> None:
    mine = token()
    made = call("local/keys/", mine, {"name": "made", "value": CANARY, "description": "by a script"})
    assert made.status_code == 201
    cast.consumer(region, bound_to=cast.key(region, "partner"))
    listed = json.loads(call("local/keys/", mine).content)
    assert [(key["name"], key["references"], key["version"]) for key in listed["keys"]] == [("made", 0, 1), ("partner", 1, 1)]
    assert json.loads(call("local/keys/partner/", mine).content)["holders"][0]["kind"] == "consumer"
    rotated = call("local/keys/made/rotate/", mine, {"value": CANARY + "2", "overlap_hours": 0})
    assert json.loads(rotated.content)["version"] == 2
    for name, kept in (("made", 0), ("partner", 24)):  # what is left out fits the key
        assert call(f"local/keys/{name}/rotate/", mine, {"value": CANARY + name}).status_code == 200
        assert AuditEntry.objects.latest("seq").facts["overlap_hours"] == kept
    unkept = call("local/keys/made/rotate/", mine, {"value": CANARY + "3", "overlap_hours": 24})
    assert list(json.loads(unkept.content)["errors"]) == ["overlap_hours"]  # as it was sent
    assert json.loads(call("local/keys/made/disable/", mine, {}).content)["enabled"] is False
    assert call("local/keys/made/disable/", mine, {}).status_code == 409
    assert json.loads(call("local/keys/made/enable/", mine, {}).content)["enabled"] is True
    for answer in (made, rotated):
        assert CANARY not in json.dumps(json.loads(answer.content))
    entry = AuditEntry.objects.filter(action="key.rotate").earliest("seq")
    assert (entry.actor, entry.actor_id) == ("kim (token ci)", cast.person("kim").pk)


def test_the_same_idempotency_key_is_one_deed(region: Region) -> None:
    mine = token()
    body = {"name": "made", "value": CANARY}
    assert call("local/keys/", mine, body, **{"Idempotency-Key": "deploy-42"}).status_code == 201
    again = call("local/keys/", mine, body, **{"Idempotency-Key": "deploy-42"})
    assert (again.status_code, json.loads(again.content)["code"]) == (409, "already_done")
    assert Key.objects.count() == 1


def test_what_opens_nothing_answers_with_the_same_bytes(region: Region) -> None:
    cast.person("alice")
    expired, revoked, disabled, elsewhere, deleted = (
        token(),
        token(),
        token("alice"),
        token(networks=["192.0.2.0/24"]),
        token("vera", permissions=("key.view",)),
    )
    rows = list(ApiToken.objects.order_by("pk"))
    ApiToken.objects.filter(pk=rows[0].pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    rows[1].revoke(by=cast.actor("kim"))
    cast.somebody("ada", OWNER)
    cast.person("alice").disable(by=cast.somebody("ada").as_actor())
    cast.person("vera").delete(by=cast.somebody("ada").as_actor())
    good = token()
    wrong = good[:-1] + ("0" if good[-1] != "0" else "1")
    answers = [
        call("local/keys/", text)
        for text in (
            expired,
            revoked,
            disabled,
            elsewhere,
            deleted,
            wrong,
            "",
            "lk_",
            "x" * 5000,
            "lk_neverwas2222_" + "0" * 64,
            "é",
            good + " ",
        )
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(401, answers[0].content)}
    assert call("local/keys/", good).status_code == 200
    refused = AuditEntry.objects.filter(action="token.use", outcome="refused")
    assert refused.get().actor == "unknown"
    assert not any(text in str(list(AuditEntry.objects.values())) for text in (expired, wrong, good))


def test_rights_are_asked_anew_at_each_use(region: Region) -> None:
    mine = token()
    assert call("local/keys/", mine, {"name": "one", "value": CANARY}).status_code == 201
    grant = RoleGrant.objects.get(user__username="kim")
    grant.revoke(cast.everywhere(), by=cast.actor("alice"))
    assert call("local/keys/", mine).status_code in (403, 404)
    assert call("local/keys/", mine, {"name": "two", "value": CANARY}).status_code in (403, 404)
    RoleGrant.grant(cast.person("kim"), "viewer", cast.everywhere(), by=cast.actor("alice"))
    assert call("local/keys/", mine).status_code == 200
    assert call("local/keys/", mine, {"name": "two", "value": CANARY}).status_code == 403
    assert Key.objects.count() == 1


def test_a_token_stays_in_its_region_and_within_what_was_chosen(region: Region) -> None:
    abroad = Region.create("abroad", "Abroad", by=cast.SETUP)
    cast.key(abroad, "foreign")
    cast.key(region, "here")
    mine = token(region=region, permissions=("key.view",))
    there, never = call("abroad/keys/", mine), call("neverwas/keys/", mine)
    assert (there.status_code, there.content) == (404, never.content)
    assert call("local/keys/foreign/", mine).content == call("local/keys/neverwas/", mine).content
    for path, body in (
        ("local/keys/", {"name": "x", "value": CANARY}),
        ("local/keys/here/rotate/", {"value": CANARY}),
        ("local/keys/here/disable/", {}),
    ):
        assert call(path, mine, body).status_code == 403
    assert call("local/consumers/", mine).status_code == 403
    assert call("audit/", mine).status_code == 403
    assert Key.objects.get(name="here").enabled


def test_a_token_gives_no_more_than_its_maker_holds(region: Region) -> None:
    for who, permissions in (("vera", ("key.rotate",)), ("kim", ("audit.view",)), ("audrey", ("key.view",))):
        with pytest.raises(AboveOwn):
            token(who, permissions=permissions)
    rita = cast.somebody("rita", KEY_MANAGER, at=region.scope).as_actor()
    with pytest.raises(Exception, match="permission"):
        ApiToken.create("wide", None, ["key.view"], 90, by=rita)
    for permissions in (["key.reveal"], ["role.grant"], ["token.create"], ["settings.view"], ["key.set_policy"], []):
        with pytest.raises(Invalid):
            ApiToken.create("ci", region, permissions, 90, by=cast.actor("alice"))
    for days in (0, -1, 366):
        with pytest.raises(Invalid):
            ApiToken.create("ci", region, ["key.view"], days, by=cast.actor("alice"))
    with pytest.raises(Invalid):
        ApiToken.create("ci", region, ["key.view"], 9, ["nonsense"], by=cast.actor("alice"))


def test_a_cookie_opens_nothing_here_and_a_token_nothing_on_pages(region: Region) -> None:
    browser = cast.client("alice", enforce_csrf_checks=True)
    assert browser.get("/api/v1/local/keys/").status_code == 401
    assert browser.post("/api/v1/local/keys/", {"name": "x", "value": "y"}).status_code == 401
    answer = browser.post(
        "/api/v1/local/keys/", b"{}", "application/json", headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status_code == 401
    assert not Key.objects.exists()
    mine = token("alice")
    for page in ("/local/keys/", "/team/", "/settings/"):
        assert Client().get(page, headers={"Authorization": f"Bearer {mine}"}).status_code == 302
    answer = browser.get("/api/v1/local/keys/", headers={"Authorization": f"Bearer {token('vera', permissions=('key.view',))}"})
    assert answer.status_code == 200
    assert not answer.cookies


@pytest.mark.parametrize(
    "body", ["", "[]", "{", "null", '{"name": 1, "value": "x"}', '{"name": "x", "value": 7}', '{"name": "x"}', "[" * 5000, '"sk-canary"']
)
def test_bad_bodies_are_told_in_json_and_not_repeated(region: Region, body: str) -> None:
    answer = call("local/keys/", token(), body, method="POST")
    assert answer.status_code == 422
    told = json.loads(answer.content)
    assert set(told) == {"code", "message", "errors"}
    assert "canary" not in answer.content.decode()


def test_errors_are_json_whoever_answers(region: Region) -> None:
    mine = token()
    for method, path, status in (("GET", "nothing/there/at/all/", 404), ("PUT", "local/keys/", 405), ("GET", "local/keys/neverwas/", 404)):
        answer = call(path, mine, method=method)
        assert answer.status_code == status
        assert set(json.loads(answer.content)) == {"code", "message"}
    large = call("local/keys/", mine, {"name": "x", "value": "x" * 1_100_000})
    assert (large.status_code, json.loads(large.content)["code"]) == (413, "too_large")


def test_guessing_is_slowed_down_for_its_address_alone(region: Region) -> None:
    good = token()
    statuses = [call("local/keys/", f"lk_guess{number}").status_code for number in range(70)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert call("local/keys/", good).status_code == 200


def test_the_log_is_read_from_an_entry_on(region: Region) -> None:
    mine = token("audrey", permissions=("audit.view",))
    lines = [json.loads(line) for line in call("audit/?after=1", mine).getvalue().decode().splitlines()]  # type: ignore[attr-defined]
    assert [line["seq"] for line in lines] == list(range(2, AuditEntry.objects.count() + 1))
    assert call("audit/?after=nonsense", mine).status_code == 200


def test_that_a_token_read_the_log_is_an_entry_once_an_hour(region: Region) -> None:
    one, other = (ApiToken.create(name, None, ("audit.view",), 90, by=cast.actor("audrey"))[1] for name in ("one", "other"))
    for _ in range(3):
        assert call("audit/", one).status_code == 200
    assert call("audit/", other).status_code == 200
    get("/audit/", "audrey")
    told = AuditEntry.objects.filter(action="audit.view").order_by("seq").values_list("actor", flat=True)
    assert list(told) == ["audrey (token one)", "audrey (token other)", "audrey"]
    assert call("audit/", "lk_nothing").status_code == 401
    assert AuditEntry.objects.filter(action="audit.view").count() == 3


def test_a_token_is_made_shown_once_listed_and_revoked(region: Region) -> None:
    answer = post(
        "/account/tokens/new/",
        {"name": "ci", "permissions": ["key.view", "key.rotate"], "days": "30", "networks": "127.0.0.1"},
        "kim",
        status=200,
    )
    shown = re.search(r"lk_[a-z2-9]{12}_[0-9a-f]{64}", answer.content.decode())
    assert shown
    assert answer["Cache-Control"] == "no-store"
    assert call("local/keys/", shown[0]).status_code == 200
    for path, who in (("/account/tokens/", "kim"), ("/team/tokens/", "alice")):
        listed = get(path, who)
        assert shown[0] not in listed.content.decode()
        assert "Rotate keys, See keys and who refers to them" in text(listed)
        assert "http://testserver/api/v1/local/keys/NAME/rotate/" in text(listed)  # a line that is copied leads here
    row = ApiToken.objects.get()
    assert row.digest not in shown[0]
    get(f"/account/tokens/{row.pk}/revoke/", "vera", status=404)
    post(f"/account/tokens/{row.pk}/revoke/", {}, "alice")
    assert call("local/keys/", shown[0]).status_code == 401
    assert [entry.action for entry in AuditEntry.objects.filter(target_kind="token").order_by("seq")] == ["token.create", "token.revoke"]
    assert "Make the first token" in text(get("/account/tokens/", "kim"))


def test_uses_within_a_minute_are_noted_once(region: Region) -> None:
    mine = token()
    call("local/keys/", mine)
    first = ApiToken.objects.get().last_used_at
    call("local/keys/", mine)
    assert ApiToken.objects.get().last_used_at == first
    assert first


@pytest.mark.parametrize("field", ["name", "description", "value"])
@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "x" * 70_000], ids=["NUL", "half a character", "long"])
def test_text_that_no_form_would_send_is_refused_in_words(region: Region, field: str, text: str) -> None:
    answer = call("local/keys/", token(), {"name": "made", "description": "", "value": "a value of sixteen"} | {field: text})
    assert answer.status_code == 422
    assert list(json.loads(answer.content)["errors"]) == [field]
    assert not Key.objects.exists()
