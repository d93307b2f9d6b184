"""A provider that answers as OpenAI does, and remembers exactly what reached it."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Seen:
    method: str
    target: str  # path and query as they stood in the request line
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """None when absent; fails when it came twice."""
        values = [value for key, value in self.headers if key.lower() == name]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def names(self) -> set[str]:
        return {name.lower() for name, _ in self.headers}

    def holds(self, text: str) -> bool:
        return any(text in part for part in (self.target, self.body.decode("utf-8", "replace"), *map(str, self.headers)))


@dataclass
class Backend:
    """`accepts`: values of Authorization that are answered 200; None takes every one, and 401 goes to all others.

    `checks`, in its place, says what is wrong with a request, as a supplier would; that is answered 401.
    """

    port: int
    accepts: set[str] | None = None
    checks: Callable[[Seen], str] | None = None
    answers: dict[str, tuple[dict[str, str], bytes]] = field(default_factory=dict)  # by path: headers and body of a stream that ends
    seen: list[Seen] = field(default_factory=list)
    gap: threading.Event = field(default_factory=threading.Event)  # a stream waits for it between its words
    counting_only: bool = False
    bad: int = 0

    @property
    def last(self) -> Seen:
        return self.seen[-1]

    @property
    def last_authorization(self) -> str | None:
        return self.last.header("authorization") if self.seen else None

    def reset(self) -> None:
        self.answers.clear()
        self.accepts, self.checks, self.counting_only, self.bad = None, None, False, 0
        self.seen.clear()
        self.gap.set()


@contextmanager
def running_backend(tls: ssl.SSLContext | None = None) -> Iterator[Backend]:
    server = _Server(("127.0.0.1", 0), _Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.backend = Backend(server.server_port)
    server.backend.reset()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.backend
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    backend: Backend


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        backend = self.server.backend
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        seen = Seen(self.command, self.path, tuple(self.headers.items()), body)
        backend.seen.append(seen)
        authorization = seen.header("authorization")
        if backend.checks and (wrong := backend.checks(seen)):
            backend.bad += 1
            self._json(401, {"error": {"message": wrong, "type": "invalid_request_error", "code": "invalid_api_key"}})
        elif backend.accepts is not None and authorization not in backend.accepts:
            backend.bad += 1
            self._json(
                401, {"error": {"message": "Incorrect API key provided.", "type": "invalid_request_error", "code": "invalid_api_key"}}
            )
        elif answer := backend.answers.get(seen.target.split("?")[0]):
            self._stored(*answer)
        elif seen.target.split("?")[0].endswith("/chat/completions") and body:
            request = json.loads(body)
            self._stream(request) if request.get("stream") else self._json(200, _completion(request["model"], "pong"))
        else:
            self._json(200, {"ok": True})

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_CONNECT = do_PROPFIND = do_GET  # noqa: N815 (the names that http.server looks for)

    def do_TRACE(self) -> None:
        """Sends back what came, as RFC 9110 (9.3.8) has it. IIS knows TRACK as another word for it."""
        self.server.backend.seen.append(Seen(self.command, self.path, tuple(self.headers.items()), b""))
        echo = f"{self.requestline}\r\n{self.headers}".encode()
        self.send_response(200)
        self.send_header("content-type", "message/http")
        self.send_header("content-length", str(len(echo)))
        self.end_headers()
        self.wfile.write(echo)

    do_TRACK = do_TRACE  # noqa: N815

    def _json(self, status: int, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _stored(self, headers: dict[str, str], body: bytes) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, request: dict[str, str]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for word in ("one", " two", " three"):
            self._event(json.dumps(_chunk(request["model"], word)))
            self.server.backend.gap.wait(30)
        self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, data: str) -> None:
        event = f"data: {data}\n\n".encode()
        self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        pass


def _completion(model: str, text: str) -> dict[str, object]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice]}


def _chunk(model: str, text: str) -> dict[str, object]:
    choice = {"index": 0, "finish_reason": None, "delta": {"role": "assistant", "content": text}}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]}
