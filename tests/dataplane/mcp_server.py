"""A real MCP server, which takes only who shows the right key in the right header, and the real client of the same SDK."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import uvicorn
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from tests.dataplane.backend import Seen
from tests.processes import eventually

Message = MutableMapping[str, Any]


@dataclass
class McpServer:
    """`accepts`: values of `header` that are let in; None lets everybody in, 401 goes to all others."""

    port: int = 0
    header: str = "x-api-key"
    accepts: set[str] | None = None
    seen: list[Seen] = field(default_factory=list)
    bad: int = 0
    going_on: threading.Event = field(default_factory=threading.Event)  # a slow tool waits for it between its steps

    @property
    def shown(self) -> set[str | None]:
        return {seen.header(self.header) for seen in self.seen}

    @property
    def targets(self) -> set[str]:
        return {f"{seen.method} {seen.target.partition('?')[0]}" for seen in self.seen}

    def reset(self) -> None:
        self.header, self.accepts, self.bad = "x-api-key", None, 0
        self.seen.clear()
        self.going_on.set()


@contextlib.contextmanager
def running_mcp_server(*, sse: bool = False) -> Iterator[McpServer]:
    """At /mcp, or with /sse and /messages/. It refuses an unknown Host with 421, as the SDK's servers do."""
    known = McpServer()
    known.reset()
    mcp = _tools(known)
    security = TransportSecuritySettings(allowed_hosts=[])  # filled in once the port is known
    app = mcp.sse_app(transport_security=security) if sse else mcp.streamable_http_app(transport_security=security)
    server = uvicorn.Server(uvicorn.Config(_Guard(app, known), host="127.0.0.1", port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started)
    known.port = server.servers[0].sockets[0].getsockname()[1]
    security.allowed_hosts.append(f"127.0.0.1:{known.port}")
    try:
        yield known
    finally:
        known.going_on.set()
        server.should_exit = True
        thread.join(10)


@contextlib.asynccontextmanager
async def client(url: str, headers: dict[str, str], *, mode: str = "legacy") -> AsyncIterator[Client]:
    """Over SSE where the address ends so."""
    if url.endswith("/sse"):
        async with Client(sse_client(url, headers=headers), mode=mode, read_timeout_seconds=10) as session:
            yield session
    else:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=20, trust_env=False) as http,
            Client(streamable_http_client(url, http_client=http), mode=mode, read_timeout_seconds=10) as session,
        ):
            yield session


def _tools(known: McpServer) -> MCPServer:
    mcp = MCPServer("tools")

    @mcp.tool()
    def add(a: int, b: int) -> int:
        return a + b

    @mcp.tool()
    async def slowly(steps: int, context: Context[Any, Any]) -> str:
        for step in range(1, steps + 1):
            await context.report_progress(step, steps, f"step {step}")
            while not known.going_on.is_set():
                await asyncio.sleep(0.005)
            known.going_on.clear()
        return "done"

    return mcp


class _Guard:
    """In front of the server: notes each request and answers 401 as a server with an API key does."""

    def __init__(self, app: Callable[..., Awaitable[None]], known: McpServer) -> None:
        self._app, self._known = app, known

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = tuple((name.decode(), value.decode()) for name, value in scope["headers"])
            query = f"?{scope['query_string'].decode()}" if scope["query_string"] else ""
            seen = Seen(scope["method"], scope["path"] + query, headers, b"")
            self._known.seen.append(seen)
            if self._known.accepts is not None and seen.header(self._known.header) not in self._known.accepts:
                self._known.bad += 1
                await send({"type": "http.response.start", "status": 401, "headers": [(b"content-type", b"text/plain")]})
                await send({"type": "http.response.body", "body": b"who are you?"})
                return
        await self._app(scope, receive, send)
