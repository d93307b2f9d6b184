"""Custom plugins on a running gateway: scripts in Lua, in a room of their own."""

import json
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from gateway.inventory import Script
from gateway.type_urls import SECRET
from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.load import calling
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region
from tests.processes import eventually

pytestmark = pytest.mark.envoy

TOKEN = "script-token-0123456789"

SCHEMA = {
    "type": "object",
    "properties": {
        "token": {"type": "string", "x-secret": True},
        "other": {"type": "string", "x-secret": True},
        "header": {"type": "string"},
        "numbers": {"type": "array", "items": {"type": "integer"}},
        "deep": {"type": "object"},
    },
}

SIGN = """
function envoy_on_request(handle, config)
  handle:headers():replace(config.header or "x-signed", config.token .. "/" .. #config.token)
end
"""


def script(source: str, phase: str = "default", priority: int = 100) -> Script:
    return Script(source, json.dumps(SCHEMA), phase, priority)


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    region.key("script_token", TOKEN)
    region.key("provider", "sk-0")
    region.service("chat", backend.port, "provider", consumer_authentication=False)
    region.service("notes", backend.port, "provider", consumer_authentication=False)
    return region


def test_a_script_gets_its_configuration_and_the_values_of_its_references(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.rule("sign", "token: Key $ref{script_token}\nheader: x-mine", service="chat", script=script(SIGN))
    region.rule("sign", "token: $ref{script_token}", service="notes", script=script(SIGN))
    before = plane.publish(region)
    assert gateway.status("/ai/chat/a", x_latchkey_secret_0="mine") == 200
    assert backend.last.header("x-mine") == f"Key {TOKEN}/{len(TOKEN) + 4}"
    assert not {name for name in backend.last.names if name.startswith("x-latchkey")}
    assert gateway.status("/ai/notes/a") == 200
    assert backend.last.header("x-signed") == f"{TOKEN}/{len(TOKEN)}"
    region.key("script_token", "newer-token-0123456789", TOKEN)
    after = plane.publish(region)
    assert {kind for kind in after if after[kind] is not before[kind]} == {SECRET}
    assert gateway.status("/ai/notes/a") == 200
    assert backend.last.header("x-signed") == "newer-token-0123456789/22"
    region.rules.clear()
    plane.publish(region)
    assert gateway.status("/ai/notes/a") == 200
    assert "x-signed" not in backend.last.names


def test_lists_and_groups_arrive_as_tables(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    source = """
        function envoy_on_request(handle, config)
          local sum = 0
          for _, number in ipairs(config.numbers) do sum = sum + number end
          handle:headers():replace("x-seen", sum .. config.deep.er.est .. tostring(config.token) .. tostring(config.deep.yes))
        end
    """
    region.rule("sum", "numbers: [1, 2, 39]\ndeep: {er: {est: end}, 'yes': true}", service="chat", script=script(source))
    plane.publish(region)
    assert gateway.status("/ai/chat/a") == 200
    assert backend.last.header("x-seen") == "42endniltrue"


def test_config_is_that_of_the_request_under_way_also_after_it_had_to_wait(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    """The two rules share an interpreter, and a request waits for its body while others run."""
    source = """
        function envoy_on_request(handle)
          local before = config.header
          handle:body()
          handle:headers():replace("x-seen", before .. "/" .. config.header .. "/" .. config.token)
        end
    """
    for service in ("chat", "notes"):
        region.rule("wait", f"header: {service}\ntoken: {service} $ref{{script_token}}", service=service, script=script(source))
    plane.publish(region)

    def slowly(service: str) -> None:
        def body() -> Iterator[bytes]:
            yield b"a"
            meeting.wait(10)
            yield b"b"

        httpx.post(f"{gateway.url}/ai/{service}/a", content=body(), timeout=20)

    meeting = threading.Barrier(2)
    threads = [threading.Thread(target=slowly, args=(service,)) for service in ("chat", "notes")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    seen = {seen.header("x-seen") for seen in backend.seen}
    assert seen == {f"{service}/{service}/{service} {TOKEN}" for service in ("chat", "notes")}


def test_a_script_may_answer_itself_and_change_answers(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    source = """
        function envoy_on_request(handle, config)
          if handle:headers():get("x-stop") then
            handle:respond({[":status"] = "418", ["content-type"] = "application/problem+json"}, '{"mine": true}')
          end
        end
        function envoy_on_response(handle, config)
          handle:headers():replace("x-answered", tostring(config.header) .. tostring(config.token))
        end
    """
    region.rule("answer", "header: yes\ntoken: $ref{script_token}", service="chat", script=script(source))
    plane.publish(region)
    answer = gateway.get("/ai/chat/a")
    assert (answer.status_code, answer.headers["x-answered"]) == (200, "yesnil")
    stopped = gateway.get("/ai/chat/a", x_stop="1")
    assert (stopped.status_code, stopped.json()) == (418, {"mine": True})
    assert len(backend.seen) == 1


def test_bodies_can_be_read_and_written(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    source = """
        function envoy_on_request(handle)
          local body = handle:body()
          if body then body:setBytes(body:getBytes(0, body:length()):upper()) end
        end
        function envoy_on_response(handle)
          local body = handle:body()
          handle:headers():replace("content-length", body:setBytes("changed"))
        end
    """
    region.rule("shout", "", service="chat", script=script(source))
    plane.publish(region)
    answer = gateway.client.post(f"{gateway.url}/ai/chat/a", content=b"hello")
    assert (answer.text, backend.last.body) == ("changed", b"HELLO")


@pytest.mark.parametrize(
    "source",
    [
        "this is not Lua (",
        "error('at once')",
        "function envoy_on_request(handle) error('later') end",
        "function envoy_on_request(handle) return nil + 1 end",
        "function envoy_on_request(handle, config) handle:headers():replace('x', config.none.at_all) end",
        "function envoy_on_request(handle) while true do end end",
        "function envoy_on_request(handle) while true do pcall(function() while true do end end) end end",
        "while true do end",
        "function envoy_on_request(handle) handle:httpCall('xds', {}, '', 1000) end",
        "function envoy_on_request(handle) os.execute('true') end",
        "function envoy_on_request(handle) io.open('token.json') end",
        "function envoy_on_request(handle) require('ffi') end",
        "function envoy_on_request(handle) loadstring('return 1')() end",
        "function envoy_on_request(handle) string.dump(envoy_on_request) end",
        "function envoy_on_request(handle) ('x').dump(envoy_on_request) end",
        "function envoy_on_request(handle) debug.sethook() end",
        "function envoy_on_request(handle) getmetatable(handle:headers()).__gc(handle:headers()) end",
        "function envoy_on_request(handle) setfenv(1, {}) end",
        "function envoy_on_request(handle) getfenv(0).os.exit(1) end",
        "function envoy_on_request(handle) print(envoy_on_response.x) end",
        "\x1bLJ\x02\x00",
    ],
)
def test_a_script_that_fails_or_reaches_for_what_is_not_its_own_closes_its_own_routes_only(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, source: str
) -> None:
    region.rule("bad", "", service="chat", script=script(source))
    plane.publish(region)
    for _ in range(3):
        answer = gateway.get("/ai/chat/a")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "plugin_failed")
    assert gateway.status("/ai/notes/a") == 200
    assert len(backend.seen) == 1
    assert gateway.process.poll() is None
    assert not plane.notes.refusals


def test_a_script_that_fails_on_an_answer_lets_none_through(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.rule("bad", "", service="chat", script=script("function envoy_on_response(handle) error('no') end"))
    plane.publish(region)
    answer = gateway.get("/ai/chat/a")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "plugin_failed")


def test_a_script_that_runs_too_long_holds_up_nobody_for_long(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.rule("slow", "", service="chat", script=script("function envoy_on_request(handle) while true do end end"))
    plane.publish(region)
    began = time.monotonic()
    assert gateway.status("/ai/chat/a") == 503
    assert time.monotonic() - began < 3
    assert "it ran too long" in gateway.log


def test_one_that_waits_is_not_taken_for_one_that_runs_on(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    source = "function envoy_on_request(handle) local sum = 0; for i = 1, 200000 do sum = sum + i end end"
    region.rule("busy", "", service="chat", script=script(source))
    plane.publish(region)
    with calling(gateway.url, "/ai/chat/a", "x", each_second=100) as load:
        eventually(lambda: load.calls > 150)
    assert set(load.outcomes) == {"200"}


def test_what_a_script_writes_into_the_log_holds_no_key(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    source = """
        function envoy_on_request(handle, config)
          handle:logErr("before " .. config.header)
          handle:logErr("the token is " .. config.token)
          error("the token is " .. config.token)
        end
    """
    region.rule("chatty", "token: $ref{script_token}\nheader: canary-line", service="chat", script=script(source))
    plane.publish(region)
    assert gateway.status("/ai/chat/a") == 503
    eventually(lambda: "before canary-line" in gateway.log)
    assert TOKEN not in gateway.log


def test_scripts_run_in_the_order_of_phase_and_priority_and_see_no_credentials_once_callers_are_in(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    def note(letter: str) -> str:
        return f"""
            function envoy_on_request(handle)
              local headers = handle:headers()
              local seen = headers:get("x-api-key") and "+" or "-"
              headers:replace("x-order", (headers:get("x-order") or "") .. "{letter}" .. seen)
            end
        """

    for name, phase, priority in (("d", "default", 5), ("c", "default", 50), ("b", "authorization", 1), ("a", "authentication", 999)):
        region.rule(name, "", script=script(note(name), phase, priority))
    region.rule("key-auth", "credentials: ['$ref{script_token}']\nkeys: [x-api-key]", service="chat")
    plane.publish(region)
    assert gateway.status("/ai/chat/a", x_api_key=TOKEN) == 200
    assert backend.last.header("x-order") == "a+b+c-d-"


@pytest.mark.parametrize("cause", ["disabled", "unreadable"])
def test_without_its_value_the_routes_of_the_rule_are_closed(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, cause: str
) -> None:
    region.rule("sign", "token: $ref{script_token}", service="chat", script=script(SIGN))
    if cause == "disabled":
        region.key("script_token")
    else:
        region.unreadable.add("script_token")
    plane.publish(region)
    answer = gateway.get("/ai/chat/a")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "plugin_unavailable")
    assert gateway.status("/ai/notes/a") == 200


def test_many_rules_of_one_script_share_an_interpreter(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    source = "local count = 0 function envoy_on_request(h) count = count + 1; h:headers():replace('x-count', tostring(count)) end"
    for number in range(20):
        region.service(f"s{number}", backend.port, consumer_authentication=False)
        region.rule("count", f"header: h{number}", service=f"s{number}", script=script(source))
    plane.publish(region)
    counts = []
    for number in range(20):
        assert gateway.status(f"/ai/s{number}/a") == httpx.codes.OK
        counts.append(int(backend.last.header("x-count") or 0))
    region.change("notes", path="/v2")
    plane.publish(region)
    assert gateway.status("/ai/s0/a") == 200
    assert int(backend.last.header("x-count") or 0) > max(counts)
