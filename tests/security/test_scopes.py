"""Every address, asked by every role held everywhere, in a region or for an instance, directly and through teams, in each of four places,
by somebody who owes a second factor, and by nobody.

What is answered has to be what oracle.py says. SOAK=1 asks them all (more than 20,000 requests); otherwise each address is asked by each
role, from a place and about a place that SCOPES_SEED draws.
"""

import os
import random
import re
from collections.abc import Iterator
from http.cookies import SimpleCookie

import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client

from gateway.models import Instance
from secrets_app.models import AuditEntry, Deployment, Region, RoleGrant, User
from tests import cast
from tests.security import oracle
from tests.security.oracle import CAST, EVERYWHERE, NO_METHOD, NOT_DONE, OPEN, Scope, Who, expected
from tests.security.policy import ROWS, Row
from tests.security.world import World

WHOLE = "SOAK" in os.environ
SEED = os.environ.get("SCOPES_SEED", "4")
FOR_AN_INSTANCE = ("owner", "operator", "viewer")
ANSWERS = {
    OPEN: {200, 286, 302, 303},
    oracle.REFUSED: {403},
    oracle.ABSENT: {404},
    NO_METHOD: {405},
    NOT_DONE: {403, 404, 409, 422},
    oracle.NO_TOKEN: {401},
}


class Town:
    """The world in four cells, and everybody who asks."""

    def __init__(self) -> None:
        self.cells = World.make().cells()
        self.everybody = [*self._direct(), *self._through_teams(), Who("mallory"), Who("", inside=False), self._disabled(), self._owing()]
        self._cookies = {who.name: self._sign_in(who.name) for who in self.everybody if who.name and who.inside}
        self._cookies["gone"] = self._gone

    def browser(self, who: Who) -> Client:
        """A new one, in the session that this person came in with."""
        client = Client()
        client.cookies = SimpleCookie(self._cookies.get(who.name, ""))
        return client

    def of_role(self, role: str) -> list[Who]:
        return [who for who in self.everybody if any(one == role for one, _place in who.held) and not who.owes]

    def _places(self) -> dict[str, Scope]:
        regions = {cell.region.name: cell.region for cell in self.cells}
        inside = {f"{cell.region.name}-{cell.gateway.name}".lower(): (cell.region.pk, cell.gateway.pk) for cell in self.cells}
        return {"all": EVERYWHERE, **{name: (one.pk, None) for name, one in regions.items()}, **inside}

    def _direct(self) -> Iterator[Who]:
        for role in CAST:
            for name, place in self._places().items():
                if place[1] is None or role in FOR_AN_INSTANCE:
                    user = User.create(f"{role}.{name}", cast.PASSWORD, set(), by=cast.SETUP)
                    RoleGrant.objects.create(user=user, role=role, region_id=place[0], instance_id=place[1])
                    yield Who(user.username, frozenset({(role, place)}))

    def _through_teams(self) -> Iterator[Who]:
        """Two teams, one with a role in a region, one at an instance of the other; somebody is in both."""
        here, there = (self.cells[0].region.pk, None), (self.cells[3].region.pk, self.cells[3].gateway.pk)
        both = cast.somebody("in.both")
        for name, role, place in (("wide", "operator", here), ("narrow", "viewer", there)):
            user = cast.somebody(f"in.{name}")
            team = cast.team(name, user, both)
            RoleGrant.objects.create(team=team, role=role, region_id=place[0], instance_id=place[1])
            yield Who(user.username, frozenset({(role, place)}))
        yield Who(both.username, frozenset({("operator", here), ("viewer", there)}))

    def _disabled(self) -> Who:
        cast.somebody("gone", "owner")
        self._gone = self._sign_in("gone")
        User.objects.get(username="gone").disable(by=cast.SETUP)
        return Who("gone", frozenset({("owner", EVERYWHERE)}), inside=False)

    def _owing(self) -> Who:
        """Whose role asks for a second factor while this person is who asks."""
        cast.somebody("owing", "owner")
        return Who("owing", frozenset({("owner", EVERYWHERE)}), owes=True)

    def _sign_in(self, name: str) -> str:
        client = Client()
        client.force_login(User.objects.get(username=name), settings.AUTHENTICATION_BACKENDS[0])
        cast.passed(client, 0)
        return client.cookies.output(attrs=[], header="", sep=";").strip()


@pytest.mark.usefixtures("db", "one_minute")
def test_every_address_answers_as_the_specification_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one world: each request is undone, and with it the note that a session was in use."""
    monkeypatch.setattr(settings, "SESSION_IDLE", settings.SESSION_COOKIE_AGE)
    monkeypatch.setattr(settings, "FRESH_FOR", settings.SESSION_COOKIE_AGE)
    town, asked, wrong = Town(), 0, []
    for name, row in ROWS.items():
        for who, cell in _asked(town, name, row):
            for method in ("GET", "POST"):
                asked += 1
                if told := _ask(name, row, town.browser(who), who, cell, method):
                    wrong.append(f"{name}: {told}")
    print(f"{asked} requests")
    assert not wrong, "\n".join(wrong)
    assert asked > (20_000 if WHOLE else 5 * len(ROWS))


def _asked(town: Town, name: str, row: Row) -> list[tuple[Who, World]]:
    cells = town.cells if "region" in row.place(town.cells[0]) else town.cells[:1]
    if WHOLE:
        return [(who, cell) for who in town.everybody for cell in cells]
    dice = random.Random(f"{SEED} {name}")
    one_each = [dice.choice(town.of_role(role)) for role in CAST]
    return [
        (who, dice.choice(cells)) for who in [*one_each, *(who for who in town.everybody if not who.held or not who.inside or who.owes)]
    ]


def _ask(name: str, row: Row, client: Client, who: Who, cell: World, method: str) -> str:
    """What is wrong with the answer, or nothing."""
    if method == "POST" and (row.body is None or row.also or name == "sign-in"):  # other tests wait for what these set in motion
        return ""
    place = row.place(cell)
    at, home = _place(place), (cell.region.pk, cell.gateway.pk)
    should = expected(row, _level(row, place), who, at, method, home)
    body = row.body(cell) if method == "POST" and row.body else {}
    seen = AuditEntry.objects.latest("seq").seq
    point = transaction.savepoint()
    Deployment.objects.update(second_factor_for=[*CAST] if who.owes else None)
    try:
        answer = client.get(row.url(name, cell)) if method == "GET" else client.post(row.url(name, cell), body)
        done = list(AuditEntry.objects.filter(seq__gt=seen, outcome="ok").values_list("action", flat=True))
    finally:
        transaction.savepoint_rollback(point)
    status = answer.status_code
    if should == oracle.SIGN_IN:
        right = status == 302 and answer["Location"].startswith("/sign-in/")
    elif should == oracle.SET_UP:
        right = (status, answer.headers.get("Location")) == (302, "/account/second-factor/")
    else:
        right = status in ANSWERS[should] and not (status == 302 and answer["Location"].startswith("/sign-in/") and row.who != "anybody")
    if method == "POST" and row.who != "anybody":
        right = right and done == ([row.action] if should == OPEN else [])
    told = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.getvalue().decode()))[-200:]
    return "" if right else f"{who.name or 'nobody'} {method} {answer.request['PATH_INFO']}: {status} {done}, expected {should}: {told}"


def _place(place: dict[str, str]) -> Scope:
    if "region" not in place:
        return EVERYWHERE
    return Region.objects.get(name=place["region"]).pk, Instance.objects.get(ref=place["ref"]).pk if "ref" in place else None


def _level(row: Row, place: dict[str, str]) -> str:
    return row.level or ("instance" if "ref" in place else "region" if "region" in place else "deployment")
