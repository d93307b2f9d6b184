"""What each supplier is shown. What it asks for is written here by hand, from its documentation, and checked as strictly as it would."""

import pytest

from gateway.providers import SUPPLIERS
from tests.dataplane.backend import Backend, Seen
from tests.dataplane.gateway import Gateway
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region, header

pytestmark = pytest.mark.envoy

ALICE, KEY = "alice-key-0123456789", "sk-supplier-0123456789"
CREDENTIALS = {"authorization", "api-key", "x-api-key", "x-goog-api-key", "cookie", "proxy-authorization"}

# The header, its value, and further headers without which the supplier answers 400.
BEARER = ("authorization", f"Bearer {KEY}", {})
OWN = {
    ("azure", "OpenAI/v1"): ("api-key", KEY, {}),
    ("claude", "native"): ("x-api-key", KEY, {"anthropic-version": "2023-06-01"}),
    ("gemini", "native"): ("x-goog-api-key", KEY, {}),
}
# Where each takes a message, below its preset address.
PATHS = {
    ("claude", "native"): ("/messages", "/v1/messages"),
    ("gemini", "native"): ("/models/gemini-2.5-pro:generateContent?alt=sse", "/v1beta/models/gemini-2.5-pro:generateContent?alt=sse"),
    ("gemini", "OpenAI/v1"): ("/chat/completions", "/v1beta/openai/chat/completions"),
    ("azure", "OpenAI/v1"): ("/chat/completions?api-version=preview", "/openai/v1/chat/completions?api-version=preview"),
    ("openai", "OpenAI/v1"): ("/responses", "/v1/responses"),
}
ADDRESSES = {"azure": "https://mine.openai.azure.com/openai/v1"}
SPOKEN = [(supplier, protocol) for supplier, row in SUPPLIERS.items() for protocol in row.protocols]


def wants(name: str, value: str, others: dict[str, str]) -> "Strict":
    return Strict(name, value, others)


class Strict:
    """Takes the one credential in the one place, and complains about anything else that looks like one."""

    def __init__(self, name: str, value: str, others: dict[str, str]) -> None:
        self.name, self.value, self.others = name, value, others

    def __call__(self, seen: Seen) -> str:
        if (shown := seen.header(self.name)) != self.value:
            return f"{self.name} is {shown}"
        if strange := seen.names & CREDENTIALS - {self.name}:
            return f"what are {strange} for?"
        if missing := [name for name, value in self.others.items() if seen.header(name) != value]:
            return f"no {missing}"
        if seen.holds(ALICE) or "x-latchkey-consumer" in seen.names:
            return "something of the caller's came along"
        return ""


def offer(region: Region, port: int, supplier: str, protocol: str, *keys: str) -> None:
    row = SUPPLIERS[supplier]
    shape = row.protocols[protocol]
    address = row.address_for(protocol) or ADDRESSES.get(supplier, "https://x.example/v1")
    region.service(
        "chat",
        port,
        *keys or ("supplier",),
        authorized=("alice", "sdk"),
        path=address.partition("://")[2].partition("/")[2] and "/" + address.partition("://")[2].partition("/")[2],
        header=shape.header,
        prefix=shape.prefix,
        extra_headers=shape.extra_headers,
    )


@pytest.fixture
def region(region: Region) -> Region:
    """Alice shows her key as OpenAI's SDK does; another consumer where the supplier's own SDK puts it."""
    region.key("alice", ALICE)
    region.key("sdk", "sdks-key-0123456789")
    region.key("supplier", KEY)
    region.consumer("alice", "alice")
    region.consumer("sdk", "sdk", sources=(header("x-api-key"), header("x-goog-api-key"), header("api-key")))
    return region


@pytest.mark.parametrize(("supplier", "protocol"), SPOKEN, ids="-".join)
def test_each_supplier_gets_exactly_what_it_asks_for(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, supplier: str, protocol: str
) -> None:
    offer(region, backend.port, supplier, protocol)
    plane.publish(region)
    backend.checks = wants(*OWN.get((supplier, protocol), BEARER))
    called, reached = PATHS.get((supplier, protocol), ("/chat/completions", ""))
    answer = gateway.client.post(
        f"{gateway.url}/ai/chat{called}", json={"model": "m"}, headers={"authorization": f"Bearer {ALICE}", "cookie": "session=mine"}
    )
    assert answer.status_code == 200, answer.text
    assert not reached or backend.last.target == reached
    for own in ("x-api-key", "x-goog-api-key", "api-key"):
        assert gateway.status(f"/ai/chat{called}", **{own.replace("-", "_"): "sdks-key-0123456789"}) == 200, own
        assert not backend.last.holds("sdks-key")


def test_a_caller_may_ask_for_another_version_of_anthropics_protocol(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    offer(region, backend.port, "claude", "native")
    plane.publish(region)
    backend.checks = wants("x-api-key", KEY, {"anthropic-version": "2024-10-22", "anthropic-beta": "files-api-2025-04-14"})
    sent = {"anthropic_version": "2024-10-22", "anthropic_beta": "files-api-2025-04-14"}
    assert gateway.status("/ai/chat/messages", ALICE, **sent) == 200


@pytest.mark.parametrize(("supplier", "protocol"), [("openai", "OpenAI/v1"), ("claude", "native"), ("gemini", "native")])
def test_of_a_pool_each_key_is_used_and_a_broken_one_harms_only_itself(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, supplier: str, protocol: str
) -> None:
    shape = SUPPLIERS[supplier].protocols[protocol]
    values = {"one": "sk-one-0123456789", "two": "sk-two-0123456789", "three": "sk-three-0123456789"}
    for name, value in values.items():
        region.key(name, value)
    offer(region, backend.port, supplier, protocol, *values)

    def used(calls: int = 60) -> set[str]:
        plane.publish(region)
        backend.reset()
        assert {gateway.status("/ai/chat/x", ALICE) for _ in range(calls)} == {200}
        return {(seen.header(shape.header) or "").removeprefix(shape.prefix) for seen in backend.seen}

    assert used() == set(values.values())
    region.key("two")  # disabled
    assert used() == {values["one"], values["three"]}
    region.unreadable.add("three")
    assert used(20) == {values["one"]}
    region.key("one")
    plane.publish(region)
    backend.reset()
    assert {gateway.status("/ai/chat/x", ALICE) for _ in range(5)} == {401}
    assert not backend.seen
    region.unreadable.clear()
    assert used(20) == {values["three"]}


def test_a_pool_whose_keys_rotate_in_turn_never_shows_a_value_that_was_replaced(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    for name in ("one", "two"):
        region.key(name, f"sk-{name}-0")
    offer(region, backend.port, "openai", "OpenAI/v1", "one", "two")
    plane.publish(region)
    for number in range(1, 4):
        for name in ("one", "two"):
            region.key(name, f"sk-{name}-{number}")
            plane.publish(region)
            backend.reset()
            assert {gateway.status("/ai/chat/x", ALICE) for _ in range(10)} == {200}
            assert f"Bearer sk-{name}-{number - 1}" not in {seen.header("authorization") for seen in backend.seen}
