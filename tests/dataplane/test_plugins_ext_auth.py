"""ext-auth on a running gateway: a service of ours is asked before a request passes."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gateway.type_urls import SECRET
from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region
from tests.processes import free_port

pytestmark = pytest.mark.envoy

TOKEN = "gateway-token-0123456789"


@dataclass
class Judge:
    """Says yes to `authorization: good`, and remembers what it was asked."""

    port: int = 0
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    names_user: bool = True

    @property
    def last(self) -> dict[str, str]:
        return self.asked[-1][2]


@pytest.fixture(scope="module")
def _judge() -> Iterator[Judge]:
    judge = Judge()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            judge.asked.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            good = self.headers.get("authorization") == "good"
            answer = b"" if good else json.dumps({"why": "the judge said no"}).encode()
            self.send_response(200 if good else 418)
            self.send_header("content-type", "application/problem+json")
            self.send_header("x-reason", "because")
            if judge.names_user:
                self.send_header("x-user", "u1")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    judge.port = server.server_port
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield judge
    server.shutdown()
    server.server_close()


@pytest.fixture
def judge(_judge: Judge) -> Judge:
    _judge.asked.clear()
    _judge.names_user = True
    return _judge


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    region.key("gateway_token", TOKEN)
    region.key("provider", "sk-0")
    region.service("chat", backend.port, "provider", consumer_authentication=False)
    region.service("notes", backend.port, "provider", consumer_authentication=False)
    return region


def rule(port: int, *more: str, host: str = "127.0.0.1", end: str = "") -> str:
    lines = ["http_service:", "  endpoint:", f"    address: http://{host}:{port}/check", *(f"  {line}" for line in more), end]
    return "\n".join(lines)


def test_the_service_is_asked_and_decides(plane: Plane, gateway: Gateway, backend: Backend, region: Region, judge: Judge) -> None:
    region.rule("ext-auth", rule(judge.port, host="localhost"), service="chat")
    plane.publish(region)
    assert gateway.status("/ai/chat/models?a=%26", authorization="good", x_other="1", cookie="c=1") == 200
    method, path, headers, _body = judge.asked[-1]
    assert (method, path) == ("GET", "/check/ai/chat/models?a=%26")
    assert headers["host"] == f"localhost:{judge.port}"
    assert headers["authorization"] == "good"
    assert not {"x-other", "cookie"} & headers.keys()
    assert backend.last.header("authorization") == "Bearer sk-0"
    assert backend.last.target == "/v1/models?a=%26"
    answer = gateway.get("/ai/chat/models", authorization="bad")
    assert (answer.status_code, answer.json()) == (418, {"why": "the judge said no"})
    assert "x-reason" not in answer.headers
    assert len(backend.seen) == 1
    assert gateway.status("/ai/notes/models") == 200
    assert len(judge.asked) == 2


def test_a_referenced_key_is_shown_to_the_service_and_to_nobody_else(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, judge: Judge
) -> None:
    lines = ("authorization_request:", "  headers_to_add:", "    X-Gateway-Token: Token $ref{gateway_token}", "    x-plain: 100% %REQ(x)%")
    region.rule("ext-auth", rule(judge.port, *lines))
    before = plane.publish(region)
    assert gateway.status("/ai/chat/a", authorization="good", x_gateway_token="mine", x_plain="mine") == 200
    assert judge.last["x-gateway-token"] == f"Token {TOKEN}"
    assert judge.last["x-plain"] == "100% %REQ(x)%"
    assert judge.last["cdn-loop"] == "latchkey-gw-test"
    assert not backend.last.holds(TOKEN)
    region.key("gateway_token", "newer-token-0123456789", TOKEN)
    after = plane.publish(region)
    assert {kind for kind in after if after[kind] is not before[kind]} == {SECRET}
    assert gateway.status("/ai/chat/a", authorization="good") == 200
    assert judge.last["x-gateway-token"] == "Token newer-token-0123456789"


def test_without_the_key_that_it_is_shown_the_service_is_not_asked_and_nobody_passes(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, judge: Judge
) -> None:
    lines = ("authorization_request:", "  headers_to_add: {x-gateway-token: '$ref{gateway_token}'}")
    region.rule("ext-auth", rule(judge.port, *lines), service="chat")
    region.key("gateway_token")
    plane.publish(region)
    answer = gateway.get("/ai/chat/a", authorization="good")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "plugin_unavailable")
    assert gateway.status("/ai/notes/a") == 200
    assert not judge.asked


def test_headers_taken_from_the_answer_are_never_the_callers(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, judge: Judge
) -> None:
    lines = ("authorization_response:", "  allowed_upstream_headers: [X-User]", "  allowed_client_headers: [X-Reason]")
    region.rule("ext-auth", rule(judge.port, *lines), service="chat")
    plane.publish(region)
    assert gateway.status("/ai/chat/a", authorization="good", x_user="root") == 200
    assert [value for name, value in backend.last.headers if name.lower() == "x-user"] == ["u1"]
    judge.names_user = False
    assert gateway.status("/ai/chat/a", authorization="good", x_user="root") == 200
    assert "x-user" not in backend.last.names
    assert gateway.get("/ai/chat/a").headers["x-reason"] == "because"


def test_more_of_the_request_is_shown_where_the_rule_says_so(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, judge: Judge
) -> None:
    lines = ("authorization_request:", "  allowed_headers: [X-Team]", "  with_request_body: true")
    region.rule("ext-auth", rule(judge.port, *lines), service="chat")
    plane.publish(region)
    post = {"authorization": "good", "x-team": "research"}
    assert gateway.client.post(f"{gateway.url}/ai/chat/a", content=b"hello", headers=post).status_code == 200
    assert (judge.last["x-team"], judge.asked[-1][3], backend.last.body) == ("research", b"hello", b"hello")
    assert gateway.client.post(f"{gateway.url}/ai/chat/a", content=b"x" * (1024 * 1024 + 1), headers=post).status_code == 413


@pytest.mark.parametrize(("line", "status"), [("", 403), ("status_on_error: 503", 503)])
def test_while_the_service_cannot_be_asked_nobody_passes(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, line: str, status: int
) -> None:
    region.rule("ext-auth", rule(free_port(), end=line), service="chat")
    plane.publish(region)
    answer = gateway.get("/ai/chat/a", authorization="good")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, "authorization_failed")
    assert not backend.seen


def test_a_rule_whose_address_leads_back_here_does_not_run_in_circles(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, judge: Judge
) -> None:
    plane.publish(region)
    region.rule("ext-auth", rule(gateway.addresses()[0][1]))
    plane.publish(region)
    before = gateway.stat("http.gateway.downstream_rq_total")
    assert gateway.status("/ai/chat/a", authorization="good") in (403, 404, 508)
    assert gateway.stat("http.gateway.downstream_rq_total") - before <= 2
