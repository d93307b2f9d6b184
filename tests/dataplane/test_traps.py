"""Envoy's traps, one test each: what looks right and is not. The names follow the list in the design of the data plane."""

import socket
import stat
import time
from pathlib import Path

import pytest

from gateway.compile import Memo, compile_region
from gateway.snapshot import Snapshot, SnapshotRefused
from gateway.type_urls import SECRET
from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway, running_gateway
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region, header, query
from tests.processes import eventually

pytestmark = pytest.mark.envoy

ALICE, PROVIDER = "alice-key-0123456789", "sk-provider-0123456789"


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    region.key("alice", ALICE)
    region.key("provider", PROVIDER)
    region.consumer("alice", "alice")
    region.service("chat", backend.port, "provider", authorized=("alice",))
    return region


def raw(gateway: Gateway, target: str, *headers: str) -> int:
    return gateway.send(f"GET {target} HTTP/1.1", f"authorization: Bearer {ALICE}", *headers)[0]


def test_trap_rules_of_a_route_without_forwarding_would_send_the_callers_key_on(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.consumer("alice", "alice", sources=(header("x-team-key"), query("api_key")))
    plane.publish(region)
    assert gateway.status("/ai/chat/a", x_team_key=ALICE) == 200
    assert gateway.status(f"/ai/chat/b?api_key={ALICE}") == 200
    assert not any(seen.holds(ALICE) for seen in backend.seen)
    assert gateway.consumer_of("/v1/b") == "alice/0~1"
    assert ALICE not in gateway.access_log


def test_trap_an_empty_list_of_allowed_clients_would_admit_every_client(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.consumer("idle")
    for authorized in ((), ("nobody-of-that-name",), ("idle",)):
        region.change("chat", authorized=authorized)
        plane.publish(region)
        assert gateway.status("/ai/chat/models", ALICE) == 403
    assert not backend.seen


def test_trap_removing_a_secret_would_not_revoke_it(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    snapshot = plane.publish(region)
    assert gateway.status("/ai/chat/models", ALICE) == 200
    # The secret goes, and its cluster stays: no compiled region looks so, and still it must fail closed.
    torn = Snapshot({kind: ({} if kind == SECRET else snapshot[kind]) for kind in snapshot})
    with pytest.raises(SnapshotRefused, match="does not exist"):
        torn.check()
    plane.put(torn)
    eventually(lambda: gateway.status("/ai/chat/models", ALICE) == 401)
    plane.publish(region)
    assert gateway.status("/ai/chat/models", ALICE) == 200


def test_trap_one_unresolved_secret_would_delay_the_start_by_15_seconds(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, tmp_path: Path
) -> None:
    region.unreadable.add("provider")
    region.key("other", "sk-other-0123456789")
    region.service("notes", backend.port, "other", authorized=("alice",))
    plane.join(2, "token-of-the-late-one")
    plane.publish(region, node=2, wait=False)
    began = time.monotonic()
    with running_gateway(tmp_path, "late", plane.port, "token-of-the-late-one") as late:
        late.wait_until_ready()
        assert time.monotonic() - began < 10
        assert late.status("/ai/chat/models", ALICE) == 401
        assert late.status("/ai/notes/models", ALICE) == 200


# Each of these names a place outside of /v1 once somebody on the way tidies it up.
_ESCAPES = [
    "/ai/chat/../admin",
    "/ai/chat/../../admin",
    "/ai/chat/x/../../../admin",
    "/ai/chat/..%2fadmin",
    "/ai/chat/..%2Fadmin",
    "/ai/chat/%2e%2e/admin",
    "/ai/chat/%2e%2e%2fadmin",
    "/ai/chat/.%2e/admin",
    "/ai/chat/..%5cadmin",
    "/ai/chat/..\\admin",
    "/ai/chat/\\..\\admin",
    "/ai/chat//../../admin",
    "/ai/chat/./../admin",
    "/ai/chat/..;/admin",
    "/ai/chat/%252e%252e/admin",
    "/ai/chat/..%00/admin",
    "/ai/chat/..?x=/../admin",
    "//ai/chat/../admin",
    "/ai/chat/..#/admin",
    "http://elsewhere/ai/chat/../admin",
]


@pytest.mark.parametrize("path", ["/v1", ""])
def test_trap_dots_would_leave_the_base_path_with_the_providers_key_attached(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, path: str
) -> None:
    region.change("chat", path=path)
    plane.publish(region)
    for target in _ESCAPES:
        assert raw(gateway, target) in (200, 400, 404), target
    for seen in backend.seen:
        walked = seen.target.split("?")[0].replace("\\", "/").split("/")
        assert ".." not in walked, seen.target
        assert not any(hidden in seen.target.lower() for hidden in ("%2e%2e", "%2f", "%5c")), seen.target
        assert seen.target.startswith(path + "/") or seen.target == path, seen.target
    for target in ("/ai/chat/../admin", "/ai/chat/%2e%2e/admin", "/ai/chat/..%2fadmin", "/ai/chat/..%5cadmin", "/ai/chat/..\\admin"):
        assert raw(gateway, target) in (400, 404), target


def test_trap_a_prefix_would_let_chat2_reach_chat(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    plane.publish(region)
    for path in ("/ai/chat2", "/ai/chat2/models", "/ai/chatter", "/ai/chat-2/models", "/ai/chat;/models", "/ai/cha", "/AI/chat/models"):
        assert gateway.status(path, ALICE) == 404, path
    assert not backend.seen


def test_trap_the_callers_own_credentials_would_travel_to_the_provider(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.change("chat", header="api-key", prefix="")
    region.consumer("carol", "provider", sources=(header("x-team-key"),))
    plane.publish(region)
    own = dict.fromkeys(("cookie", "proxy_authorization", "x_api_key", "api_key", "x_goog_api_key", "x_team_key"), "callers-own")
    assert gateway.status("/ai/chat/models", ALICE, **own) == 200
    assert not backend.last.holds("callers-own")
    assert not backend.last.holds(ALICE)
    assert backend.last.header("api-key") == PROVIDER
    assert backend.last.header("authorization") is None


def test_trap_forwarding_headers_and_our_identity_header_would_travel_to_the_provider(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    plane.publish(region)
    claimed = [
        "x-forwarded-for: 10.1.2.3",
        "x-forwarded-host: evil",
        "x-forwarded-proto: https",
        "x-forwarded-anything: evil",
        "x-envoy-internal: true",
        "x-envoy-original-path: /admin",
        "x-envoy-upstream-rq-timeout-ms: 1",
        "x-envoy-retry-on: 5xx",
        "x-latchkey-consumer: root/0~0",
        "X-Latchkey-Consumer: root/0~0",
        "x-latchkey-anything: evil",
        "forwarded: for=10.1.2.3",
        "x-request-id: mine",
    ]
    assert raw(gateway, "/ai/chat/models", *claimed) == 200
    assert backend.last.names == {"host", "authorization", "cdn-loop"}
    assert gateway.consumer_of("/v1/models") == "alice/0~1"


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "trace", "CONNECT", "PROPFIND"])
def test_trap_a_back_end_that_echoes_a_request_would_give_the_providers_key_away(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, method: str
) -> None:
    region.service("open", backend.port, "provider", consumer_authentication=False)
    plane.publish(region)
    for target in ("/ai/chat/models", "/ai/open/models", "chat:443", "http://elsewhere/ai/chat/models"):
        status, body = gateway.send(f"{method} {target} HTTP/1.1", f"authorization: Bearer {ALICE}")
        assert status in (400, 404, 405), (target, status)
        assert PROVIDER.encode() not in body
    assert not backend.seen


@pytest.mark.parametrize("method", [b"TRACE", b"TRACK", b"CONNECT", b"GET\tx", b"PROPFIND"])
def test_trap_http_2_would_let_a_method_pass_that_http_1_refuses(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, method: bytes
) -> None:
    plane.publish(region)
    assert http2_answers(gateway, b"GET")
    assert backend.seen.pop().method == "GET"
    http2_answers(gateway, method)
    assert not backend.seen


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_that_an_api_needs_is_forwarded(plane: Plane, gateway: Gateway, backend: Backend, region: Region, method: str) -> None:
    plane.publish(region)
    assert gateway.send(f"{method} /ai/chat/models HTTP/1.1", f"authorization: Bearer {ALICE}")[0] == 200
    assert backend.last.method == method


def test_another_method_is_told_which_ones_there_are(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    plane.publish(region)
    answer = gateway.client.request("TRACE", gateway.url + "/ai/chat/models", headers={"authorization": f"Bearer {ALICE}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


def http2_answers(gateway: Gateway, method: bytes) -> bool:
    """Whether a request over HTTP/2 gets an answer, rather than a reset. HTTP/2 leaves the method to whoever writes it."""
    names = {b":method": method, b":scheme": b"http", b":path": b"/ai/chat/models", b":authority": b"gateway"}
    fields = {**names, b"authorization": b"Bearer " + ALICE.encode()}
    block = b"".join(b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in fields.items())  # RFC 7541, 6.2.2
    settings, headers, goaway = 4, 1, 7
    with socket.create_connection(gateway.addresses()[0], timeout=10) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(settings, 0, 0, b"") + frame(headers, 0x5, 1, block))
        stream = connection.makefile("rb")
        while head := stream.read(9):
            kind, about = head[3], int.from_bytes(head[5:9], "big")
            stream.read(int.from_bytes(head[:3], "big"))
            if about == 1 or kind == goaway:
                return about == 1 and kind == headers
    return False


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def test_trap_a_refused_key_in_the_query_would_stand_in_the_access_log(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.consumer("alice", "alice", sources=(query("api_key"),))
    plane.publish(region)
    assert gateway.status("/ai/chat/refused-one?api_key=canary-refused-in-query") == 401
    assert gateway.status("/ai/chat/last-one?api_key=canary-refused-in-query") == 401
    eventually(lambda: "/ai/chat/last-one" in gateway.access_log)
    assert "/ai/chat/refused-one" in gateway.access_log
    assert "canary" not in gateway.access_log


def test_trap_envoys_admin_on_a_port_could_be_named_as_a_service_address(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    admin = gateway.node.folder / "admin.sock"
    assert stat.S_ISSOCK(admin.stat().st_mode)
    assert stat.S_IMODE(admin.stat().st_mode) == 0o600
    assert stat.S_IMODE(gateway.node.folder.stat().st_mode) == 0o700
    assert listening_ports(gateway.process.pid) == {port for _, port in gateway.addresses()}


def listening_ports(pid: int) -> set[int]:
    inodes = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir()}
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes}


def test_no_compiled_region_falls_into_a_trap_that_the_check_knows(region: Region) -> None:
    (compiled,) = compile_region(region.inventory, region.values, Memo()).values()
    Snapshot.of(compiled.resources, b"key").check()
