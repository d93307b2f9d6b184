"""What a caller gets, and what of a call reaches the back end."""

import json

import pytest

from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.plane import Plane
from tests.dataplane.region import BEARER, Region, header, query

pytestmark = pytest.mark.envoy

ALICE, BOB, PROVIDER = "alice-key-0123456789", "bobby-key-0123456789", "sk-provider-0123456789"


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    """Alice may call chat, bob may call notes, and each service has a provider's key of its own."""
    region.key("alice", ALICE)
    region.key("bob", BOB)
    region.key("provider", PROVIDER)
    region.key("other", "sk-other-0123456789")
    region.consumer("alice", "alice")
    region.consumer("bob", "bob")
    region.service("chat", backend.port, "provider", authorized=("alice",))
    region.service("notes", backend.port, "other", authorized=("bob",))
    return region


def error(answer: object) -> tuple[str, str]:
    found = json.loads(answer.text)["error"]  # type: ignore[attr-defined]
    assert found["type"] == "gateway_error"
    return found["code"], found["message"]


def test_the_right_key_reaches_the_back_end_and_nothing_of_the_callers_does(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    plane.publish(region)
    answer = gateway.get("/ai/chat/models?limit=2", ALICE, cookie="session=mine", x_api_key="mine", user_agent="sdk/1")
    assert answer.status_code == 200
    assert backend.last.target == "/v1/models?limit=2"
    assert dict(backend.last.headers) == {
        "host": f"127.0.0.1:{backend.port}",
        "authorization": f"Bearer {PROVIDER}",
        "accept": "*/*",
        "accept-encoding": "gzip, deflate",
        "user-agent": "sdk/1",
        "cdn-loop": "latchkey-gw-test",
    }


@pytest.mark.parametrize("key", ["", "wrong-key-0123456789", ALICE.upper(), ALICE + "x", ALICE[:-1]])
def test_without_a_right_key_the_answer_is_401_and_the_back_end_is_not_called(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, key: str
) -> None:
    plane.publish(region)
    answer = gateway.get("/ai/chat/models", key)
    assert answer.status_code == 401
    assert error(answer)[0] == ("invalid_api_key" if key else "missing_api_key")
    assert not backend.seen


def test_a_consumer_that_is_not_authorised_gets_403(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    plane.publish(region)
    answer = gateway.get("/ai/chat/models", BOB)
    assert answer.status_code == 403
    assert error(answer) == ("not_authorized", "This API key is valid, but not for this service.")
    assert gateway.status("/ai/notes/models", BOB) == 200
    assert len(backend.seen) == 1


def test_with_nobody_authorised_a_right_key_gets_403_and_a_wrong_one_401(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.change("chat", authorized=())
    plane.publish(region)
    answer = gateway.get("/ai/chat/models", ALICE)
    assert answer.status_code == 403
    assert error(answer) == ("not_authorized", "No consumer is authorized to call this service yet.")
    assert gateway.status("/ai/chat/models", "wrong-key-0123456789") == 401
    assert gateway.status("/ai/chat/models") == 401
    assert not backend.seen


def test_a_disabled_consumer_gets_401_wherever_it_is_authorised(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.disabled.add("alice")
    plane.publish(region)
    assert gateway.status("/ai/chat/models", ALICE) == 401
    assert gateway.status("/ai/notes/models", BOB) == 200


def test_the_key_of_a_disabled_consumer_travels_no_further_than_before(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.key("carol", "carol-key-0123456789")
    region.key("quentin", "quentin-key-0123456789")
    region.consumer("carol", "carol", sources=(header("x-team-key"),))
    region.consumer("quentin", "quentin", sources=(query("team_key"),))
    region.disabled = {"carol", "quentin"}
    region.service("open", backend.port, "provider", consumer_authentication=False)
    plane.publish(region)
    assert gateway.status("/ai/open/a?team_key=quentin-key-0123456789&b=1", x_team_key="carol-key-0123456789") == 200
    assert gateway.status("/ai/notes/a?team_key=quentin-key-0123456789&b=1", BOB, x_team_key="carol-key-0123456789") == 200
    for seen in backend.seen:
        assert seen.target == "/v1/a?b=1"
        assert not seen.holds("carol-key")


@pytest.mark.parametrize("cause", ["disabled", "unreadable", "charset"])
def test_a_key_that_cannot_be_sent_means_401_for_its_own_service_only(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, cause: str
) -> None:
    if cause == "disabled":
        region.key("provider")
    elif cause == "unreadable":
        region.unreadable.add("provider")
    else:
        region.key("provider", "sk-provider\r\nx-evil: 1")
    plane.publish(region)
    answer = gateway.get("/ai/chat/models", ALICE)
    assert answer.status_code == 401
    assert error(answer) == ("no_provider_key", "The gateway has no usable key for this service.")
    assert not backend.seen
    assert gateway.status("/ai/notes/models", BOB) == 200


def test_without_consumer_authentication_anyone_may_call_and_still_nothing_of_theirs_travels_on(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.consumer("quentin", "bob", sources=(query("api_key"),))
    region.change("chat", consumer_authentication=False)
    plane.publish(region)
    assert gateway.status("/ai/chat/models?api_key=mine&limit=2", "mine", x_latchkey_consumer="alice") == 200
    assert backend.last.target == "/v1/models?limit=2"
    assert backend.last.header("authorization") == f"Bearer {PROVIDER}"
    assert not backend.last.holds("mine")
    assert "x-latchkey-consumer" not in backend.last.names


@pytest.mark.parametrize(
    ("path", "called", "reached"),
    [
        ("/v1", "/ai/chat/chat/completions", "/v1/chat/completions"),
        ("/v1", "/ai/chat", "/v1"),
        ("/v1", "/ai/chat/", "/v1/"),
        ("/v1", "/ai/chat?a=b", "/v1?a=b"),
        ("/v1", "/ai//chat//models", "/v1/models"),
        ("", "/ai/chat/chat/completions", "/chat/completions"),
        ("", "/ai/chat", "/"),
        ("", "/ai/chat/", "/"),
        ("", "/ai/chat?a=b", "/?a=b"),
        ("", "/ai/chat/ai/chat/x", "/ai/chat/x"),
        ("/api/paas/v4", "/ai/chat/models/a%20b?x=%2F&y=1+2", "/api/paas/v4/models/a%20b?x=%2F&y=1+2"),
    ],
)
def test_the_prefix_is_replaced_by_the_path_of_the_service_address(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, path: str, called: str, reached: str
) -> None:
    region.change("chat", path=path)
    plane.publish(region)
    assert gateway.status(called, ALICE) == 200
    assert backend.last.target == reached


@pytest.mark.parametrize("path", ["/", "/ai", "/ai/", "/ai/none/models", "/admin", "//ai//none"])
def test_an_unknown_path_is_a_plain_404_with_or_without_a_key(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, path: str
) -> None:
    plane.publish(region)
    for key in ("", ALICE, "wrong-key-0123456789"):
        answer = gateway.get(path, key)
        assert answer.status_code == 404
        assert error(answer)[0] == "unknown_service"


def test_a_caller_may_put_its_key_where_its_consumer_says(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    """Custom headers come first and Authorization last, because SDKs send an Authorization whether they are asked to or not."""
    region.key("carol", "carol-key-0123456789")
    region.key("quentin", "quentin-key-0123456789")
    region.consumer("carol", "carol", sources=(header("x-team-key"),))
    region.consumer("quentin", "quentin", sources=(query("api_key"),))
    region.change("chat", authorized=("alice", "carol", "quentin"))
    plane.publish(region)
    assert gateway.status("/ai/chat/a", ALICE) == 200
    assert gateway.status("/ai/chat/b", x_team_key="carol-key-0123456789") == 200
    assert gateway.status("/ai/chat/c", "an-sdk-needs-some-key", x_team_key="carol-key-0123456789") == 200
    assert gateway.status("/ai/chat/d?a=1&api_key=quentin-key-0123456789&b=2", "an-sdk-needs-some-key") == 200
    assert gateway.status("/ai/chat/e?api_key=wrong", ALICE) == 401
    assert [seen.target for seen in backend.seen] == ["/v1/a", "/v1/b", "/v1/c", "/v1/d?a=1&b=2"]
    for seen in backend.seen:
        assert seen.header("authorization") == f"Bearer {PROVIDER}"
        assert "x-team-key" not in seen.names
        assert not any(seen.holds(text) for text in ("carol-key", "quentin-key", "alice-key", "an-sdk-needs"))


def test_a_query_credential_of_another_service_does_not_travel_on_either(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.consumer("quentin", "other", sources=(query("token"),))
    plane.publish(region)
    assert gateway.status("/ai/chat/models?token=quentins&n=1", ALICE) == 200
    assert backend.last.target == "/v1/models?n=1"


def test_during_an_overlap_both_versions_are_accepted_and_the_log_tells_them_apart(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.key("alice", "alice-new-0123456789", ALICE)
    plane.publish(region)
    assert gateway.status("/ai/chat/old", ALICE) == 200
    assert gateway.status("/ai/chat/new", "alice-new-0123456789") == 200
    assert gateway.consumer_of("/v1/old") == "alice/0~1"
    assert gateway.consumer_of("/v1/new") == "alice/0~0"
    region.key("alice", "alice-new-0123456789")
    plane.publish(region)
    assert gateway.status("/ai/chat/old", ALICE) == 401


def test_of_two_equal_keys_the_first_consumer_keeps_its_own(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.key("bob", ALICE)
    region.change("chat", authorized=("alice",))
    plane.publish(region)
    assert gateway.status("/ai/chat/models", ALICE) == 200
    assert gateway.status("/ai/notes/models", ALICE) == 403
    assert not plane.notes.refusals


def test_several_keys_share_the_calls_and_one_that_cannot_be_sent_gets_none(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.key("third", "sk-third-0123456789")
    region.service("chat", backend.port, "provider", "other", "third", authorized=("alice",))
    plane.publish(region)
    for _ in range(60):
        assert gateway.status("/ai/chat/models", ALICE) == 200
    used = {seen.header("authorization") for seen in backend.seen}
    assert used == {f"Bearer {PROVIDER}", "Bearer sk-other-0123456789", "Bearer sk-third-0123456789"}

    region.key("other")
    plane.publish(region)
    backend.reset()
    for _ in range(60):
        assert gateway.status("/ai/chat/models", ALICE) == 200
    assert {seen.header("authorization") for seen in backend.seen} == used - {"Bearer sk-other-0123456789"}

    region.key("provider")
    region.unreadable.add("third")
    plane.publish(region)
    backend.reset()
    assert {gateway.status("/ai/chat/models", ALICE) for _ in range(20)} == {401}
    assert not backend.seen


def test_each_supplier_gets_the_key_in_its_own_header(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    extra = (("anthropic-version", "2023-06-01"), ("x-note", "100% %REQ(authorization)%"))
    region.change("chat", header="x-api-key", prefix="", extra_headers=extra)
    plane.publish(region)
    assert gateway.status("/ai/chat/messages", ALICE, x_api_key="mine") == 200
    assert backend.last.header("x-api-key") == PROVIDER
    assert backend.last.header("anthropic-version") == "2023-06-01"
    assert backend.last.header("x-note") == "100% %REQ(authorization)%"
    assert backend.last.header("authorization") is None
    assert gateway.status("/ai/chat/messages", ALICE, anthropic_version="2024-01-01") == 200
    assert backend.last.header("anthropic-version") == "2024-01-01"


def test_one_key_in_two_forms_goes_to_each_service_as_that_one_wants_it(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.service("notes", backend.port, "provider", authorized=("bob",), header="api-key", prefix="")
    plane.publish(region)
    assert gateway.status("/ai/chat/x", ALICE) == gateway.status("/ai/notes/x", BOB) == 200
    assert backend.seen[0].header("authorization") == f"Bearer {PROVIDER}"
    assert backend.seen[1].header("api-key") == PROVIDER


def test_a_service_without_a_key_is_called_without_any(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.service("chat", backend.port, authorized=("alice",))
    plane.publish(region)
    assert gateway.status("/ai/chat/models", ALICE) == 200
    assert backend.last.header("authorization") is None


def test_a_host_name_is_resolved_and_sent_as_host(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.change("chat", host="localhost")
    plane.publish(region)
    assert gateway.status("/ai/chat/models", ALICE) == 200
    assert backend.last.header("host") == f"localhost:{backend.port}"


def test_a_back_end_that_is_not_there_is_503_in_the_form_an_sdk_understands(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.change("chat", host="no-such-host.invalid")
    plane.publish(region)
    answer = gateway.get("/ai/chat/models", ALICE)
    assert answer.status_code == 503
    assert error(answer)[0]


def test_the_order_of_sources_puts_authorization_last() -> None:
    from gateway.compile.credentials import in_order

    assert in_order([BEARER, query("b"), header("z"), query("a"), header("c")]) == (
        header("c"),
        header("z"),
        query("a"),
        query("b"),
        BEARER,
    )
