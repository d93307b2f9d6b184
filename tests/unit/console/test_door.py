"""The door: who passes, what is refused, and what every answer looks like."""

import json
import logging
from io import BytesIO
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from console.middleware import DRAINED, allows, public, takes
from console.urls import urlpatterns as real
from secrets_app.errors import CannotSeal, Conflict, Invalid, NotFound
from secrets_app.models import AuditEntry, Region
from tests import cast

HTMX = {"HX-Request": "true", "HX-Target": "panel"}


def undeclared(request: HttpRequest) -> HttpResponse:
    return HttpResponse("open to everybody")


@allows("key.view")
def reading(request: HttpRequest) -> HttpResponse:
    return HttpResponse("read")


@allows("key.create")
def writing(request: HttpRequest) -> HttpResponse:
    return HttpResponse("written")


@takes("POST")
@allows("key.create")
def only_posts(request: HttpRequest) -> HttpResponse:
    return HttpResponse("posted")


@public
def for_anybody(request: HttpRequest) -> HttpResponse:
    return HttpResponse("welcome")


@allows("overview.view")
def raising(request: HttpRequest, what: str) -> HttpResponse:
    raise {
        "absent": NotFound(),
        "conflict": Conflict("The other one was faster."),
        "invalid": Invalid({"name": ["Too long."]}),
        "no-seal": CannotSeal("public.json is missing."),
    }[what]


@allows("key.view")
def in_a_region(request: Any) -> HttpResponse:
    return HttpResponse(request.region.name)


urlpatterns = [
    path("t/undeclared/", undeclared, name="undeclared"),
    path("t/reading/", reading),
    path("t/writing/", writing),
    path("t/posts/", only_posts),
    path("t/anybody/", for_anybody),
    path("t/raising/<what>/", raising),
    path("t/<region:region>/", in_a_region),
    *real,
]
handler404 = "console.refusals.not_found"
handler400 = "console.refusals.bad_request"

pytestmark = pytest.mark.urls(__name__)


def test_a_view_without_a_declaration_is_refused_to_everybody(region: Region) -> None:
    for who in ("", "alice", "mallory"):
        answer = cast.client(who).get("/t/undeclared/")
        assert answer.status_code == 403
        assert b"open to everybody" not in answer.content


def test_anybody_passes_where_it_is_declared(region: Region) -> None:
    assert cast.client().get("/t/anybody/").content == b"welcome"


def test_who_may_not_is_refused_in_words_and_audited(region: Region) -> None:
    answer = cast.client("olive").post("/t/writing/")
    assert answer.status_code == 403
    assert "Needs Key manager" in answer.content.decode()
    entry = AuditEntry.objects.latest("seq")
    assert (entry.actor, entry.action, entry.outcome, entry.facts) == ("olive", "key.create", "refused", {"reason": "not_allowed"})
    assert (entry.address, len(entry.request_id)) == ("127.0.0.1", 32)


def test_who_may_passes_and_nothing_is_written(region: Region) -> None:
    kim = cast.client("kim")
    before = AuditEntry.objects.count()
    assert kim.post("/t/writing/").content == b"written"
    assert AuditEntry.objects.count() == before


def test_a_signed_out_person_is_sent_to_sign_in_and_comes_back(region: Region) -> None:
    answer = cast.client().get("/t/reading/?q=a&b=%2F")
    assert (answer.status_code, answer["Location"]) == (302, "/sign-in/?next=%2Ft%2Freading%2F%3Fq%3Da%26b%3D%252F")
    assert cast.client().get("/")["Location"] == "/sign-in/"


def test_a_fragment_request_sends_the_whole_page_to_sign_in(region: Region) -> None:
    answer = cast.client().get("/t/reading/", headers={**HTMX, "HX-Current-URL": "http://testserver/local/keys/?q=x"})
    assert (answer.status_code, answer["HX-Redirect"]) == (401, "/sign-in/?next=%2Flocal%2Fkeys%2F%3Fq%3Dx")


@pytest.mark.parametrize("where", ["https://evil.example/x", "//evil.example/x", "javascript:alert(1)", "", "http://[::1"])
def test_where_to_come_back_to_is_never_another_site(region: Region, where: str) -> None:
    answer = cast.client().get("/t/reading/", headers={**HTMX, "HX-Current-URL": where})
    assert answer["HX-Redirect"] == "/sign-in/"


def test_a_signed_out_post_comes_back_to_the_page_it_was_sent_from(region: Region) -> None:
    answer = cast.client().post("/t/writing/", headers={"Referer": "http://testserver/local/keys/new/"})
    assert answer["Location"] == "/sign-in/?next=%2Flocal%2Fkeys%2Fnew%2F"


@pytest.mark.parametrize(
    ("method", "address", "status", "allow"),
    [
        ("POST", "/t/reading/", 405, "GET, HEAD"),
        ("PUT", "/t/writing/", 405, "GET, HEAD, POST"),
        ("OPTIONS", "/t/writing/", 405, "GET, HEAD, POST"),
        ("GET", "/t/posts/", 405, "POST"),
        ("POST", "/t/anybody/", 405, "GET, HEAD"),
        ("HEAD", "/t/reading/", 200, None),
    ],
)
def test_each_address_takes_its_own_methods(region: Region, method: str, address: str, status: int, allow: str | None) -> None:
    answer = cast.client("alice").generic(method, address)
    assert (answer.status_code, answer.headers.get("Allow")) == (status, allow)


def test_a_method_override_header_overrides_nothing(region: Region) -> None:
    answer = cast.client("alice").get("/t/posts/", headers={"X-HTTP-Method-Override": "POST"})
    assert answer.status_code == 405


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything else"])
def test_a_post_that_another_site_sent_is_refused(region: Region, site: str) -> None:
    answer = cast.client("kim").post("/t/writing/", headers={"Sec-Fetch-Site": site})
    assert answer.status_code == 403
    assert "This form is too old" in answer.content.decode()


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_a_post_of_our_own_page_passes(region: Region, site: str) -> None:
    assert cast.client("kim").post("/t/writing/", headers={"Sec-Fetch-Site": site}).status_code == 200


def test_a_link_from_elsewhere_may_be_followed(region: Region) -> None:
    assert cast.client("kim").get("/t/reading/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_a_post_without_the_forms_token_is_refused(region: Region) -> None:
    answer = cast.client("kim", enforce_csrf_checks=True).post("/t/writing/")
    assert answer.status_code == 403
    assert "This form is too old" in answer.content.decode()


def test_an_unknown_region_is_not_found(region: Region) -> None:
    kim = cast.client("kim")
    assert kim.get("/t/local/").content == b"local"
    for name in ("nowhere", "Local", "local-2"):
        assert kim.get(f"/t/{name}/").status_code == 404


@pytest.mark.parametrize(
    ("what", "status", "words"),
    [
        ("absent", 404, "There is nothing here"),
        ("conflict", 409, "The other one was faster."),
        ("invalid", 422, "Too long."),
        ("no-seal", 503, "public.json is missing."),
    ],
)
def test_what_the_vault_refuses_becomes_a_page_and_a_part(region: Region, what: str, status: int, words: str) -> None:
    kim = cast.client("kim")
    whole, part = kim.get(f"/t/raising/{what}/"), kim.get(f"/t/raising/{what}/", headers=HTMX)
    assert (whole.status_code, part.status_code) == (status, status)
    assert words in whole.content.decode()
    assert words in part.content.decode()
    assert b"<html" in whole.content
    assert b"<html" not in part.content


def test_every_answer_has_a_request_id_of_ours_and_is_kept_by_nobody(region: Region) -> None:
    answer = cast.client("kim").get("/t/reading/", headers={"X-Request-ID": "mine"})
    assert len(answer["X-Request-ID"]) == 32
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP", "True-Client-IP", "X-Client-IP"])
def test_no_header_changes_the_address_that_is_audited(region: Region, header: str) -> None:
    cast.client("mallory").get("/t/reading/", headers={header: "203.0.113.9"})
    assert AuditEntry.objects.latest("seq").address == "127.0.0.1"


def test_a_body_over_the_limit_is_413_and_a_broken_length_400(region: Region) -> None:
    kim = cast.client("kim")
    big = kim.post("/t/writing/", {"a": "x" * (1024 * 1024 + 1)})
    assert big.status_code == 413
    assert "64 KiB" in big.content.decode()
    assert big["Content-Security-Policy"]
    for length in ("-1", "0x10", "1_0", "ten", "²"):
        assert kim.generic("POST", "/t/writing/", CONTENT_LENGTH=length).status_code == 400
    announced = {"CONTENT_LENGTH": "9" * 4000, "wsgi.input": BytesIO(b"and then nothing")}
    assert kim.generic("POST", "/t/writing/", **announced).status_code == 413


def test_a_body_over_the_limit_is_read_so_that_the_answer_arrives(region: Region) -> None:
    """A server that closes with a body unread resets the connection; one that never ends is not read for ever."""
    for size, read in ((2 * 1024 * 1024, 2 * 1024 * 1024), (40 * 1024 * 1024, DRAINED)):
        body = BytesIO(b"x" * size)
        cast.client("kim").generic("POST", "/t/writing/", **{"CONTENT_LENGTH": str(size), "wsgi.input": body})
        assert read <= body.tell() <= read + 64 * 1024


@pytest.mark.parametrize("address", ["/t/reading/%00/", "/t/reading/?q=%00", "/t/reading/?%00=1", "/local%00/"])
def test_a_nul_in_an_address_is_refused_before_any_query(region: Region, address: str) -> None:
    assert cast.client("kim").get(address).status_code == 400


@pytest.mark.parametrize("host", ["evil.example", "a b", "[::1", ""])
def test_a_strange_host_is_refused(region: Region, host: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = cast.client("kim").get("/t/reading/", headers={"Host": host})
    assert answer.status_code == 400
    assert "added to CONSOLE_ALLOWED_HOSTS" in answer.content.decode()
    (ours,) = [handler for handler in logging.getLogger().handlers if type(handler) is logging.StreamHandler]
    (told,) = [ours.format(record) for record in caplog.records if record.name == "django.security.DisallowedHost" and ours.filter(record)]
    assert "\n" not in told


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=\xff\r\n\r\n\xff"),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n*\r\n--x--",
        ),
        ("application/x-www-form-urlencoded; charset=nonsense", b"a=1"),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(400))),
        ("application/json", b"{"),
        ("\x00", b"\xff\xfe"),
    ],
)
def test_a_malformed_body_never_breaks_the_console(region: Region, content_type: str, body: bytes) -> None:
    kim = cast.client("kim", raise_request_exception=False)
    assert kim.generic("POST", "/t/writing/", body, content_type).status_code < 500


def test_a_role_taken_away_counts_at_the_next_request(region: Region) -> None:
    kim = cast.client("kim")
    assert kim.get("/t/reading/").status_code == 200
    cast.person("kim").role_grants.all().delete()
    assert kim.get("/t/reading/").status_code == 403


def test_an_inactive_person_is_out_at_once(region: Region) -> None:
    kim = cast.client("kim")
    user = cast.person("kim")
    user.is_active = False
    user.save()
    assert kim.get("/t/reading/").status_code == 302


def test_the_region_seen_last_is_where_the_console_opens(region: Region) -> None:
    Region.create("eu", "Europe", by=cast.SETUP)
    kim = cast.client("kim")
    assert kim.get("/")["Location"] == "/local/"
    kim.get("/t/eu/")
    assert kim.get("/")["Location"] == "/eu/"


def test_who_has_no_role_is_told_so(region: Region) -> None:
    answer = cast.client("mallory").get("/")
    assert answer.status_code == 403
    assert "Ask an owner" in answer.content.decode()


@override_settings(DEBUG=True)
def test_nothing_of_a_post_stands_in_a_debug_page(region: Region) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(cast.person("kim"))
    answer = client.post("/t/raising/nonsense/", {"value": "a-value-that-must-not-show"})
    assert b"a-value-that-must-not-show" not in answer.content


def test_the_health_answers_are_json(region: Region) -> None:
    assert json.loads(cast.client().get("/healthz").content) == {"ok": True}
    ready = cast.client().get("/readyz")
    assert (ready.status_code, json.loads(ready.content)) == (200, {"ready": True, "database": True, "sealing": True})
