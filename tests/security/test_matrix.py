"""Every address, every role: who gets in, who is refused, and that a refusal changes nothing but the log."""

import re

import pytest
from django.db import transaction
from django.test import Client

from secrets_app.models import AuditEntry
from tests import cast
from tests.security.policy import ENTERING, ROWS, TOKENS, WRITING, Row
from tests.security.world import World, fingerprint
from tests.unit.test_house import addresses

NAMES = [*cast.ROLES]


def test_every_address_has_a_row_and_every_row_an_address() -> None:
    assert ROWS.keys() == addresses().keys()


@pytest.mark.parametrize("name", ROWS)
def test_reading(world: World, name: str) -> None:
    row = ROWS[name]
    url = row.url(name, world)
    if row.who == TOKENS:
        assert {cast.client(who).get(url).status_code for who in ["", *NAMES]} <= ({401, 429} if row.reads else {405})
        return
    assert sign_in_needed(cast.client(), url) is (row.who != "anybody" and row.reads)
    for who in NAMES:
        status = cast.client(who).get(url).status_code
        if not row.reads:
            assert status == 405
        elif row.may(who):
            assert status in (200, 286, 302, 303), f"{who} may read {url}"
        else:
            assert status == (403 if row.who and row.of != "own" else 404), f"{who} may not read {url}"


def sign_in_needed(client: Client, url: str) -> bool:
    answer = client.get(url)
    return answer.status_code == 302 and answer["Location"].startswith("/sign-in/?next=" if url != "/" else "/sign-in/")


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("name", WRITING)
def test_writing(world: World, name: str) -> None:
    """Who may does it, with exactly one entry; who may not changes nothing."""
    row = WRITING[name]
    url = row.url(name, world)
    assert row.body
    if row.who != "anybody":
        before = fingerprint()
        assert cast.client().post(url, row.body(world)).status_code == 302
        assert fingerprint() == before
    for who in NAMES:
        client, body = cast.client(who) if name not in ENTERING else cast.client(), row.body(world)
        seen = AuditEntry.objects.latest("seq").seq
        before = fingerprint()
        point = transaction.savepoint()
        answer = client.post(url, body)
        entries = list(AuditEntry.objects.filter(seq__gt=seen).values_list("action", "outcome"))
        if row.may(who) and not row.may_do(who):
            assert (answer.status_code, entries) == (422, []), f"{who} may come to {url}, and not do it"
        elif row.may(who):
            assert answer.status_code in (200, 302, 303), f"{who} may post to {url}: {words(answer.getvalue())}"
            assert entries == [(action, "ok") for action in (row.action, row.also) if action], f"{who} posting to {url}"
        else:
            assert answer.status_code == 403, f"{who} may not post to {url}"
            assert entries == [(permission(name), "refused")]
        transaction.savepoint_rollback(point)
        assert fingerprint() == before


def words(content: bytes) -> str:
    """What the page says is wrong."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", content.decode()))[-600:]


def permission(name: str) -> str:
    view = addresses()[name][1]
    asked: str = view.permission
    return asked


IN_A_REGION = [
    name
    for name in ROWS
    if name.startswith(("overview", "key-", "consumer-", "instance-", "node-", "service-", "plugin-", "rule-", "custom-"))
]


@pytest.mark.parametrize("name", IN_A_REGION)
def test_nothing_is_found_through_another_region(world: World, name: str) -> None:
    row = ROWS[name]
    client = cast.client(row.somebody)
    ask = client.get if row.reads else client.post
    assert ask(row.url(name, world, region="nowhere")).status_code == 404
    things = row.place(world).keys() - {"region"}
    if things:
        assert ask(row.url(name, world, region="abroad")).status_code == 404
        assert client.post(row.url(name, world, region="abroad"), _body(row, world)).status_code in (404, 405)


@pytest.mark.parametrize("name", IN_A_REGION)
def test_what_exists_elsewhere_looks_like_what_never_was(world: World, name: str) -> None:
    row = ROWS[name]
    client = cast.client(row.somebody)
    ask = client.get if row.reads else client.post
    for thing, foreign in (("name", "foreign"), ("ref", world.foreign.ref), ("consumer", "foreign")):
        if thing in row.place(world):
            there = ask(row.url(name, world, **{thing: foreign}))
            never = ask(row.url(name, world, **{thing: "neverwas"}))
            assert (there.status_code, never.status_code) == (404, 404)
            assert plain(there.content, foreign) == plain(never.content, "neverwas")


def plain(content: bytes, asked: str) -> str:
    """Without what every page says of itself: its own address, and a token that is new each time."""
    text = re.sub(r"""(csrfmiddlewaretoken" value=|X-CSRFToken": )"\w+\"""", "", content.decode())
    return text.replace(asked, "?")


def _body(row: Row, world: World) -> dict[str, str]:
    return row.body(world) if row.body else {}


@pytest.mark.parametrize("name", [name for name, row in WRITING.items() if row.who != "anybody"])
def test_an_inactive_person_and_an_ended_session_do_nothing(world: World, name: str) -> None:
    row = WRITING[name]
    assert row.body
    url, client = row.url(name, world), cast.client(row.somebody)
    person = cast.person(row.somebody)
    person.is_active = False
    person.save()
    before = fingerprint()
    assert client.post(url, row.body(world)).status_code == 302
    assert fingerprint() == before
