"""How a gateway starts, what it waits for, and how it ends."""

import json
import signal
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
from tests.dataplane.waiting import eventually

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
        assert not gateway.node.is_ready()
        plane.put(whole)
        gateway.node.wait_until_ready(gateway.process, timeout=5)
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
        process = node.start(find_envoy(), workers=1, output=subprocess.DEVNULL)
        gateway = Gateway(node, process, tmp_path / "envoy.log")
        try:
            node.wait_until_ready(process, timeout=10)
            assert gateway.status("/ai/chat/models", ALICE) == 200
        finally:
            gateway.stop()


def test_two_gateways_never_share_a_port(plane: Plane, region: Region, tmp_path: Path) -> None:
    plane.join(1, "token")
    plane.publish(region, wait=False)
    with running_gateway(tmp_path / "a", "a", plane.port, "token") as first:
        eventually(first.node.is_ready)
        ((_, port),) = first.node.addresses()
        plane.join(2, "token-two")
        plane.publish(region, node=2, port=port, wait=False)
        with running_gateway(tmp_path / "b", "b", plane.port, "token-two") as second:
            (refusal,) = eventually(lambda: list(plane.notes.refusals))
            assert refusal.reason == "Another program listens on the gateway's port."
            assert not second.node.is_ready()


def test_killing_the_parent_leaves_no_envoy_behind(plane: Plane, tmp_path: Path) -> None:
    """SIGKILL gives the parent no chance to clean up."""
    program = """
import os, sys
sys.path.insert(0, os.getcwd())
from pathlib import Path
from gateway.embedded import Node, find_envoy
node = Node("orphan", Path(sys.argv[1]), "127.0.0.1", int(sys.argv[2]))
node.write("token")
process = node.start(find_envoy(), workers=1)
print(process.pid, flush=True)
process.wait()
"""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", program, str(tmp_path), str(plane.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as parent:
        assert parent.stdout
        envoy = Path("/proc") / parent.stdout.readline().decode().strip()
        eventually(lambda: b"envoy" in (envoy / "cmdline").read_bytes().split(b"\0")[0])
        parent.send_signal(signal.SIGKILL)
    eventually(lambda: not envoy.exists() or "\nState:\tZ" in (envoy / "status").read_text())


def test_an_envoy_that_cannot_start_is_said_so(tmp_path: Path) -> None:
    node = Node("broken", tmp_path, "127.0.0.1", 1)
    node.write("token")
    (tmp_path / "envoy.json").write_text("{")
    process = node.start(find_envoy(), output=subprocess.DEVNULL)
    with pytest.raises(GatewayUnavailable, match="ended with code"):
        node.wait_until_ready(process)


def test_a_gateway_without_a_control_plane_is_not_ready(tmp_path: Path) -> None:
    with running_gateway(tmp_path, "alone", 1, "token") as gateway, pytest.raises(GatewayUnavailable, match="was not ready after 1 seconds"):
        gateway.node.wait_until_ready(gateway.process, timeout=1)
