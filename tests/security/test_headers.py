"""What every answer carries, pages and errors alike, and what it never does."""

import re

import pytest
from django.conf import settings
from django.http import HttpResponse

from tests import cast
from tests.security.policy import ROWS, WRITING
from tests.security.world import World

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "font-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


def holds(answer: HttpResponse) -> None:
    said = dict(part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";"))
    assert said == POLICY
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "Server" not in answer
    assert "X-Powered-By" not in answer


@pytest.mark.parametrize("name", ROWS)
def test_every_address_answers_under_the_same_policy(world: World, name: str) -> None:
    url, row = ROWS[name].url(name, world), ROWS[name]
    client = cast.client("alice")
    answers = [client.get(url), cast.client().get(url), cast.client("mallory").get(url), client.put(url), client.get(url, headers=HTMX)]
    if row.body:
        answers += [client.post(url, {"once": "nonsense"}), cast.client("alice", enforce_csrf_checks=True).post(url)]
    for answer in answers:
        holds(answer)
        if name != "stylesheet":
            assert "no-store" in answer["Cache-Control"]


HTMX = {"HX-Request": "true", "HX-Target": "panel"}


# "{" stands for an id that a template makes; the others are every element that a page of ours lets htmx fill.
TEXTS = [file.read_text() for file in (settings.BASE_DIR / "templates").rglob("*.html")]
SEARCHED = {f"{noun}-list" for text in TEXTS for noun in re.findall(r'components/_search.html" with noun="([a-z]+)"', text)}
TARGETS = (
    {target.partition("{")[0] for text in TEXTS for target in re.findall(r'hx-target="#?([^"]+)"', text)} | SEARCHED | {"sheet", "x", ""}
)


@pytest.mark.parametrize("name", ROWS)
def test_headers_of_htmx_break_no_address(world: World, name: str) -> None:
    """Whoever asks may send them: a page without a part of its own, such as sign-in, is then answered whole."""
    assert {"panel", "key-list", "this"} <= TARGETS
    url, row = ROWS[name].url(name, world), ROWS[name]
    asked = [("alice", target, {}) for target in sorted(TARGETS)]
    asked += [(who, "x", {}) for who in ("mallory", "")]
    asked += [("alice", "x", {header: "true"}) for header in ("HX-History-Restore-Request", "HX-Boosted")]
    clients = {who: cast.client(who) for who in ("alice", "mallory", "")}
    for who, target, more in asked:
        client, headers = clients[who], {"HX-Request": "true", "HX-Target": target} | more
        answer = client.get(url, headers=headers)
        assert answer.status_code < 500 or name == "readyz", f"{who} {headers}"
        if row.body and target == "x":
            assert client.post(url, {"once": "nonsense"}, headers=headers).status_code < 500, f"{who} {headers}"


def test_errors_before_anybody_is_known_answer_under_it_too(db: None) -> None:
    client = cast.client(raise_request_exception=False)
    for answer in (
        client.get("/no/such/address"),
        client.get("/", headers={"Host": "evil.example"}),
        client.post("/sign-in/", {"login": "x" * (1024 * 1024 + 1)}),
        client.generic("POST", "/sign-in/", CONTENT_LENGTH="-1"),
        client.get("/%00"),
    ):
        assert 400 <= answer.status_code < 500
        holds(answer)


@pytest.mark.parametrize("name", [name for name in ROWS if name not in ("healthz", "readyz", "stylesheet", "theme")])
def test_a_page_holds_no_script_or_style_of_its_own(world: World, name: str) -> None:
    page = cast.client("alice").get(ROWS[name].url(name, world), follow=True).content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=\"/static/)", page)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
    assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", page)


# What htmx and console.js call on a form: a control of that name would stand in its place (form.remove).
METHODS = {
    "addEventListener", "after", "animate", "append", "before", "blur", "click", "closest", "contains",
    "dispatchEvent", "focus", "getAttribute", "hasAttribute", "matches", "normalize", "prepend", "querySelector",
    "querySelectorAll", "remove", "removeAttribute", "replaceChildren", "replaceWith", "reportValidity",
    "requestSubmit", "reset", "setAttribute", "submit", "add",
}  # fmt: skip


def test_no_control_takes_the_place_of_a_forms_own_method(world: World) -> None:
    html = [file.read_text() for file in (settings.BASE_DIR / "templates").rglob("*.html")]
    html += [
        cast.client("alice").get(row.url(name, world), follow=True).content.decode() for name, row in ROWS.items() if name != "stylesheet"
    ]
    controls = {name for text in html for name in re.findall(r"<(?:input|button|select|textarea)\b[^>]*\s(?:name|id)=\"([^\"]+)\"", text)}
    assert len(controls) > 20
    assert controls & METHODS == set()


def test_cookies_are_closed_and_under_tls_bound_to_the_host(world: World) -> None:
    client = cast.client()
    client.get("/sign-in/")
    client.post("/sign-in/", {"login": "kim", "password": cast.PASSWORD})
    session, token = client.cookies[settings.SESSION_COOKIE_NAME], client.cookies[settings.CSRF_COOKIE_NAME]
    assert (session["httponly"], session["samesite"], session["path"], session["domain"]) == (True, "Lax", "/", "")
    assert (token["samesite"], token["path"], token["domain"]) == ("Lax", "/", "")
    assert session["max-age"] == ""  # ends with the browser, and on the server after twelve hours
    assert settings.SESSION_COOKIE_AGE == 12 * 60 * 60


@pytest.mark.usefixtures("control_plane_down")
@pytest.mark.parametrize("name", WRITING)
def test_an_answer_to_a_post_is_never_kept(world: World, name: str) -> None:
    row = WRITING[name]
    assert row.body
    client = cast.client("alice") if row.who != "anybody" else cast.client()
    assert "no-store" in client.post(row.url(name, world), row.body(world))["Cache-Control"]
