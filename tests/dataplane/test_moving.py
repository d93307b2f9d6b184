"""References moved from key to key while calls are under way: none is lost, outbound or inbound."""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from gateway import moving
from secrets_app.models import Key
from tests import cast
from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.load import calling
from tests.dataplane.plane import Plane
from tests.dataplane.stored import Stored
from tests.processes import eventually

pytestmark = [pytest.mark.envoy, pytest.mark.django_db]

OLD, NEW, STEADY = "acme-old-0123456789", "acme-new-0123456789", "steady-key-0123456789"
MOVES = 10


class Place:
    """A region whose services and consumers refer to keys by name; each move is published when it is done."""

    def __init__(self, plane: Plane, port: int) -> None:
        self.plane, self.port = plane, port
        self.region = cast.deployment()
        self.gateway = cast.instance(self.region, "gateway")
        self.stored = Stored(self.region.pk)
        self.keys: dict[str, Key] = {}
        self.key("steady", STEADY)
        cast.consumer(self.region, "steady", bound_to=self.keys["steady"])

    def key(self, name: str, value: str) -> Key:
        self.keys[name] = cast.key(self.region, name, value)
        return self.keys[name]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def publish(self) -> None:
        self.plane.publish(self.stored)

    def move(self, was: str, becomes: str) -> None:
        one, other = Key.objects.get(name=was), Key.objects.get(name=becomes)
        plan = moving.plan(one, other, by=cast.SETUP)
        assert not plan.refused
        moving.move(one, other, seen=plan.seen, by=cast.SETUP)
        self.publish()


@pytest.fixture
def place(plane: Plane, backend: Backend, db: None) -> Place:
    return Place(plane, backend.port)


def back_and_forth(place: Place, one: str, other: str) -> Iterator[str]:
    for _ in range(MOVES // 2):
        for was, becomes in ((one, other), (other, one)):
            place.move(was, becomes)
            yield becomes


def test_outbound_every_call_goes_on_with_one_key_or_the_other(place: Place, gateway: Gateway, backend: Backend) -> None:
    was, _becomes, second = place.key("was", "sk-was"), place.key("becomes", "sk-becomes"), place.key("second", "sk-second")
    chat = cast.service(place.gateway, "chat", keys=[was], address=place.address)
    pool = cast.service(place.gateway, "pool", keys=[was, second], address=place.address)
    bot = cast.agent(place.gateway, "bot", keys=[was], kind="custom", address=place.address, bot_type="")
    for service in (chat, pool, bot):
        service.authorize(["steady"], by=cast.SETUP)
    place.publish()
    backend.accepts = {"Bearer sk-was", "Bearer sk-becomes", "Bearer sk-second"}
    paths = ("/ai/chat/models", "/ai/pool/models", "/agents/bot/models")
    with ExitStack() as callers:
        loads = [callers.enter_context(calling(gateway.url, path, STEADY, each_second=60, callers=2)) for path in paths]
        for key in back_and_forth(place, "was", "becomes"):
            gateway.status("/ai/chat/models", STEADY)
            assert f"Bearer sk-{key}" in {one.header("authorization") for one in backend.seen[-20:]}
            calls = [load.calls for load in loads]
            eventually(lambda: all(load.calls > before + 3 for load, before in zip(loads, calls, strict=True)))  # noqa: B023
    assert [set(load.outcomes) for load in loads] == [{"200"}] * 3


def test_a_stream_that_is_open_goes_on(place: Place, gateway: Gateway, backend: Backend) -> None:
    chat = cast.service(place.gateway, "chat", keys=[place.key("was", "sk-was")], address=place.address)
    place.key("becomes", "sk-becomes")
    chat.authorize(["steady"], by=cast.SETUP)
    place.publish()
    backend.gap.clear()
    body, headers = {"model": "m", "messages": [], "stream": True}, {"authorization": f"Bearer {STEADY}"}
    with httpx.stream("POST", f"{gateway.url}/ai/chat/chat/completions", json=body, headers=headers, timeout=20) as answer:
        lines = answer.iter_lines()
        assert "one" in next(lines)
        place.move("was", "becomes")
        assert gateway.status("/ai/chat/models", STEADY) == 200
        assert backend.last_authorization == "Bearer sk-becomes"
        backend.gap.set()
        assert "[DONE]" in "".join(lines)


def test_a_key_that_a_plug_in_sends_is_another_from_one_call_to_the_next(place: Place, gateway: Gateway, backend: Backend) -> None:
    place.key("was", "token-was"), place.key("becomes", "token-becomes")
    chat = cast.service(place.gateway, "chat", address=place.address)
    chat.authorize(["steady"], by=cast.SETUP)
    text = "reqRules:\n- operate: add\n  headers:\n  - key: x-token\n    value: Bearer $ref{was}\n"
    cast.rule(cast.plugin(place.gateway, "transformer"), text)
    place.publish()
    with calling(gateway.url, "/ai/chat/models", STEADY, each_second=60, callers=2) as load:
        for key in back_and_forth(place, "was", "becomes"):
            assert gateway.status("/ai/chat/models", STEADY) == 200
            calls = load.calls
            eventually(lambda: load.calls > calls + 3)  # noqa: B023
            assert backend.last.header("x-token") == f"Bearer token-{key}"
    assert set(load.outcomes) == {"200"}
    assert {one.header("x-token") for one in backend.seen} == {"Bearer token-was", "Bearer token-becomes"}


def test_inbound_one_of_the_two_values_is_accepted_at_every_moment(place: Place, gateway: Gateway, backend: Backend) -> None:
    acme = cast.consumer(place.region, "acme", bound_to=place.key("was", OLD))
    place.key("becomes", NEW)
    chat = cast.service(place.gateway, "chat", address=place.address)
    chat.authorize(["steady", acme.name], by=cast.SETUP)
    place.publish()
    with calling(gateway.url, "/ai/chat/models", STEADY, each_second=60, callers=2) as load:
        for one, other, was, becomes in ((OLD, NEW, "was", "becomes"), (NEW, OLD, "becomes", "was")) * (MOVES // 2):
            with presenting(gateway.url, "/ai/chat/models", one, other) as found:
                eventually(lambda: found["first"] > 5)
                place.move(was, becomes)
                eventually(lambda: found["second"] > 5)
            assert found["neither"] == 0
            assert gateway.status("/ai/chat/models", one) == 401
            assert gateway.status("/ai/chat/models", other) == 200
    assert set(load.outcomes) == {"200"}


def test_inbound_of_a_plug_in_as_well(place: Place, gateway: Gateway, backend: Backend) -> None:
    was, _becomes = place.key("was", OLD), place.key("becomes", NEW)
    chat = cast.service(place.gateway, "chat", address=place.address)
    chat.open(by=cast.SETUP)
    cast.rule(cast.plugin(place.gateway), "keys: [authorization]\ncredentials:\n- $ref{was}\n- $ref{steady}\n")
    assert was.name
    place.publish()
    with calling(gateway.url, "/ai/chat/models", STEADY, each_second=60, callers=2) as load:
        for one, other, old, new in ((OLD, NEW, "was", "becomes"), (NEW, OLD, "becomes", "was")) * 2:
            with presenting(gateway.url, "/ai/chat/models", one, other) as found:
                eventually(lambda: found["first"] > 5)
                place.move(old, new)
                eventually(lambda: found["second"] > 5)
            assert found["neither"] == 0
    assert set(load.outcomes) == {"200"}


@contextmanager
def presenting(url: str, path: str, first: str, second: str) -> Iterator[Counter[str]]:
    """A caller that presents one value, and the other where that is refused; how often which was accepted, until the block ends."""
    found: Counter[str] = Counter()
    stop = threading.Event()

    def call() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
        while not stop.is_set():
            found[next((name for name, key in (("first", first), ("second", second)) if status(connection, key) == 200), "neither")] += 1
        connection.close()

    def status(connection: http.client.HTTPConnection, key: str) -> int:
        connection.request("GET", path, headers={"authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        answer.read()
        return answer.status

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join(30)
