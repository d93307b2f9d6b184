"""cors and rate-limit on a running gateway: what browsers are told, and how often callers may call."""

import pytest

from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region

pytestmark = pytest.mark.envoy

ALICE = "alice-key-0123456789"

CORS = """\
allow_origins:
- https://app.example.com
allow_origin_patterns:
- https://*.pages.example.com:8443
allow_methods: [GET, POST]
allow_headers: [authorization, content-type]
expose_headers: [x-cost]
max_age: 600
"""


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    """Chat asks for a consumer's key, notes does not."""
    region.key("alice", ALICE)
    region.key("provider", "sk-0")
    region.consumer("alice", "alice")
    region.service("chat", backend.port, "provider", authorized=("alice",))
    region.service("notes", backend.port, "provider", consumer_authentication=False)
    return region


def preflight(gateway: Gateway, path: str, origin: str) -> tuple[int, dict[str, str]]:
    headers = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "x-mine"}
    answer = gateway.client.options(gateway.url + path, headers=headers)
    return answer.status_code, {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


def test_cors_answers_a_browsers_question_in_front_of_all_authentication(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.rule("cors", CORS, service="chat")
    region.rule("basic-auth", "consumers: [{name: al, credential: 'al:$ref{alice}'}]", service="chat")
    plane.publish(region)
    assert preflight(gateway, "/ai/chat/a", "https://app.example.com") == (
        200,
        {
            "access-control-allow-origin": "https://app.example.com",
            "access-control-allow-methods": "GET,POST",
            "access-control-allow-headers": "authorization,content-type",
            "access-control-expose-headers": "x-cost",
            "access-control-max-age": "600",
        },
    )
    assert not backend.seen


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example.com", True),
        ("https://a.pages.example.com:8443", True),
        ("https://a.b.pages.example.com:8443", True),
        ("https://evil.example.com", False),
        ("https://app.example.com.evil.com", False),
        ("http://app.example.com", False),
        ("https://appxexample.com", False),
        ("https://a/.pages.example.com:8443", False),
        ("https://a.pages.example.com", False),
        ("null", False),
    ],
)
def test_origins_are_compared_whole(plane: Plane, gateway: Gateway, backend: Backend, region: Region, origin: str, allowed: bool) -> None:
    region.rule("cors", CORS, service="chat")
    plane.publish(region)
    status, headers = preflight(gateway, "/ai/chat/a", origin)
    assert (status == 200, bool(headers)) == (allowed, allowed)
    answer = gateway.get("/ai/chat/a", ALICE, origin=origin)
    assert answer.status_code == 200
    assert ("access-control-allow-origin" in answer.headers) == allowed


def test_a_page_may_read_why_it_was_turned_away(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.rule("cors", CORS)
    plane.publish(region)
    answer = gateway.get("/ai/chat/a", "wrong", origin="https://app.example.com")
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, "https://app.example.com")
    assert preflight(gateway, "/ai/none/a", "https://app.example.com")[0] == 404


def test_every_origin_and_the_defaults(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.rule("cors", "allow_origins: ['*']", service="chat")
    plane.publish(region)
    status, headers = preflight(gateway, "/ai/chat/a", "https://any.example.net")
    assert status == 200
    assert headers["access-control-max-age"] == "86400"
    assert headers["access-control-allow-headers"] == "x-mine"
    assert "access-control-allow-credentials" not in headers
    region.rule("cors", "allow_origins: ['https://a.example']\nallow_credentials: true", service="chat")
    plane.publish(region)
    assert preflight(gateway, "/ai/chat/a", "https://a.example")[1]["access-control-allow-credentials"] == "true"
    region.rules.clear()
    plane.publish(region)
    assert preflight(gateway, "/ai/chat/a", "https://a.example") == (401, {})


# Rates


def statuses(gateway: Gateway, path: str, count: int, key: str = "", **headers: str) -> list[int]:
    return [gateway.status(path, key, **headers) for _ in range(count)]


def test_requests_beyond_the_threshold_are_refused(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.rule("rate-limit", "global_threshold: {query_per_hour: 3}", service="notes")
    plane.publish(region)
    assert statuses(gateway, "/ai/notes/a", 5) == [200, 200, 200, 429, 429]
    assert gateway.get("/ai/notes/a").json()["error"]["code"] == "rate_limited"
    assert statuses(gateway, "/ai/chat/a", 5, ALICE) == [200] * 5
    region.rules.clear()
    plane.publish(region)
    assert statuses(gateway, "/ai/notes/a", 5) == [200] * 5


def test_each_service_is_counted_by_itself_also_under_a_rule_of_the_instance(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.rule("rate-limit", "global_threshold: {query_per_day: 2}")
    plane.publish(region)
    assert statuses(gateway, "/ai/notes/a", 3) == [200, 200, 429]
    assert statuses(gateway, "/ai/chat/a", 3, ALICE) == [200, 200, 429]
    assert statuses(gateway, "/ai/none/a", 3) == [404] * 3


def test_values_of_a_header_have_limits_of_their_own(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    rule = """\
        global_threshold: {query_per_hour: 2}
        limit_by_header: X-Team
        limit_keys:
        - key: research
          query_per_hour: 3
        - key: "a.*|b"
          query_per_hour: 1
    """
    region.rule("rate-limit", rule, service="notes")
    plane.publish(region)
    assert statuses(gateway, "/ai/notes/a", 4, x_team="research") == [200, 200, 200, 429]
    assert statuses(gateway, "/ai/notes/a", 2, x_team="a.*|b") == [200, 429]
    assert [gateway.status("/ai/notes/a", x_team="b"), *statuses(gateway, "/ai/notes/a", 2)] == [200, 200, 429]
    region.rule("rate-limit", "limit_by_header: x-team\nlimit_keys: [{key: research, query_per_hour: 1}]", service="notes")
    plane.publish(region)
    assert statuses(gateway, "/ai/notes/a", 2, x_team="research") == [200, 429]
    assert statuses(gateway, "/ai/notes/a", 4) == statuses(gateway, "/ai/notes/a", 4, x_team="other") == [200] * 4


@pytest.mark.parametrize(("code", "period"), [(403, "minute"), (429, "hour"), (503, "day")])
def test_the_status_of_a_refusal_is_the_rules_to_say(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, code: int, period: str
) -> None:
    region.rule("rate-limit", f"global_threshold: {{query_per_{period}: 1}}\nrejected_code: {code}", service="notes")
    region.rule("rate-limit", f"global_threshold: {{query_per_{period}: 1}}", service="chat")
    plane.publish(region)
    assert statuses(gateway, "/ai/notes/a", 2) == [200, code]
    assert statuses(gateway, "/ai/chat/a", 2, ALICE) == [200, 429]
    assert gateway.get("/ai/notes/a").json()["error"]["code"] == "rate_limited"


def test_what_was_counted_outlives_changes_that_do_not_concern_it(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.rule("rate-limit", "global_threshold: {query_per_hour: 2}", service="notes")
    plane.publish(region)
    assert statuses(gateway, "/ai/notes/a", 3) == [200, 200, 429]
    region.service("more", backend.port, "provider")
    region.rule("key-auth", "credentials: ['$ref{alice}']\nkeys: [apikey]", service="more")
    region.key("provider", "sk-1")
    region.change("notes", path="/v2")
    plane.publish(region)
    assert gateway.status("/ai/notes/a") == 429


def test_those_who_are_refused_for_their_number_are_asked_for_no_key(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.rule("rate-limit", "global_threshold: {query_per_hour: 1}", service="chat")
    plane.publish(region)
    assert statuses(gateway, "/ai/chat/a", 2, "wrong") == [401, 429]
