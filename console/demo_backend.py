"""What `up --demo` puts behind its gateway: a model, an agent and a server of tools, which check the key they are shown, and echo."""

import json
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler
from typing import Any

from console.demo import SUPPLIER_KEY_PREFIX, TOOLS_HEADER

PROTOCOLS = ("2025-06-18", "2025-03-26", "2024-11-05")  # of MCP, newest first

_ECHO = {
    "name": "echo",
    "description": "Says again what it was told.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
}


class BackEnd(BaseHTTPRequestHandler):
    """A supplier that speaks OpenAI's protocol at /v1, an agent that speaks Dify's at /dify/v1, and MCP over Streamable HTTP at /mcp."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(min(int(self.headers.get("content-length") or 0), 1 << 20))
        path = self.path.partition("?")[0]
        answers: dict[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
            "/v1/chat/completions": ("authorization", self._complete),
            "/dify/v1/chat-messages": ("authorization", self._chat),
            "/mcp": (TOOLS_HEADER, self._rpc),
        }
        header, answer = answers.get(path, ("authorization", self._nothing))
        if not self.headers.get(header, "").removeprefix("Bearer ").startswith(SUPPLIER_KEY_PREFIX):
            self._refuse(401, "Incorrect API key provided.")
            return
        try:
            answer(json.loads(body))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            self._refuse(400, "This is no request of the protocol spoken here.")

    def do_GET(self) -> None:
        if self.path.startswith("/v1/models"):
            self._answer(200, {"object": "list", "data": [{"id": "echo", "object": "model", "owned_by": "latchkey"}]})
        else:
            self._refuse(405 if self.path == "/mcp" else 404, f"There is nothing to read at {self.path}.")  # 405: no stream is offered

    def _complete(self, asked: dict[str, Any]) -> None:
        said = str(asked["messages"][-1]["content"])
        text, base = _echoed(said), {"id": "chatcmpl-demo", "created": int(time.time()), "model": str(asked.get("model", "echo"))}
        if asked.get("stream"):
            *words, last = _words(text)
            chunks: list[dict[str, Any]] = [{"index": 0, "delta": {"content": word}, "finish_reason": None} for word in words]
            chunks.append({"index": 0, "delta": {"content": last}, "finish_reason": "stop"})
            events = [json.dumps({**base, "object": "chat.completion.chunk", "choices": [chunk]}) for chunk in chunks]
            self._stream([*events, "[DONE]"])
            return
        message = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        counts = (len(said.split()), len(text.split()))
        usage = {"prompt_tokens": counts[0], "completion_tokens": counts[1], "total_tokens": sum(counts)}
        self._answer(200, {**base, "object": "chat.completion", "choices": [message], "usage": usage})

    def _chat(self, asked: dict[str, Any]) -> None:
        text, base = _echoed(str(asked["query"])), {"message_id": "demo", "conversation_id": "demo", "created_at": int(time.time())}
        if asked.get("response_mode") == "streaming":
            events = [json.dumps({"event": "message", **base, "answer": word}) for word in _words(text)]
            self._stream([*events, json.dumps({"event": "message_end", **base, "metadata": {}})])
        else:
            self._answer(200, {"event": "message", **base, "mode": "chat", "answer": text, "metadata": {}})

    def _rpc(self, asked: dict[str, Any]) -> None:
        """JSON-RPC, an answer a request; there is no session to keep."""
        if "id" not in asked:  # a notification
            self._answer(202, None)
            return
        answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "initialize": _initialized,
            "ping": lambda _given: {},
            "tools/list": lambda _given: {"tools": [_ECHO]},
            "tools/call": _called,
        }
        base = {"jsonrpc": "2.0", "id": asked["id"]}
        if (answer := answers.get(asked["method"])) is None:
            self._answer(200, base | {"error": {"code": -32601, "message": "There is no such method."}})
        else:
            self._answer(200, base | {"result": answer(asked.get("params") or {})})

    def _nothing(self, _asked: dict[str, Any]) -> None:
        self._refuse(404, f"There is nothing at {self.path}.")

    def _refuse(self, status: int, message: str) -> None:
        self._answer(status, {"error": {"message": message, "type": "invalid_request_error", "code": None}})

    def _stream(self, events: Iterable[str]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events:
            self._chunk(f"data: {event}\n\n")
        self._chunk("")

    def _chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _answer(self, status: int, content: dict[str, Any] | None) -> None:
        data = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: a request line may hold what a caller put into its query."""


def _echoed(said: str) -> str:
    return f"You said: {said}"


def _words(text: str) -> list[str]:
    first, *rest = text.split(" ")
    return [first, *(f" {word}" for word in rest)]


def _initialized(given: dict[str, Any]) -> dict[str, Any]:
    asked = given.get("protocolVersion")
    return {
        "protocolVersion": asked if asked in PROTOCOLS else PROTOCOLS[0],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "latchkey", "version": "1"},
    }


def _called(given: dict[str, Any]) -> dict[str, Any]:
    if given["name"] != "echo":
        return {"content": [{"type": "text", "text": "There is no such tool."}], "isError": True}
    return {"content": [{"type": "text", "text": _echoed(str(given["arguments"]["text"]))}], "isError": False}
