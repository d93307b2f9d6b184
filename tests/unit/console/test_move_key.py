"""Moving every reference of a key to another: which one, then what would change, then the deed."""

import re
from typing import Any

import pytest
from django.http import HttpResponse

from gateway.models import Instance, Rule
from secrets_app.models import Key, Reference, Region
from tests import cast
from tests.unit.console.asking import blind_to, get, markup, post, text

MOVE = "/local/keys/was/move/"


@pytest.fixture
def east(region: Region) -> Instance:
    was, gateway = cast.key(region, "was"), cast.instance(region, "east")
    cast.key(region, "becomes")
    cast.service(gateway, "chat", keys=[was])
    cast.consumer(region, "acme", bound_to=was)
    cast.rule(cast.plugin(gateway), cast.key_auth(was))
    return gateway


def preview(to: str = "becomes", who: str = "olive", status: int = 200) -> HttpResponse:
    return post(MOVE, {**hidden(get(MOVE, who)), "to": to, "step": "preview"}, who, status=status)


def hidden(page: HttpResponse) -> dict[str, Any]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.content.decode()))


def confirm(page: HttpResponse, who: str = "olive", status: int = 303) -> HttpResponse:
    return post(MOVE, {**hidden(page), "step": "move"}, who, status=status)


def holders(name: str) -> int:
    return Key.objects.get(name=name).reference_count


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("olive", 200), ("kim", 403), ("vera", 403), ("audrey", 403), ("mallory", 403)]
)
def test_who_may_move(east: Instance, who: str, status: int) -> None:
    get(MOVE, who, status=status)


def test_the_key_s_pages_lead_there(east: Instance) -> None:
    for page in ("/local/keys/was/", "/local/keys/was/references/", "/local/keys/was/delete/"):
        assert f'href="{MOVE}"' in markup(get(page))
    assert "Move all to another key Needs Operator" in text(get("/local/keys/was/", "kim"))


def test_everything_that_would_change_is_shown_first(east: Instance) -> None:
    assert "3 holders refer to it" in text(get(MOVE))
    page = text(preview())
    assert "Callers must present becomes v1 from that moment. acme , key-auth : the value of was is answered 401 at once." in page
    assert "acme Authentication method › Bind Key Every instance Presents becomes v1; the old value is refused at once" in page
    assert f"chat Large Model Configuration › API Key east {east.ref} Sends becomes v1" in page
    assert f"key-auth Rule of the instance › credentials[0] east {east.ref} Text rewritten" in page
    assert "Removed: - $ref{was}" in page
    assert "Added: - $ref{becomes}" in page
    assert "A caller would hold what services send upstream." in page
    assert holders("was") == 3


def test_what_was_confirmed_is_done(east: Instance) -> None:
    answer = confirm(preview())
    assert answer.headers["Location"] == "/local/keys/becomes/"
    assert (holders("was"), holders("becomes")) == (0, 3)
    assert "$ref{becomes}" in Rule.objects.get().text


def test_the_same_form_twice_is_one_move(east: Instance) -> None:
    page = preview()
    confirm(page)
    assert confirm(page).headers["Location"] == "/local/keys/becomes/"


def test_a_change_in_between_is_told_and_shown_anew(region: Region, east: Instance) -> None:
    page = preview()
    cast.mcp(east, "tools", key=Key.objects.get(name="was"))
    stale = confirm(page, status=409)
    assert f"This has changed since you looked MCP service tools ({east.ref}) refers to the key by now." in text(stale)
    assert "Move 4 holders" in text(stale)
    assert holders("was") == 4
    confirm(stale)
    assert (holders("was"), holders("becomes")) == (0, 4)


def test_a_move_that_is_refused_says_so_at_its_row_and_has_no_button(region: Region, east: Instance) -> None:
    cast.consumer(region, "beta", bound_to=Key.objects.get(name="becomes"))
    page = preview()
    assert "1 holder cannot be moved, so none is" in text(page)
    assert "The consumer “beta” presents this key already." in text(page)
    assert 'value="move"' not in markup(page)
    assert "1 holder cannot be moved, so none is." in text(confirm(page, status=409))
    assert holders("was") == 3


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("", "Choose a key."),
        ("nowhere", "No key is named “nowhere” in this region."),
        ("was", "This is the key itself. Choose another one."),
        ("resting", "This key is disabled."),
        ("<b>", "No key is named “<b>” in this region."),
        ("x" * 65, "at most 64"),
    ],
)
def test_what_is_wrong_with_the_other_key_stands_at_the_field(region: Region, east: Instance, to: str, says: str) -> None:
    cast.key(region, "resting").disable(by=cast.SETUP)
    page = preview(to, status=422)
    assert says in text(page)
    assert '<a href="#id_to">' in markup(page)
    assert "<b>" not in page.content.decode().partition('id="move"')[2].replace("<b>This", "")


def test_another_key_can_be_chosen(east: Instance) -> None:
    page = post(MOVE, {**hidden(preview()), "step": "choose"}, "olive", status=200)
    assert 'value="becomes"' in markup(page)
    assert "What changes" not in text(page)


def test_what_a_person_may_not_open_is_a_row_without_a_name(east: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    blind_to(monkeypatch, "service.view")
    page = preview()
    assert "Your roles do not show it" in text(page)
    assert "chat" not in text(page)


def test_a_key_that_nothing_refers_to_has_nothing_to_move(region: Region) -> None:
    cast.key(region, "was")
    assert "There is nothing to move." in text(get(MOVE))
    assert f'href="{MOVE}"' not in markup(get("/local/keys/was/"))


def test_a_foreign_key_is_not_found(region: Region) -> None:
    get("/local/keys/nowhere/move/", "olive", status=404)
    assert not Reference.objects.exists()
