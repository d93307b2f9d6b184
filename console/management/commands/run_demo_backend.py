"""A local stand-in for a model supplier, for `up --demo`: it speaks OpenAI's protocol, checks the key it is sent, and echoes."""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from console.demo import SUPPLIER_KEY_PREFIX


class Command(BaseCommand):
    help = "Serve the demo's OpenAI-compatible echo on loopback. `up --demo` starts it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        server = ThreadingHTTPServer(("127.0.0.1", options["port"]), Echo)
        server.daemon_threads = True
        server.serve_forever()


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(min(int(self.headers.get("content-length") or 0), 1 << 20))
        if not self.headers.get("authorization", "").startswith(f"Bearer {SUPPLIER_KEY_PREFIX}"):
            self._answer(
                401, {"error": {"message": "Incorrect API key provided.", "type": "invalid_request_error", "code": "invalid_api_key"}}
            )
        elif not self.path.startswith("/v1/chat/completions"):
            self._answer(404, {"error": {"message": f"There is nothing at {self.path}.", "type": "invalid_request_error", "code": None}})
        else:
            self._complete(body)

    def do_GET(self) -> None:
        self._answer(200, {"object": "list", "data": [{"id": "echo", "object": "model", "owned_by": "latchkey-demo"}]})

    def _complete(self, body: bytes) -> None:
        try:
            asked = json.loads(body)
            said = str(asked["messages"][-1]["content"])
        except (ValueError, KeyError, IndexError, TypeError):
            self._answer(400, {"error": {"message": "Send a chat completion request.", "type": "invalid_request_error", "code": None}})
            return
        text = f"You said: {said}"
        base = {"id": "chatcmpl-demo", "created": int(time.time()), "model": str(asked.get("model", "echo"))}
        if asked.get("stream"):
            self._stream(base, text)
            return
        message = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {
            "prompt_tokens": len(said.split()),
            "completion_tokens": len(text.split()),
            "total_tokens": len(said.split() + text.split()),
        }
        self._answer(200, {**base, "object": "chat.completion", "choices": [message], "usage": usage})

    def _stream(self, base: dict[str, Any], text: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        words = text.split(" ")
        for number, word in enumerate(words):
            delta = {"content": word if number == 0 else f" {word}"}
            finish = "stop" if number == len(words) - 1 else None
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            self._chunk("data: " + json.dumps({**base, "object": "chat.completion.chunk", "choices": [choice]}) + "\n\n")
        self._chunk("data: [DONE]\n\n")
        self._chunk("")

    def _chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: a request line may hold what a caller put into its query."""
