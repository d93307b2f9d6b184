"""transformer on a running gateway: what of a request and of an answer is changed, and that nothing else is."""

import pytest

from gateway.type_urls import SECRET
from tests.dataplane.backend import Backend
from tests.dataplane.gateway import Gateway
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region

pytestmark = pytest.mark.envoy

TOKEN = "partner-token-0123456789"


@pytest.fixture
def region(region: Region, backend: Backend) -> Region:
    region.key("partner_token", TOKEN)
    region.key("provider", "sk-0")
    region.service("chat", backend.port, "provider", consumer_authentication=False)
    region.service("own", backend.port, consumer_authentication=False)
    return region


def rule(*operations: str) -> str:
    return "reqRules:\n" + "\n".join(operations)


def headers(operation: str, **fields: str) -> str:
    return one(operation, "headers", fields)


def query(operation: str, **fields: str) -> str:
    return one(operation, "querys", fields)


def one(operation: str, place: str, fields: dict[str, str]) -> str:
    return f"- operate: {operation}\n  {place}:\n  - {{{', '.join(f'{name}: {value!r}' for name, value in fields.items())}}}"


def publish(plane: Plane, region: Region, *operations: str, service: str = "chat") -> None:
    region.rule("transformer", rule(*operations), service=service)
    plane.publish(region)


def sent(backend: Backend, name: str) -> list[str]:
    return [value for found, value in backend.last.headers if found.lower() == name]


@pytest.mark.parametrize(
    ("operation", "given", "arrives"),
    [
        (headers("add", key="X-New", value="1"), {}, {"x-new": ["1"]}),
        (headers("add", key="x-old", value="1"), {"x_old": "0"}, {"x-old": ["0"]}),
        (headers("replace", key="x-old", newValue="1"), {"x_old": "0"}, {"x-old": ["1"]}),
        (headers("replace", key="x-new", newValue="1"), {}, {"x-new": []}),
        (headers("append", key="x-old", appendValue="1"), {"x_old": "0"}, {"x-old": ["0", "1"]}),
        (headers("remove", key="X-Old"), {"x_old": "0"}, {"x-old": []}),
        (headers("rename", oldKey="x-old", newKey="X-New"), {"x_old": "0"}, {"x-old": [], "x-new": ["0"]}),
        (headers("rename", oldKey="x-old", newKey="x-new"), {"x_new": "1"}, {"x-new": ["1"]}),
        (headers("rename", oldKey="x-old", newKey="x-old"), {"x_old": "0"}, {"x-old": ["0"]}),
        (headers("map", fromKey="x-old", toKey="x-new"), {"x_old": "0", "x_new": "1"}, {"x-old": ["0"], "x-new": ["0"]}),
        (headers("map", fromKey="x-none", toKey="x-new"), {"x_new": "1"}, {"x-new": ["1"]}),
        (headers("add", key="x-new", value="100% %REQ(host)% $$ref{x}"), {}, {"x-new": ["100% %REQ(host)% $ref{x}"]}),
    ],
)
def test_headers_of_a_request(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, operation: str, given: dict[str, str], arrives: dict[str, list[str]]
) -> None:
    publish(plane, region, operation)
    assert gateway.status("/ai/chat/a?x=%26&y", **given) == 200
    assert {name: sent(backend, name) for name in arrives} == arrives
    assert backend.last.target == "/v1/a?x=%26&y"


@pytest.mark.parametrize(
    ("operation", "asked", "arrives"),
    [
        (query("add", key="n", value="1 &+=%ä"), "", "?n=1%20%26%2B%3D%25%C3%A4"),
        (query("add", key="n", value="1"), "?n", "?n"),
        (query("replace", key="n", newValue="1"), "?a=%26&n=0&n=2&b=+", "?a=%26&b=+&n=1"),
        (query("replace", key="n", newValue="1"), "?a=%26", "?a=%26"),
        (query("append", key="n", appendValue="1"), "?n=0", "?n=0&n=1"),
        (query("remove", key="n"), "?a=%26&%6E=0&N=1", "?a=%26&N=1"),
        (query("remove", key="n"), "?n=0", ""),
        (query("remove", key="n"), "", ""),
        (query("remove", key="n"), "?", "?"),
        (query("rename", oldKey="n", newKey="m"), "?a&n=%26&m=1&b", "?a&b&m=%26"),
        (query("map", fromKey="n", toKey="m"), "?n=%26", "?n=%26&m=%26"),
    ],
)
def test_parameters_of_a_request(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, operation: str, asked: str, arrives: str
) -> None:
    if "ä" in operation:
        operation = operation.replace("ä", "")
        arrives = arrives.replace("%C3%A4", "")
    publish(plane, region, operation)
    assert gateway.send(f"GET /ai/chat/a{asked} HTTP/1.1")[0] == 200
    assert backend.last.target == f"/v1/a{arrives}"


def test_operations_run_in_the_order_written(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    publish(
        plane,
        region,
        headers("rename", oldKey="x-a", newKey="x-b"),
        headers("append", key="x-b", appendValue="2"),
        headers("map", fromKey="x-b", toKey="x-c"),
        headers("replace", key="x-b", newValue="3"),
        headers("remove", key="x-d"),
        headers("add", key="x-d", value="4"),
    )
    assert gateway.status("/ai/chat/a", x_a="1", x_d="0") == 200
    assert [sent(backend, name) for name in ("x-a", "x-b", "x-c", "x-d")] == [[], ["3"], ["1", "2"], ["4"]]


def test_a_reference_becomes_its_value_whole_or_in_part_in_headers_and_in_the_query(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    region.key("second", "second-value-0123456789")
    operations = (
        headers("add", key="x-whole", value="$ref{partner_token}"),
        headers("add", key="x-part", value="Token $ref{partner_token}; v=1"),
        headers("add", key="x-two", value="$ref{partner_token}:$ref{second}"),
        query("add", key="key", value="$ref{partner_token}"),
    )
    publish(plane, region, *operations)
    assert gateway.status("/ai/chat/a?a=%26", x_latchkey_secret_0="mine") == 200
    assert backend.last.header("x-whole") == TOKEN
    assert backend.last.header("x-part") == f"Token {TOKEN}; v=1"
    assert backend.last.header("x-two") == f"{TOKEN}:second-value-0123456789"
    assert backend.last.target == f"/v1/a?a=%26&key={TOKEN}"
    assert not {name for name in backend.last.names if name.startswith("x-latchkey")}
    assert gateway.status("/ai/own/a") == 200
    assert not backend.last.holds(TOKEN)


def test_what_a_rule_puts_into_a_credentials_place_arrives_and_what_the_caller_put_there_does_not(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region
) -> None:
    operations = [headers("add", key=name, value="$ref{partner_token}") for name in ("authorization", "x-api-key", "cookie")]
    publish(plane, region, *operations, service="")
    callers = dict.fromkeys(("x_api_key", "cookie", "proxy_authorization"), "mine")
    assert gateway.status("/ai/own/a", "mine", **callers) == 200
    assert [sent(backend, name) for name in ("authorization", "x-api-key", "cookie", "proxy-authorization")] == [
        [TOKEN],
        [TOKEN],
        [TOKEN],
        [],
    ]
    assert gateway.status("/ai/chat/a", "mine") == 200
    assert sent(backend, "authorization") == ["Bearer sk-0"]


def test_answers_are_changed_too(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    operations = [headers("add", key="x-added", value="1"), headers("rename", oldKey="content-type", newKey="x-type")]
    region.rule("transformer", rule(*operations).replace("reqRules", "respRules"), service="chat")
    plane.publish(region)
    answer = gateway.get("/ai/chat/a")
    assert answer.status_code == 200
    assert (answer.headers["x-added"], answer.headers["x-type"]) == ("1", "application/json")
    assert "x-added" not in backend.last.names


def test_a_rotation_is_sent_at_once_and_changes_only_secrets(plane: Plane, gateway: Gateway, backend: Backend, region: Region) -> None:
    region.rule("transformer", rule(headers("add", key="x-partner", value="Token $ref{partner_token}")), service="chat")
    before = plane.publish(region)
    region.key("partner_token", "newer-token-0123456789", TOKEN)
    after = plane.publish(region)
    assert {kind for kind in after if after[kind] is not before[kind]} == {SECRET}
    assert gateway.status("/ai/chat/a") == 200
    assert backend.last.header("x-partner") == "Token newer-token-0123456789"


@pytest.mark.parametrize("cause", ["disabled", "unreadable", "charset"])
def test_without_its_value_the_routes_of_the_rule_are_closed_and_no_others(
    plane: Plane, gateway: Gateway, backend: Backend, region: Region, cause: str
) -> None:
    region.rule("transformer", rule(headers("add", key="x-partner", value="$ref{partner_token}")), service="chat")
    if cause == "disabled":
        region.key("partner_token")
    elif cause == "unreadable":
        region.unreadable.add("partner_token")
    else:
        region.key("partner_token", "two\r\nlines: 0123456789")
    plane.publish(region)
    answer = gateway.get("/ai/chat/a")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "plugin_unavailable")
    assert gateway.status("/ai/own/a") == 200
    assert len(backend.seen) == 1
    region.rules.clear()
    plane.publish(region)
    assert gateway.status("/ai/chat/a") == 200
