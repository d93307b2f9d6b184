"""How a gateway starts, what it waits for, and how it ends."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.embedded import GatewayUnavailable, Node, find_envoy
from gateway.snapshot import Snapshot
from gateway.type_urls import EXTENSION
from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway, running_gateway
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region
from tests.processes import ROOT, eventually

pytestmark = pytest.mark.envoy

ALICE = "alice-key-0123456789"


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    region.key("alice", ALICE)
    region.key("provider", "sk-provider-0123456789")
    region.consumer("alice", "alice")
    region.service("chat", backend.port, "provider", authorized=("alice",))
    return region


def test_without_the_list_of_credentials_nobody_gets_through_until_it_comes(plane: Plane, region: Region, tmp_path: Path) -> None:
    plane.join(1, "token")
    whole = plane.publish(region, wait=False)
    plane.put(Snapshot({kind: ({} if kind == EXTENSION else whole[kind]) for kind in whole}))
    with running_gateway(tmp_path, "node", plane.port, "token") as gateway:
        eventually(lambda: (tmp_path / "admin.sock").exists() and gateway.stat("listener_manager.lds.update_success"))
        assert not gateway.is_ready()
        plane.put(whole)
        gateway.wait_until_ready(within=5)
        assert gateway.status("/ai/chat/models", ALICE) == 200


def test_trap_a_silent_name_server_would_delay_the_start_by_a_minute(plane: Plane, region: Region, tmp_path: Path) -> None:
    for number in range(20):
        region.service(f"dead-{number}", 443, "provider", scheme="https", host=f"no-such-host-{number}.example")
    plane.join(1, "token")
    plane.publish(region, wait=False)
    node = Node("node", tmp_path, "127.0.0.1", plane.port)
    node.write("token")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        bootstrap = json.loads((tmp_path / "envoy.json").read_text())
        server = {"socket_address": {"address": "127.0.0.1", "port_value": silent.getsockname()[1]}}
        bootstrap["typed_dns_resolver_config"]["typed_config"]["resolvers"] = [server]
        (tmp_path / "envoy.json").write_text(json.dumps(bootstrap))
        gateway = Gateway(node)
        try:
            gateway.wait_until_ready(within=10)
            assert gateway.status("/ai/chat/models", ALICE) == 200
        finally:
            gateway.stop()


def test_two_gateways_never_share_a_port(plane: Plane, region: Region, tmp_path: Path) -> None:
    plane.join(1, "token")
    plane.publish(region, wait=False)
    with running_gateway(tmp_path / "a", "a", plane.port, "token") as first:
        eventually(first.is_ready)
        ((_, port),) = first.addresses()
        plane.join(2, "token-two")
        plane.publish(region, node=2, port=port, wait=False)
        with running_gateway(tmp_path / "b", "b", plane.port, "token-two") as second:
            (refusal,) = eventually(lambda: list(plane.notes.refusals))
            assert refusal.reason == "Another program listens on the gateway's port."
            assert not second.is_ready()


def test_the_process_that_starts_a_gateway_becomes_it(gateway: Gateway) -> None:
    """So nothing can be left behind when it is killed, and whoever started it sees Envoy's own end."""
    assert Path(f"/proc/{gateway.process.pid}/exe").resolve().name == "envoy"
    assert Path(f"/proc/{gateway.process.pid}/environ").read_bytes() == b""
    limits = Path(f"/proc/{gateway.process.pid}/limits").read_text()
    assert re.search(r"Max core file size +0 +0 ", limits)
    (soft, hard) = re.search(r"Max open files +(\d+) +(\d+)", limits).groups()  # type: ignore[union-attr]
    assert soft == hard


def test_a_gateway_without_a_control_plane_listens_nowhere(tmp_path: Path) -> None:
    with running_gateway(tmp_path, "alone", 1, "token") as gateway:
        eventually(lambda: gateway.node.admin_socket.exists() and gateway.stat("cluster.xds.upstream_cx_connect_fail"))
        eventually(lambda: gateway.admin("/ready").strip() == "LIVE")
        assert gateway.addresses() == []


def test_a_path_too_long_for_a_socket_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(GatewayUnavailable, match="shorter"):
        Node("deep", tmp_path / ("x" * 100), "127.0.0.1", 1).write("token")


def test_a_program_that_is_none_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(GatewayUnavailable, match="CONSOLE_ENVOY_PATH"):
        find_envoy(str(tmp_path / "no-envoy"))


def test_a_program_for_another_machine_is_said_so(tmp_path: Path) -> None:
    foreign = tmp_path / "envoy"
    foreign.write_bytes(b"\x7fELF of another kind")
    foreign.chmod(0o700)
    program = "import sys; from pathlib import Path; from gateway.embedded import Node"
    program += "; Node('', Path(sys.argv[1]), '', 0).become(Path(sys.argv[2]))"
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path), str(foreign)], cwd=ROOT, capture_output=True, text=True)
    assert "cannot be run on this machine" in ended.stderr
