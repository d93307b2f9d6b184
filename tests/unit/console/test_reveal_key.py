"""The page that shows a stored value: to whom, after what, and that it stands in that one answer alone."""

import uuid
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from secrets_app.broker import Broker
from secrets_app.models import AuditEntry, Errand, Key, KeyVersion, Region
from tests import cast
from tests.unit.console.asking import get, post, text

REVEAL, DETAIL = "/local/keys/one/reveal/", "/local/keys/one/"
VALUE = "sk-Canary\"<&>'0123456789-of-one"
REASON = "Ticket 4711: the supplier asks for it"


@pytest.fixture
def key(region: Region) -> Key:
    cast.revealing()
    return cast.key(region, "one", VALUE)


def said(**fields: Any) -> dict[str, Any]:
    return {"once": uuid.uuid4(), "reason": REASON, "lock_version": 1} | fields


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 403), ("kim", 200), ("olive", 403), ("vera", 403), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_reveal(key: Key, broker: Broker, who: str, status: int) -> None:
    get(REVEAL, who, status=status)
    post(REVEAL, said(), who, status=status)
    assert AuditEntry.objects.filter(action="key.show", outcome="ok").exists() == (status == 200)


@pytest.mark.parametrize("part", ["", "sheet"])
def test_the_value_stands_in_that_one_answer_which_nothing_keeps(key: Key, broker: Broker, part: str) -> None:
    client = cast.client("kim")
    answer = client.post(REVEAL, said(), headers={"HX-Request": "true", "HX-Target": part} if part else {})
    assert answer.status_code == 200
    assert VALUE in text(answer)  # type: ignore[arg-type]
    assert answer["Cache-Control"] == "no-store"
    assert answer.get("Refresh") == (None if part else f"30; url={DETAIL}")
    for path in (DETAIL, REVEAL, "/local/keys/", "/local/", "/audit/"):
        for who in ("kim", "alice"):
            assert VALUE not in text((client if who == "kim" else cast.client(who)).get(path))  # type: ignore[arg-type]
    assert VALUE not in str(dict(client.session))
    assert not Errand.objects.exists()


def test_the_next_page_says_that_it_is_hidden_again_and_offers_to_rotate(key: Key, broker: Broker) -> None:
    client = cast.client("kim")
    shown = text(client.post(REVEAL, said()))  # type: ignore[arg-type]
    assert "Rotate now" in shown
    assert "hidden again. Rotate" not in shown.split("Rotate now")[0]
    assert "The value of key one is hidden again." in text(client.get(DETAIL))  # type: ignore[arg-type]


def test_the_same_form_again_shows_nothing(key: Key, broker: Broker) -> None:
    fields = said()
    post(REVEAL, fields, "kim", status=200)
    again = post(REVEAL, fields, "kim", status=409)
    assert "not shown twice" in text(again)
    assert VALUE not in text(again)


def test_while_it_is_off_nothing_is_asked(region: Region, broker: Broker) -> None:
    cast.key(region, "one", VALUE)
    page = get(REVEAL, "kim")
    assert "Revealing values is off" in text(page)
    assert 'name="reason"' not in page.content.decode()
    assert VALUE not in text(post(REVEAL, said(), "kim", status=409))
    refused = AuditEntry.objects.get(action="key.reveal")
    assert (refused.outcome, refused.facts["reason"]) == ("refused", "conflict")


@pytest.mark.parametrize("reason", ["", "short", " " * 40])
def test_a_reason_is_asked_for_at_its_field(key: Key, broker: Broker, reason: str) -> None:
    assert "why you need the value" in text(post(REVEAL, said(reason=reason), "kim", status=422))


def test_the_reason_is_kept_when_something_else_is_wrong(key: Key, broker: Broker) -> None:
    key.rotate(cast.value(), by=cast.SETUP)
    answer = post(REVEAL, said(), "kim", status=409)
    assert REASON in text(answer)
    assert "v2 is current by now" in text(answer)
    assert 'name="lock_version" value="2"' in answer.content.decode()


def test_the_fourth_of_an_hour_is_refused_in_words(key: Key, broker: Broker) -> None:
    for _ in range(3):
        post(REVEAL, said(), "kim", status=200)
    answer = post(REVEAL, said(), "kim", status=429)
    assert "that is the limit" in text(answer)
    assert VALUE not in text(answer)


@pytest.mark.usefixtures("control_plane_down")
@pytest.mark.parametrize("part", ["", "sheet"])
def test_without_a_control_plane_it_says_so_and_can_be_asked_again(key: Key, part: str) -> None:
    fields = said()
    answer = post(REVEAL, fields, "kim", part=part, status=503)
    assert "The control plane did not answer" in text(answer)
    assert REASON in text(answer)
    assert str(fields["once"]) not in answer.content.decode()
    assert [(one.action, one.outcome) for one in AuditEntry.objects.filter(actor="kim")] == [
        ("key.reveal", "ok"),
        ("key.reveal", "refused"),
    ]


def test_a_value_that_does_not_open_is_said(key: Key, broker: Broker) -> None:
    KeyVersion.objects.update(body=b"\1\1spoilt")
    assert "cannot be opened" in text(post(REVEAL, said(), "kim", status=503))


def test_a_disabled_key_is_not_shown(key: Key, broker: Broker) -> None:
    key.disable(by=cast.SETUP)
    assert "This key is disabled" in text(post(REVEAL, said(), "kim", status=409))


def test_another_key_than_those_of_the_region_is_not_found(key: Key, broker: Broker) -> None:
    post("/local/keys/two/reveal/", said(), "kim", status=404)


def test_a_form_of_another_site_is_refused(key: Key, broker: Broker) -> None:
    client: Client = cast.client("kim", enforce_csrf_checks=True)
    assert client.post(REVEAL, said()).status_code == 403
    assert not AuditEntry.objects.filter(action="key.reveal").exists()


def test_the_menu_of_a_key_offers_it_to_those_who_may(key: Key) -> None:
    assert f'href="{REVEAL}"' in get(DETAIL, "kim").content.decode()
    page = get(DETAIL, "alice")
    assert f'href="{REVEAL}"' not in page.content.decode()
    assert "Reveal Needs Key manager" in text(page)


def test_an_owner_sets_the_policy(region: Region) -> None:
    assert "Nobody is shown a value" in text(get("/settings/"))
    get("/settings/reveal/", "kim", status=403)
    post("/settings/reveal/", {"policy": "on", "once": uuid.uuid4()}, "kim", status=403)
    post("/settings/reveal/", {"policy": "perhaps", "once": uuid.uuid4()}, status=422)
    assert "Nobody is shown a value" in text(get("/settings/"))
    post("/settings/reveal/", {"policy": "on", "once": uuid.uuid4()})
    assert "is shown a value after signing in anew" in text(get("/settings/"))
    entry = AuditEntry.objects.filter(action="settings.edit_reveal", outcome="ok").latest("seq")
    assert (entry.actor, entry.facts) == ("alice", {"policy": "on", "previous": "off"})


# With a second person


@pytest.fixture
def two(key: Key) -> Key:
    cast.revealing("two")
    return key


def keeper() -> Client:
    """Another key manager's browser."""
    client = Client()
    client.force_login(cast.somebody("keeper", "key_manager"), settings.AUTHENTICATION_BACKENDS[0])
    return cast.passed(client, 0)


def approval() -> str:
    asked = AuditEntry.objects.filter(action="key.ask_reveal", outcome="ok").latest("seq")
    return f"{REVEAL}{asked.operation}/"


def test_it_is_asked_for_approved_on_a_page_of_its_own_and_then_shown(two: Key, broker: Broker) -> None:
    answer = post(REVEAL, said(), "kim", status=200)
    assert "Waiting for a second person" in text(answer)
    assert VALUE not in text(answer)
    assert "asks to be shown the value of one" in text(keeper().get("/local/"))  # type: ignore[arg-type]
    assert "kim asks to be shown this value" in text(keeper().get(REVEAL))  # type: ignore[arg-type]
    page = text(keeper().get(approval()))  # type: ignore[arg-type]
    assert REASON in page
    assert VALUE not in page
    assert keeper().post(approval(), {"once": uuid.uuid4(), "decision": "approve"}).status_code == 303
    page = get(REVEAL, "kim")
    assert "keeper approved it" in text(page)
    assert 'name="reason"' not in page.content.decode()
    assert VALUE in text(post(REVEAL, {"once": uuid.uuid4(), "lock_version": 1}, "kim", status=200))
    assert "Ask for approval" in text(get(REVEAL, "kim"))


def test_a_denial_is_told_and_shows_nothing(two: Key, broker: Broker) -> None:
    post(REVEAL, said(), "kim", status=200)
    assert keeper().post(approval(), {"once": uuid.uuid4(), "decision": "deny"}).status_code == 303
    assert "keeper denied your request" in text(get(REVEAL, "kim"))
    assert "denied already" in text(keeper().get(approval()))  # type: ignore[arg-type]
    assert keeper().post(approval(), {"once": uuid.uuid4(), "decision": "approve"}).status_code == 409


def test_who_asked_may_not_approve(two: Key, broker: Broker) -> None:
    post(REVEAL, said(), "kim", status=200)
    page = get(approval(), "kim")
    assert "This is your own request" in text(page)
    assert 'value="approve"' not in page.content.decode()
    post(approval(), {"once": uuid.uuid4(), "decision": "approve"}, "kim", status=409)
    for who in ("alice", "olive", "vera", "audrey", "mallory"):
        get(approval(), who, status=403)
        post(approval(), {"once": uuid.uuid4(), "decision": "approve"}, who, status=403)


def test_a_request_that_never_was_is_not_found(two: Key) -> None:
    get(f"{REVEAL}{uuid.uuid4()}/", "kim", status=404)


def test_neither_word_decides_nothing(two: Key, broker: Broker) -> None:
    post(REVEAL, said(), "kim", status=200)
    assert keeper().post(approval(), {"once": uuid.uuid4(), "decision": "perhaps"}).status_code == 422
    assert not AuditEntry.objects.filter(action__in=("key.approve_reveal", "key.deny_reveal")).exists()


def test_a_second_request_while_one_is_open_is_told(two: Key, broker: Broker) -> None:
    post(REVEAL, said(), "kim", status=200)
    post(REVEAL, said(), "kim", status=409)
    assert AuditEntry.objects.filter(action="key.ask_reveal", outcome="ok").count() == 1
