"""Asking the console for pages, as a browser and as htmx do."""

import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from django.http import HttpResponse

from secrets_app import access
from tests import cast

CANARY = "sk-Canary\"<&>'0123456789"  # a value with everything that escaping would change


def get(path: str, who: str = "alice", *, part: str = "", status: int = 200) -> HttpResponse:
    """`part` is the id of the element that htmx would fill."""
    answer: Any = cast.client(who).get(path, headers=_htmx(part))
    assert answer.status_code == status, answer.status_code
    return answer  # type: ignore[no-any-return]


def post(path: str, data: dict[str, Any], who: str = "alice", *, part: str = "", status: int = 303) -> HttpResponse:
    """Whatever comes back, the value that was sent is not in it."""
    answer: Any = cast.client(who).post(path, data, headers=_htmx(part))
    assert answer.status_code == status, (answer.status_code, text(answer))
    if CANARY in str(data.get("value")):
        assert_silent(answer, CANARY)
    return answer  # type: ignore[no-any-return]


def text(answer: HttpResponse) -> str:
    """What a person reads: without tags, with single spaces."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))).strip()


def markup(answer: HttpResponse) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def assert_silent(answer: HttpResponse, value: str) -> None:
    """The value is nowhere in an answer: neither as it is nor escaped, in body, headers or cookies."""
    said = answer.content.decode() + str(answer.headers) + str(answer.cookies)
    assert value not in said
    assert value not in unescape(said)


def blind_to(monkeypatch: pytest.MonkeyPatch, *permissions: str) -> None:
    """Nobody may do this any more: as a role would be that does not show everything."""
    for permission in permissions:
        monkeypatch.setitem(access.ACTIONS, permission, replace(access.ACTIONS[permission], roles=frozenset()))


def _htmx(part: str) -> dict[str, str]:
    return {"HX-Request": "true", "HX-Target": part} if part else {}
