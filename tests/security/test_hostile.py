"""Thousands of requests that no form would make: none may break the console or keep it busy, nothing typed may come back as markup, and
no value comes back at all.

SOAK says how many are made of each address, at least (100 make more than 20,000 in all), and the ten that took longest are told in the end;
another HOSTILE_SEED makes others.
"""

import os
import random
import time
from collections.abc import Callable
from dataclasses import replace
from heapq import nlargest
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import pytest
from django.conf import LazySettings
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from console.handler import Request
from secrets_app.models import AuditEntry, Key
from secrets_app.models.token import FOR_TOKENS, ApiToken
from tests import cast
from tests.security.corpus import MARKUP, PAIRS, USED
from tests.security.hostile import MARK, Ask, dressed, odd, of_form, of_strangers, to_the_api
from tests.security.pageforms import Form, forms_of
from tests.security.policy import ANYBODY, ROWS, TOKENS, Row
from tests.security.world import World

TIMES = int(os.environ.get("SOAK", "18"))
SEED = int(os.environ.get("HOSTILE_SEED", "1"))
SHARE = min(len(PAIRS), max(TIMES // 4, 1))  # of the pairs, at each address its own
LONGEST = 2.0  # seconds of this process for one answer; what others do on the machine counts for nothing
UNREADY = {"readyz"}  # says 503 while no gateway serves
PAGES = {"theme": "account", "rule-check": "rule-write"}  # where the form of an address stands, if not there
SIGNING_IN = ("sign-in", "sign-out", "sign-in-second-factor", "sso", "sso-callback", "invitation-accept")
ALONE = ("confirm", "account-rename-factor", "account-remove-factor")  # what is one's own, in a state that has to be brought about

pytestmark = pytest.mark.usefixtures("broker", "as_served")


@pytest.fixture
def as_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's test client makes the request itself; a server does by our handler."""
    monkeypatch.setattr("django.test.client.WSGIRequest", Request)


class Watch:
    """Sends, times and judges. What was wrong is told at the end, all of it."""

    def __init__(self, name: str) -> None:
        self.name, self.wrong, self.times = name, list[str](), list[tuple[float, str]]()

    def send(self, client: Client, ask: Ask) -> HttpResponse:
        began = time.process_time()
        answer = ask.send(client)
        text = text_of(answer)
        took = time.process_time() - began
        self.times.append((took, f"{self.name}: {ask!s:.300}"))
        if MARK in ask.url:  # what somebody puts into an address themselves
            text = text.replace(MARK, "")
        self.wrong += [f"{what}: {ask}" for what in faults(self.name, answer, text, took)]
        return answer

    def tell(self, record: Callable[[str, object], None]) -> None:
        record("slowest", nlargest(10, self.times))
        record("asked", len(self.times))
        assert not self.wrong, f"HOSTILE_SEED={SEED}: {len(self.wrong)} wrong\n" + "\n".join(self.wrong[:10])


def faults(name: str, answer: HttpResponse, text: str, took: float) -> list[str]:
    found = []
    if answer.status_code >= 500 and not (name in UNREADY and answer.status_code == 503):
        broke = getattr(answer, "exc_info", None)
        found.append(f"{answer.status_code} {broke[1]!r:.300}" if broke else str(answer.status_code))
    if took > LONGEST:
        found.append(f"took {took:.1f} s")
    found += [f"says {said}" for said in ("<img src=x onerror", "<script>hostile", "Traceback", MARK) if said in text]
    found += [f"header {said}" for said, value in answer.headers.items() if not value.isprintable() or MARK in value]
    if urlsplit(answer.headers.get("Location", "")).netloc not in ("", "testserver"):
        found.append(f"leads to {answer['Location']}")
    return found


def text_of(answer: HttpResponse) -> str:
    content = b"".join(answer) if answer.streaming else answer.content  # type: ignore[arg-type]
    return content.decode(errors="replace")


class Visitor:
    """Somebody at an address, with the forms that they see there."""

    def __init__(self, who: str, name: str, row: Row, world: World, watch: Watch) -> None:
        self.client = cast.client(who, raise_request_exception=False, enforce_csrf_checks=True)
        self.watch, self.row, self.world = watch, row, world
        self.url = arrive(self.client, name, row, world)
        page = PAGES.get(name, name)
        at = ROWS[page].url(page, world) if page != name else self.url
        self.forms = self.seen(watch.send(self.client, Ask("GET", at)), at)
        for form in self.forms if page != name else ():
            form.action = self.url
        self._cookies = self.client.cookies.output(header="", sep=";")

    def seen(self, answer: HttpResponse, url: str) -> list[Form]:
        """Those of the page, not those that stand around each one."""
        if "html" not in answer.headers.get("Content-Type", ""):
            return []
        forms = forms_of(text_of(answer), url)
        around = {reverse("sign-out"), reverse("theme")} - {self.url}
        return [form for form in forms if form.action.partition("?")[0] not in around]

    def come_again(self) -> None:
        """Some of what is sent signs out, or takes the cookies away."""
        self.client.cookies = SimpleCookie(self._cookies)

    def scene(self, chance: random.Random) -> None:
        """One to three requests, each from the page that the last one was answered with."""
        forms = self.forms
        for _ in range(chance.choice([1, 1, 2, 3])):
            answer = self.watch.send(self.client, dressed(self._next(forms, chance), self.client, chance))
            if answer.status_code in (302, 303):
                answer = self.watch.send(self.client, Ask("GET", answer["Location"]))
            forms = self.seen(answer, self.url) or self.forms

    def _next(self, forms: list[Form], chance: random.Random) -> Ask:
        good = self.row.body(self.world) if self.row.body else {}
        form = chance.choice(forms) if forms else None
        if form and chance.random() < 0.75:
            own = form.method == "post" and form.action.partition("?")[0] == self.url
            return of_form(form, good if own else {}, chance)
        if chance.random() < 0.5:
            return self._as_htmx(of_strangers(self.url, good, chance))
        return self._as_htmx(odd(self.url, form.sent if form else list(good.items()), chance))

    def _as_htmx(self, ask: Ask) -> Ask:
        """With the form's token in a header, so that it is not for want of one that it is refused."""
        token = self.client.cookies.get("latchkey-csrf")
        return replace(ask, headers={"X-CSRFToken": token.value} | ask.headers if token else ask.headers)


def arrive(client: Client, name: str, row: Row, world: World) -> str:
    """What has to be done before an address has its form to show."""
    if name == "sign-in-second-factor":
        cast.app_of("kim")
        client.get("/sign-in/")
        token = {"csrfmiddlewaretoken": client.cookies["latchkey-csrf"].value}
        client.post("/sign-in/", {"login": "kim", "password": cast.PASSWORD} | token)
    if name == "confirm":
        cast.passed(client, 10_000)
    if name in ("account-rename-factor", "account-remove-factor"):
        cast.app_of("alice")
        return row.url(name, world, pk=str(cast.person("alice").authenticator_set.get(type="totp").pk))
    return row.url(name, world)


def people(name: str, row: Row) -> list[str]:
    """Who asks: mostly somebody who may."""
    if name in ALONE:
        return ["alice"]
    if row.who == ANYBODY:
        return [""] if name in SIGNING_IN[2:] else ["", "alice"]
    somebody = row.somebody if row.who else "alice"
    return [somebody, random.Random(f"{SEED} {name}").choice([who for who in ("alice", "olive", "mallory", "") if who != somebody])]


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.who != TOKENS])
def test_nothing_that_is_sent_breaks_the_console(
    world: World, name: str, settings: LazySettings, record_property: Callable[[str, object], None], caplog: pytest.LogCaptureFixture
) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.1"]  # X-Forwarded-For is read
    row, chance, watch = ROWS[name], random.Random(f"{SEED} {name}"), Watch(name)
    first, *others = people(name, row)
    visitor, left = Visitor(first, name, row, world, watch), TIMES * 4 // 5
    while len(watch.times) < TIMES:
        if others and len(watch.times) >= left:
            visitor = Visitor(others.pop(), name, row, world, watch)
        point = transaction.savepoint()
        visitor.scene(chance)
        assert chance.random() < 0.9 or AuditEntry.verify().bad is None
        transaction.savepoint_rollback(point)
        visitor.come_again()
    assert MARK not in caplog.text
    watch.tell(record_property)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.who == TOKENS])
def test_nothing_that_is_sent_breaks_the_api(world: World, name: str, record_property: Callable[[str, object], None]) -> None:
    row, chance, watch = ROWS[name], random.Random(f"{SEED} {name}"), Watch(name)
    token = ApiToken.create("hostile", None, FOR_TOKENS, 90, by=cast.actor("alice"))[1]
    url, client = row.url(name, world), Client(raise_request_exception=False)
    good = {'"value"': f'"{MARK} of the api"', '"overlap_hours"': "24", '"name"': '"posted"', '"description"': '"posted"'}
    assert "Send a token" not in text_of(watch.send(client, Ask("GET", url, headers={"Authorization": f"Bearer {token}"})))
    while len(watch.times) < TIMES:
        point = transaction.savepoint()
        method = chance.choice(["GET", "POST", "POST", "POST"] if row.reads else ["POST"])
        asked = to_the_api(url, method, good, token, chance) if chance.random() < 0.8 else odd(url, [("after", "1")], chance)
        watch.send(client, dressed(asked, client, chance))
        transaction.savepoint_rollback(point)
    watch.tell(record_property)


@pytest.mark.parametrize("name", ROWS)
def test_the_worst_of_each_field_breaks_no_address(world: World, name: str, record_property: Callable[[str, object], None]) -> None:
    """In the query and in the form, whether or not it has such a field. Of a soak all of them."""
    Key.create(world.region, "used", cast.value(), by=cast.SETUP, once=UUID(USED))
    row, watch, client = ROWS[name], Watch(name), cast.client("alice", raise_request_exception=False)
    url = row.url(name, world)
    for method in ("HEAD", "OPTIONS"):
        assert not watch.send(client, Ask(method, url)).content or method == "OPTIONS"
    for number, (field, value) in enumerate(random.Random(f"{SEED} {name}").sample(PAIRS, SHARE)):
        if name in SIGNING_IN:
            client = cast.client("alice" if number % 2 else "", raise_request_exception=False)
        body = row.body(world) if row.body else {}
        point = transaction.savepoint()
        watch.send(client, Ask("GET", f"{url}?{urlencode({field: value})}"))
        watch.send(client, Ask("POST", url, urlencode(body | {field: value}).encode()))
        transaction.savepoint_rollback(point)
    watch.tell(record_property)


def test_what_people_name_things_never_becomes_markup(world: World) -> None:
    """Names that may hold anything, on every page that shows them."""
    cast.key(world.region, "described", description=MARKUP)
    cast.consumer(world.region, "described", description=MARKUP)
    cast.instance(world.region, MARKUP[:64])
    cast.client("mallory").get("/audit/", headers={"User-Agent": MARKUP})
    client = cast.client("alice")
    for name, row in ROWS.items():
        if name in ("stylesheet", "sign-out"):
            continue
        text = client.get(row.url(name, world), follow=True).content.decode()
        assert "<img src=x" not in text, name
        assert "<script>hostile" not in text, name
