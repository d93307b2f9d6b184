"""Agents behind the gateway. The back end checks what Model Studio, Dify and an agent of one's own would, and what must not arrive."""

import httpx
import pytest

from gateway.type_urls import SECRET
from tests.dataplane.backend import Backend, Seen
from tests.dataplane.gateway import Gateway
from tests.dataplane.load import calling
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region, header, query
from tests.processes import eventually

pytestmark = pytest.mark.envoy

ALICE = "alice-key-0123456789"
APPS = {"Alpha_1": "sk-alpha-0123456789", "beta-2": "sk-beta-0123456789"}
DIFY = "app-dify-0123456789"


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    region.key("alice", ALICE)
    region.consumer("alice", "alice")
    region.consumer("walter", "alice", sources=(header("x-team-key"), query("api_key")))
    for app, value in APPS.items():
        region.key(app, value)
    region.key("dify", DIFY)
    region.key("own", "token-own-0123456789")
    port, alice = backend.port, ("alice",)
    region.agent("studio", port, *APPS, apps=tuple(APPS), path="/api/v1", authorized=alice)
    region.agent("bot", port, "dify", path="/v1", authorized=alice)
    region.agent("mine", port, "own", path="", header="x-agent-token", prefix="", authorized=alice)
    region.agent("plain", port, "own", path="/run", authorized=alice)
    return region


def nothing_of_the_callers(seen: Seen) -> str:
    strange = {"cookie", "x-team-key", "api-key", "x-api-key", "x-latchkey-consumer", "x-forwarded-for"} & seen.names
    return f"{strange} came along" if strange or seen.holds(ALICE) else ""


def model_studio(seen: Seen) -> str:
    """POST /api/v1/apps/<App ID>/completion, each app with the key of its own workspace."""
    steps = seen.target.partition("?")[0].split("/")
    if steps[:4] != ["", "api", "v1", "apps"] or steps[4] not in APPS:
        return f"no such app: {seen.target}"
    if seen.header("authorization") != f"Bearer {APPS[steps[4]]}":
        return f"app {steps[4]} came with {seen.header('authorization')}"
    return nothing_of_the_callers(seen)


def post(gateway: Gateway, path: str, key: str = ALICE, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {"authorization": f"Bearer {key}", "cookie": "session=mine", "x-api-key": "mine", **named}
    return gateway.client.post(gateway.url + path, json={"input": {"prompt": "ping"}}, headers=sent)


def test_each_app_is_called_with_its_own_key_and_no_other(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    plane.publish(region)
    backend.checks = model_studio
    for _ in range(5):
        for app in APPS:
            answer = post(gateway, f"/agents/studio/apps/{app}/completion?x=1", x_dashscope_sse="enable")
            assert answer.status_code == 200, answer.text
            assert backend.last.target == f"/api/v1/apps/{app}/completion?x=1"
            assert backend.last.header("x-dashscope-sse") == "enable"
            assert json_of(backend) == {"input": {"prompt": "ping"}}
    assert post(gateway, "/agents/studio/apps/Alpha_1").status_code == 200
    assert backend.bad == 0


def json_of(backend: Backend) -> object:
    return httpx.Response(200, content=backend.last.body).json()


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/apps",
        "/apps/",
        "/apps/gamma/completion",
        "/apps/alpha_1/completion",
        "/apps/Alpha_1x/completion",
        "/apps/Alpha_1;/completion",
        "/apps/Alpha_1%20/completion",
        "/files",
        "/apps/Alpha_1/../../files",
        "/apps/Alpha_1/../gamma/completion",
        "/apps/Alpha_1/%2e%2e/gamma/completion",
        "/api/v1/apps/Alpha_1/completion",
    ],
)
def test_another_app_is_not_found(plane: Plane, gateway: Gateway, backend: Backend, region: Region, path: str) -> None:
    plane.publish(region)
    for key in (ALICE, "wrong-key-0123456789"):
        answer = post(gateway, f"/agents/studio{path}", key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_service")
    assert not backend.seen


def test_no_path_leads_from_one_app_to_another_with_the_first_ones_key(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    plane.publish(region)
    backend.checks = model_studio
    for step in ("..%2fbeta-2", "..%5cbeta-2", "%2e%2e%2fbeta-2"):
        assert gateway.status(f"/agents/studio/apps/Alpha_1/{step}/completion", ALICE) in (400, 404)
    assert gateway.status("/agents/studio/apps/Alpha_1/%2e%2e/beta-2/completion", ALICE) == 200
    assert backend.last.target == "/api/v1/apps/beta-2/completion"
    assert backend.bad == 0


def test_dify_gets_its_apps_key_on_its_whole_api(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    plane.publish(region)
    backend.checks = lambda seen: nothing_of_the_callers(seen) if seen.header("authorization") == f"Bearer {DIFY}" else "unauthorized"
    for path in (
        "/chat-messages",
        "/chat-messages/task-1/stop",
        "/workflows/run",
        "/completion-messages",
        "/files/upload",
        "/parameters?user=me",
    ):
        assert post(gateway, f"/agents/bot{path}").status_code == 200
        assert backend.last.target == f"/v1{path}"
    assert (
        gateway.client.delete(f"{gateway.url}/agents/bot/conversations/7", headers={"authorization": f"Bearer {ALICE}"}).status_code == 200
    )


def test_a_custom_agent_gets_its_key_in_the_header_it_named_as_it_is(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    plane.publish(region)
    answer = post(gateway, "/agents/mine/run", x_agent_token="mine", x_agent_mode="fast")
    assert answer.status_code == 200
    assert backend.last.target == "/run"
    assert backend.last.header("x-agent-token") == "token-own-0123456789"
    assert backend.last.header("x-agent-mode") == "fast"
    assert "authorization" not in backend.last.names
    assert not backend.last.holds("mine")
    assert post(gateway, "/agents/plain/x").status_code == 200
    assert (backend.last.target, backend.last_authorization) == ("/run/x", "Bearer token-own-0123456789")


def test_a_callers_key_from_anywhere_stays_at_the_gateway(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.key("walter", "walters-key-0123456789")
    region.consumer("walter", "walter", sources=(header("x-agent-token"), query("api_key")))
    for name in ("studio", "bot", "mine"):
        region.change(name, authorized=("alice", "walter"))
    plane.publish(region)
    for path in ("/agents/studio/apps/beta-2/completion", "/agents/bot/chat-messages", "/agents/mine/run"):
        assert gateway.status(path, x_agent_token="walters-key-0123456789") == 200
        assert not backend.last.holds("walters-key")
        assert gateway.status(f"{path}?api_key=walters-key-0123456789&n=1", cookie="c=mine") == 200
        assert backend.last.target.endswith("?n=1")
        assert not backend.last.holds("walters-key")
    assert [seen.header("x-agent-token") for seen in backend.seen[-2:]] == ["token-own-0123456789"] * 2


def test_who_may_call_is_asked_of_every_app(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.key("bob", "bobby-key-0123456789")
    region.consumer("bob", "bob")
    region.agent("closed", backend.port, *APPS, apps=tuple(APPS), path="/api/v1")
    plane.publish(region)
    for app in APPS:
        assert post(gateway, f"/agents/studio/apps/{app}/completion", "wrong-key-0123456789").status_code == 401
        assert post(gateway, f"/agents/studio/apps/{app}/completion", "bobby-key-0123456789").status_code == 403
        assert post(gateway, f"/agents/closed/apps/{app}/completion").status_code == 403
    assert not backend.seen
    region.change("studio", consumer_authentication=False)
    plane.publish(region)
    backend.checks = model_studio
    assert gateway.status("/agents/studio/apps/beta-2/completion") == 200


@pytest.mark.parametrize("cause", ["disabled", "unreadable"])
def test_the_broken_key_of_one_app_harms_that_app_alone(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, cause: str
) -> None:
    if cause == "disabled":
        region.key("Alpha_1")
    else:
        region.unreadable.add("Alpha_1")
    plane.publish(region)
    answer = post(gateway, "/agents/studio/apps/Alpha_1/completion")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "no_provider_key")
    assert not backend.seen
    backend.checks = model_studio
    assert post(gateway, "/agents/studio/apps/beta-2/completion").status_code == 200


def test_rotating_an_apps_key_changes_one_secret_and_loses_no_call(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    before = plane.publish(region)
    shown: set[tuple[str, str | None]] = set()

    def note(seen: Seen) -> str:
        shown.add((seen.target.split("/")[4], seen.header("authorization")))
        return ""

    backend.checks = note
    with calling(gateway.url, "/agents/studio/apps/Alpha_1/completion", ALICE) as load:
        for number in range(5):
            region.key("Alpha_1", f"sk-alpha-{number}")
            after = plane.publish(region)
            assert {kind for kind in {*before, *after} if before[kind] is not after[kind]} == {SECRET}
            assert len([name for name in after[SECRET] if after[SECRET][name] is not before[SECRET][name]]) == 1
            before = after
            eventually(lambda: ("Alpha_1", f"Bearer sk-alpha-{number}") in shown, within=2)  # noqa: B023
    assert set(load.outcomes) == {"200"}


def test_whatever_the_order_of_the_list_no_app_ever_gets_its_neighbours_key(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    plane.publish(region)
    backend.checks = model_studio
    with calling(gateway.url, "/agents/studio/apps/Alpha_1/completion", ALICE) as load:
        for _ in range(5):
            for apps in (("beta-2", "Alpha_1"), ("Alpha_1",), ("Alpha_1", "beta-2")):
                region.agent("studio", backend.port, *apps, apps=apps, path="/api/v1", authorized=("alice",))
                plane.publish(region)
    assert set(load.outcomes) == {"200"}
    assert backend.bad == 0


def test_an_agents_words_arrive_one_by_one(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    plane.publish(region)
    backend.gap.clear()  # the back end says one word and waits
    body = {"model": "dify", "stream": True}
    headers = {"authorization": f"Bearer {ALICE}"}
    with httpx.stream(
        "POST", f"{gateway.url}/agents/bot/chat/completions", json=body, headers=headers, timeout=20, trust_env=False
    ) as answer:
        lines = answer.iter_lines()
        assert "one" in next(lines)
        backend.gap.set()
        assert "[DONE]" in "".join(lines)


def test_an_agent_and_a_model_of_one_name_do_not_meet(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.service("chat", backend.port, "own", authorized=("alice",))
    plane.publish(region)
    for path in ("/agents/chat/x", "/ai/bot/x", "/agents", "/agents/", "/agents/bots/x", "/agents/bot2", "/Agents/bot/x"):
        assert gateway.status(path, ALICE) == 404, path
    assert not backend.seen
