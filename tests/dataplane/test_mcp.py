"""MCP services with the real client and server of the SDK: sessions, tools, progress, keys in both directions."""

import asyncio
import contextlib
from collections.abc import Iterator
from itertools import pairwise

import httpx2
import pytest
from mcp.shared.exceptions import MCPError

from gateway.snapshot import Snapshot
from gateway.type_urls import EXTENSION, SECRET
from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.mcp_server import McpServer, client, running_mcp_server
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region, header
from tests.loop import in_own_loop
from tests.processes import eventually

pytestmark = pytest.mark.envoy

ALICE, BOB, KEY = "alice-key-0123456789", "bobby-key-0123456789", "backend-key-0123456789"
HTTP, SSE = "/mcp-servers/tools/mcp", "/mcp-servers/tools.v2/sse"
BOTH = pytest.mark.parametrize("path", [HTTP, SSE], ids=["http", "sse"])


@pytest.fixture(scope="module")
def _http() -> Iterator[McpServer]:
    with running_mcp_server() as server:
        yield server


@pytest.fixture(scope="module")
def _sse() -> Iterator[McpServer]:
    with running_mcp_server(sse=True) as server:
        yield server


@pytest.fixture
def servers(_http: McpServer, _sse: McpServer) -> dict[str, McpServer]:
    for server in (_http, _sse):
        server.reset()
        server.accepts = {KEY}
    return {HTTP: _http, SSE: _sse}


@pytest.fixture
def region(region: Region, servers: dict[str, McpServer]) -> Region:
    region.key("alice", ALICE)
    region.key("bob", BOB)
    region.key("backend", KEY)
    region.consumer("alice", "alice")
    region.consumer("bob", "bob")
    region.mcp("tools", servers[HTTP].port, "backend", authorized=("alice",))
    region.mcp("tools.v2", servers[SSE].port, "backend", path="/sse", message_path="/messages", authorized=("alice",))
    return region


def bearer(key: str = ALICE, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}", **more}


@BOTH
@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_session_from_handshake_to_result(
    plane: Plane, gateway: Gateway, region: Region, servers: dict[str, McpServer], path: str, mode: str
) -> None:
    plane.publish(region)

    async def session() -> None:
        async with client(gateway.url + path, bearer(), mode=mode) as mcp:
            tools = await mcp.list_tools()
            assert {tool.name for tool in tools.tools} == {"add", "slowly"}
            answer = await mcp.call_tool("add", {"a": 2, "b": 3})
            assert answer.content[0].text == "5"

    in_own_loop(session())
    server = servers[path]
    assert server.bad == 0
    assert server.shown == {KEY}
    assert not any(seen.holds(ALICE) for seen in server.seen)
    assert {seen.header("host") for seen in server.seen} == {f"127.0.0.1:{server.port}"}
    assert server.targets <= {"POST /mcp", "GET /mcp", "DELETE /mcp", "GET /sse", "POST /messages/"}


@BOTH
def test_progress_arrives_step_by_step_while_the_tool_still_works(
    plane: Plane, gateway: Gateway, region: Region, servers: dict[str, McpServer], path: str
) -> None:
    plane.publish(region)
    server, told = servers[path], []
    server.going_on.clear()

    async def progress(done: float, total: float | None, message: str | None) -> None:
        told.append((done, message))
        server.going_on.set()  # the tool goes on only when its last step has been heard of

    async def session() -> None:
        async with client(gateway.url + path, bearer()) as mcp:
            answer = await mcp.call_tool("slowly", {"steps": 5}, progress_callback=progress)
            assert answer.content[0].text == "done"

    in_own_loop(session())
    assert told == [(step, f"step {step}") for step in range(1, 6)]


@BOTH
def test_the_callers_own_header_of_that_name_is_overwritten(
    plane: Plane, gateway: Gateway, region: Region, servers: dict[str, McpServer], path: str
) -> None:
    plane.publish(region)

    async def session() -> None:
        own = {"x-api-key": "the-callers-own", "cookie": "session=the-callers-own", "x-forwarded-for": "192.0.2.1"}
        async with client(gateway.url + path, bearer(**own)) as mcp:
            await mcp.call_tool("add", {"a": 1, "b": 1})

    in_own_loop(session())
    assert servers[path].shown == {KEY}
    assert not any(seen.holds("the-callers-own") or "x-forwarded-for" in seen.names for seen in servers[path].seen)


@BOTH
def test_the_header_may_be_the_one_that_callers_use(
    plane: Plane, gateway: Gateway, region: Region, servers: dict[str, McpServer], path: str
) -> None:
    """The same header in both directions: the caller's key stays here, the back end's goes there."""
    for name in ("tools", "tools.v2"):
        region.change(name, header="authorization", prefix="Bearer ")
    plane.publish(region)
    server = servers[path]
    server.header, server.accepts = "authorization", {f"Bearer {KEY}"}

    async def session() -> None:
        async with client(gateway.url + path, bearer()) as mcp:
            await mcp.call_tool("add", {"a": 1, "b": 1})

    in_own_loop(session())
    assert (server.shown, server.bad) == ({f"Bearer {KEY}"}, 0)


@BOTH
def test_a_back_end_without_authentication_is_shown_nothing(
    plane: Plane, gateway: Gateway, region: Region, servers: dict[str, McpServer], path: str
) -> None:
    region.mcp("tools", servers[HTTP].port, authorized=("alice",))
    region.mcp("tools.v2", servers[SSE].port, path="/sse", message_path="/messages", authorized=("alice",))
    plane.publish(region)
    servers[path].accepts = None

    async def session() -> None:
        async with client(gateway.url + path, bearer()) as mcp:
            await mcp.call_tool("add", {"a": 1, "b": 1})

    in_own_loop(session())
    assert servers[path].shown == {None}
    assert not any("authorization" in seen.names for seen in servers[path].seen)


@BOTH
@pytest.mark.parametrize(("key", "status"), [("", 401), ("wrong-key-0123456789", 401), (BOB, 403)])
def test_who_is_not_authorised_begins_no_session(
    plane: Plane, gateway: Gateway, region: Region, servers: dict[str, McpServer], path: str, key: str, status: int
) -> None:
    plane.publish(region)

    async def session() -> None:
        async with client(gateway.url + path, bearer(key) if key else {}) as mcp:
            await mcp.list_tools()

    with pytest.raises((MCPError, httpx2.HTTPStatusError, BaseExceptionGroup)):
        in_own_loop(session())
    assert gateway.status(path, key) == status
    if path == SSE:
        posted = gateway.client.post(f"{gateway.url}/mcp-servers/tools.v2/messages/?session_id=1", headers=bearer(key) if key else {})
        assert posted.status_code == status
    assert not servers[path].seen


def test_callers_may_show_their_key_in_a_header_of_their_own(
    plane: Plane, gateway: Gateway, region: Region, servers: dict[str, McpServer]
) -> None:
    region.consumer("alice", "alice", sources=(header("x-api-key"),))
    plane.publish(region)

    async def session() -> None:
        async with client(gateway.url + HTTP, {"x-api-key": ALICE, "authorization": "Bearer some-token"}) as mcp:
            await mcp.call_tool("add", {"a": 1, "b": 1})

    in_own_loop(session())
    assert servers[HTTP].shown == {KEY}
    assert not any("authorization" in seen.names or seen.holds(ALICE) for seen in servers[HTTP].seen)


@BOTH
@pytest.mark.parametrize("cause", ["disabled", "unreadable"])
def test_without_its_key_the_back_end_is_not_called(
    plane: Plane, gateway: Gateway, region: Region, servers: dict[str, McpServer], path: str, cause: str
) -> None:
    servers[path].accepts = None
    if cause == "disabled":
        region.key("backend")
    else:
        region.unreadable.add("backend")
    plane.publish(region)
    answer = gateway.get(path, ALICE)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "no_provider_key")
    assert not servers[path].seen


@BOTH
def test_a_live_session_goes_on_through_rotations_and_shows_the_newest_key(
    plane: Plane, gateway: Gateway, region: Region, servers: dict[str, McpServer], path: str
) -> None:
    snapshots: list[Snapshot] = [plane.publish(region)]
    server = servers[path]

    async def session() -> None:
        async with client(gateway.url + path, bearer()) as mcp:
            for number in range(1, 6):
                await mcp.call_tool("add", {"a": 1, "b": 1})
                server.accepts = {f"{KEY}-{number}", *(server.shown if number == 1 else {f"{KEY}-{number - 1}"})}  # type: ignore[assignment]
                region.key("backend", f"{KEY}-{number}")
                snapshots.append(await asyncio.to_thread(plane.publish, region))
                server.seen.clear()
                answer = await mcp.call_tool("add", {"a": number, "b": 1})
                assert answer.content[0].text == str(number + 1)
                assert server.shown == {f"{KEY}-{number}"}

    in_own_loop(session())
    assert server.bad == 0
    for before, after in pairwise(snapshots):
        assert {kind for kind in {*before, *after} if before[kind] is not after[kind]} == {SECRET}


@BOTH
def test_a_live_session_goes_on_while_everything_else_changes(
    plane: Plane, gateway: Gateway, region: Region, servers: dict[str, McpServer], path: str
) -> None:
    """A progress is under way through each of these: none cuts a stream."""
    plane.publish(region)
    server = servers[path]
    server.accepts = None
    server.going_on.clear()
    steps = [
        lambda: region.key("bob", "bobby-new-0123456789"),
        lambda: region.service("more", server.port, "backend", authorized=("alice",)),
        lambda: [region.change(name, authorized=("alice", "bob")) for name in ("tools", "tools.v2")],
        lambda: [region.change(name, header="x-other-key") for name in ("tools", "tools.v2")],
        lambda: region.key("backend", "another-key-0123456789"),
    ]
    told = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        told.append(done)
        steps[len(told) - 1]()
        await asyncio.to_thread(plane.publish, region)
        server.going_on.set()

    async def session() -> None:
        async with client(gateway.url + path, bearer()) as mcp:
            answer = await mcp.call_tool("slowly", {"steps": len(steps)}, progress_callback=progress)
            assert answer.content[0].text == "done"
            server.header, server.accepts = "x-other-key", {"another-key-0123456789"}
            server.seen.clear()
            await mcp.call_tool("add", {"a": 1, "b": 1})
            assert (server.shown, server.bad) == ({"another-key-0123456789"}, 0)

    in_own_loop(session())
    assert len(told) == len(steps)


@BOTH
def test_who_is_revoked_can_send_nothing_more_in_a_session_that_is_open(
    plane: Plane, gateway: Gateway, region: Region, servers: dict[str, McpServer], path: str
) -> None:
    before = plane.publish(region)

    async def session() -> None:
        async with client(gateway.url + path, bearer()) as mcp:
            await mcp.call_tool("add", {"a": 1, "b": 1})
            region.key("alice", "alice-next-0123456789")
            after = await asyncio.to_thread(plane.publish, region)
            assert {kind for kind in after if before[kind] is not after[kind]} == {EXTENSION}
            servers[path].seen.clear()
            with contextlib.suppress(MCPError, BaseExceptionGroup):
                await asyncio.wait_for(mcp.call_tool("add", {"a": 1, "b": 1}), 1)
                pytest.fail("it was answered")

    with contextlib.suppress(MCPError, TimeoutError, httpx2.HTTPError, BaseExceptionGroup):
        in_own_loop(session())
    assert not [seen for seen in servers[path].seen if seen.method == "POST"]


@pytest.mark.parametrize(
    "target",
    [
        "/mcp-servers/tools",
        "/mcp-servers/tools/",
        "/mcp-servers/tools/mcp/",
        "/mcp-servers/tools/mcp/x",
        "/mcp-servers/tools/other",
        "/mcp-servers/tools/mcp2",
        "/mcp-servers/tools/MCP",
        "/mcp-servers/tools/mcp/../admin",
        "/mcp-servers/tools/mcp%2f..%2fadmin",
        "/mcp-servers/tools/messages/",
        "/mcp-servers/tools.v2/mcp",
        "/mcp-servers/tools.v2/sse/x",
        "/mcp-servers/tools.v2/messages",
        "/mcp-servers/toolsXv2/sse",
        "/mcp-servers/none/mcp",
        "/mcp/tools",
    ],
)
def test_of_the_host_nothing_else_is_reached(
    plane: Plane, gateway: Gateway, region: Region, servers: dict[str, McpServer], target: str
) -> None:
    plane.publish(region)
    assert gateway.status(target, ALICE) in (400, 404)
    assert not servers[HTTP].seen + servers[SSE].seen


def test_messages_are_posted_and_nothing_but_messages(
    plane: Plane, gateway: Gateway, region: Region, servers: dict[str, McpServer], backend: Backend
) -> None:
    region.mcp("other", backend.port, "backend", path="/test/sse", message_path="/test/message", authorized=("alice",))
    plane.publish(region)
    for target in ("/mcp-servers/other/test/message", "/mcp-servers/other/test/message/x/y?sessionId=1&a=%2F"):
        assert gateway.client.post(gateway.url + target, headers=bearer()).status_code == 200
        assert backend.last.target == target.removeprefix("/mcp-servers/other")
    for method in ("GET", "PUT", "DELETE"):
        assert gateway.client.request(method, f"{gateway.url}/mcp-servers/other/test/message", headers=bearer()).status_code == 404
    for target in ("/mcp-servers/other/test/messages", "/mcp-servers/other/test", "/mcp-servers/other/test/message/../../x"):
        assert gateway.client.post(gateway.url + target, headers=bearer()).status_code == 404
    assert len(backend.seen) == 2


@pytest.mark.parametrize(
    ("path", "called"), [("/", "/mcp-servers/bare/"), ("/mcp/", "/mcp-servers/bare/mcp/"), ("/a/b.c", "/mcp-servers/bare/a/b.c")]
)
def test_the_endpoint_is_the_path_of_the_back_end_as_it_is(
    plane: Plane, gateway: Gateway, region: Region, backend: Backend, path: str, called: str
) -> None:
    region.mcp("bare", backend.port, "backend", path=path, authorized=("alice",))
    plane.publish(region)
    assert gateway.status(f"{called}?x=1", ALICE) == 200
    assert backend.last.target == f"{path}?x=1"
    eventually(lambda: backend.last.header("x-api-key") == KEY)


ELSEWHERE = b"event: endpoint\ndata: https://evil.example/messages?s=1\n\n"


@pytest.mark.parametrize(
    ("headers", "said", "told"),
    [
        ({}, b"event: endpoint\ndata: /messages/?s=1\n\n", b"event: endpoint\ndata: /mcp-servers/raw/messages/?s=1\n\n"),
        ({}, ELSEWHERE, b"event: endpoint\ndata: /mcp-servers/raw/endpoint-refused\n\n"),
        ({}, b"event: endpoint\ndata: /mcp-servers/tools/mcp\n\n", b"event: endpoint\ndata: /mcp-servers/raw/endpoint-refused\n\n"),
        ({"content-encoding": "br"}, ELSEWHERE, b""),
        ({}, b"data: 1\n\n" * 5000, b"data: 1\n\n" * 5000),
    ],
)
def test_no_back_end_sends_a_callers_messages_elsewhere(
    plane: Plane, gateway: Gateway, region: Region, backend: Backend, headers: dict[str, str], said: bytes, told: bytes
) -> None:
    region.mcp("raw", backend.port, "backend", path="/sse", message_path="/messages", authorized=("alice",))
    plane.publish(region)
    backend.answers["/sse"] = {"content-type": "text/event-stream"} | headers, said
    with gateway.client.stream("GET", f"{gateway.url}/mcp-servers/raw/sse", headers=bearer()) as answer:
        assert b"".join(answer.iter_raw()) == told
    assert "accept-encoding" not in backend.last.names
    assert gateway.status("/mcp-servers/raw/endpoint-refused", ALICE) == 404
    assert len(backend.seen) == 1


def test_no_script_stands_in_the_way_of_an_mcp_service_over_http(plane: Plane, gateway: Gateway, region: Region, backend: Backend) -> None:
    region.mcp("raw", backend.port, "backend", authorized=("alice",))
    plane.publish(region)
    backend.answers["/mcp"] = {"content-type": "text/event-stream"}, ELSEWHERE  # means nothing to its clients
    assert gateway.get("/mcp-servers/raw/mcp", ALICE).content == ELSEWHERE
    assert "accept-encoding" in backend.last.names


def test_no_key_of_a_back_end_can_be_read_from_the_gateway(
    plane: Plane, gateway: Gateway, region: Region, servers: dict[str, McpServer]
) -> None:
    plane.publish(region)
    assert gateway.status(HTTP, ALICE) in (400, 405, 406)
    shown = gateway.everything()
    assert KEY not in shown
    assert ALICE not in shown
