"""Canaries: values that are planted everywhere a value can go, and looked for everywhere it must not."""

import base64

import pytest

from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region, header, query
from tests.processes import eventually

pytestmark = pytest.mark.envoy

INBOUND, OLD, ASKED, TYPO, OUTBOUND, ROTATED = (f"canary-{word}-0123456789" for word in ("in", "old", "asked", "typo", "out", "rotated"))


def forms(value: str) -> list[str]:
    """As it is, reversed, in hexadecimal, and in base64 at each of the three alignments."""
    raw = value.encode()
    aligned = [base64.b64encode(b"x" * shift + raw).decode()[4:-4] for shift in range(3)]
    return [value, value[::-1], raw.hex(), *aligned]


def found(text: str, *values: str) -> list[str]:
    return [value for value in values if any(form in text for form in forms(value))]


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    region.key("inbound", INBOUND, OLD)
    region.key("asked", ASKED)
    region.key("outbound", OUTBOUND)
    region.consumer("alice", "inbound", sources=(header("x-team-key"),))
    region.consumer("quentin", "asked", sources=(query("api_key"),))
    region.service("chat", backend.port, "outbound", authorized=("alice", "quentin"))
    region.service("plain", backend.port, "outbound", header="x-api-key", prefix="", consumer_authentication=False)
    return region


def test_no_value_stands_in_a_dump_statistics_or_logs(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    plane.publish(region)
    assert gateway.status("/ai/chat/a", x_team_key=INBOUND) == 200
    assert gateway.status("/ai/chat/b", x_team_key=OLD) == 200
    assert gateway.status(f"/ai/chat/c?api_key={ASKED}") == 200
    assert gateway.status("/ai/chat/d", TYPO) == gateway.status(f"/ai/chat/e?api_key={TYPO}") == 401
    assert gateway.status("/ai/plain/f", TYPO) == 200
    region.key("outbound", ROTATED)
    plane.publish(region)
    assert gateway.status("/ai/plain/g", INBOUND) == 200
    assert backend.last.header("x-api-key") == ROTATED
    eventually(lambda: "/v1/g" in gateway.access_log)
    seen = gateway.everything()
    assert "ai/chat" in seen  # it did look at something
    assert found(seen, INBOUND, OLD, ASKED, TYPO, OUTBOUND, ROTATED) == []


def test_the_nodes_token_stands_in_one_private_file_and_nowhere_else(plane: Plane, gateway: Gateway) -> None:
    (token,) = [token for token, identity in plane.tokens.known.items() if identity.node_id == 1]
    holders = [file.name for file in gateway.node.folder.iterdir() if file.is_file() and found(file.read_text(), token)]
    assert holders == ["token.json"]
    assert all(file.stat().st_mode & 0o077 == 0 for file in gateway.node.folder.iterdir() if file.name != "envoy.log")
    assert found(gateway.everything(), token) == []


def test_the_log_stays_readable_with_a_thousand_credentials(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    for number in range(1000):
        region.key(f"k{number}", f"key-of-{number:014}")
        region.consumer(f"c{number}", f"k{number}")
    plane.publish(region)
    assert len(gateway.log.splitlines()) < 20


@pytest.mark.parametrize("form", range(6))
def test_the_scanner_sees_a_value_in_every_form(form: int) -> None:
    assert found(f"before {forms(INBOUND)[form]} after", INBOUND, OLD) == [INBOUND]


def test_the_scanner_looks_into_every_sink(gateway: Gateway, plane: Plane, region: Region) -> None:
    plane.publish(region)
    sinks = gateway.everything()
    for sign in ("ConfigDump", "control_plane.connected_state", "certificates", "ai/chat/0::", "local_address", "command_line_options"):
        assert sign in sinks, sign
