"""The script that tells clients of an MCP server where to post: run by LuaJIT, as in Envoy, on streams cut in every way."""

import itertools
from typing import Any

import pytest
from envoy.extensions.filters.http.lua.v3.lua_pb2 import Lua
from hypothesis import given
from hypothesis import strategies as st
from lupa.luajit21 import LuaRuntime

from gateway.compile.announced import announcing_filter
from gateway.inventory import Service
from tests.dataplane.region import Region

REFUSED = b"/mcp-servers/tools/endpoint-refused"

_HANDLE = """
function run(chunks, headers)
  local out = {}
  local map = {
    get = function(_, name) return headers[name] end,
    remove = function(_, name) headers[name] = nil end,
  }
  local place = 0
  local function following()
    place = place + 1
    local bytes = chunks[place]
    if not bytes then return nil end
    out[place] = bytes
    return {
      length = function() return #bytes end,
      getBytes = function(_, from, length) return bytes:sub(from + 1, from + length) end,
      setBytes = function(_, new) out[place] = new end,
    }
  end
  envoy_on_response({headers = function() return map end, bodyChunks = function() return following end})
  while following() do end -- what no script reads passes as it came
  return out
end
"""


def service(**fields: Any) -> Service:
    region = Region()
    region.mcp("tools", 8443, path="/test/sse", message_path="/test/messages", scheme="https", host="mcp.example.com", **fields)
    return region.inventory.instances[0].services[0]


def passed_on(*chunks: bytes, kind: bytes = b"text/event-stream; charset=utf-8", **fields: Any) -> list[bytes]:
    """What becomes of each chunk."""
    lua = LuaRuntime(encoding=None, unpack_returned_tuples=True)
    script = Lua.FromString(announcing_filter(service(**fields)).typed_config.value)
    lua.execute(script.default_source_code.inline_string.encode())
    lua.execute(_HANDLE.encode())
    headers = lua.table_from({b"content-type": kind, b"content-length": b"12"})
    out = lua.globals()[b"run"](lua.table_from(list(chunks)), headers)
    return [bytes(out[place]) for place in range(1, len(chunks) + 1)]


def announced(data: str, **fields: Any) -> bytes:
    """What a client is told when the server says this."""
    out = b"".join(passed_on(b"event: endpoint\ndata: " + data.encode() + b"\n\n", **fields))
    return out.removeprefix(b"event: endpoint\ndata: ").removesuffix(b"\n\n")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("/test/messages/?session_id=1", b"/mcp-servers/tools/test/messages/?session_id=1"),
        ("/test/messages?sessionId=a%2Fb&x=../..", b"/mcp-servers/tools/test/messages?sessionId=a%2Fb&x=../.."),
        ("/test/messages", b"/mcp-servers/tools/test/messages"),
        ("/test/messages/a/b", b"/mcp-servers/tools/test/messages/a/b"),
        ("messages?s=1", b"/mcp-servers/tools/test/messages?s=1"),
        ("?s=1", b"/mcp-servers/tools/test/sse?s=1"),
        ("/test/sse?s=1", b"/mcp-servers/tools/test/sse?s=1"),
        ("https://mcp.example.com:8443/test/messages?s=1", b"/mcp-servers/tools/test/messages?s=1"),
        ("http://MCP.Example.com:8443/test/messages?s=1", b"/mcp-servers/tools/test/messages?s=1"),
    ],
)
def test_the_servers_own_path_becomes_the_gateways(said: str, told: bytes) -> None:
    assert announced(said) == told


@pytest.mark.parametrize(
    "said",
    [
        "",
        "/",
        "/messages",
        "/test",
        "/test/message",
        "/test/messages2",
        "/test/messages/../../x",
        "/test/messages/..",
        "/test/messages/./x",
        "/test/messages/%2e%2e/x",
        "/test/messages//x",
        "//evil.example/test/messages",
        "///test/messages",
        "/\\evil.example/test/messages",
        "https://evil.example/test/messages",
        "https://mcp.example.com/test/messages",  # another port is another server
        "https://mcp.example.com:8443@evil.example/test/messages",
        "https://mcp.example.com:8443",
        "https:/test/messages",
        "javascript:alert(1)",
        "/mcp-servers/other/messages",
        "../../../mcp-servers/other/mcp",
        "/test/messages#/x",
        "/test/messages?a=\tb",
        " /test/messages",
        "/test/messages ",
        "/test/mess\u00e4ges",
        "/test/messages" + "/x" * 10_000 + "/..",
    ],
)
def test_what_else_it_names_is_not_passed_on(said: str) -> None:
    assert announced(said) == REFUSED


@pytest.mark.parametrize(
    ("host", "scheme", "port", "authority"),
    [("mcp.example.com", "https", 443, "mcp.example.com"), ("10.0.0.7", "http", 80, "10.0.0.7:80"), ("::1", "http", 9000, "[::1]:9000")],
)
def test_a_server_is_known_with_and_without_the_port_of_its_scheme(host: str, scheme: str, port: int, authority: str) -> None:
    region = Region()
    region.mcp("tools", port, path="/sse", message_path="/messages", scheme=scheme, host=host)
    script = Lua.FromString(announcing_filter(region.inventory.instances[0].services[0]).typed_config.value)
    assert f'["{authority}"] = true' in script.default_source_code.inline_string


def test_every_event_of_that_name_is_read_and_no_other() -> None:
    stream = (
        b"data: /test/messages\n\n"
        b": endpoint\nevent: message\ndata: https://evil.example\n\n"
        b"event: endpoint\nid: 7\ndata: /test/messages\ndata: https://evil.example\n\n"
        b"event: endpoint\ndata: https://evil.example\n\n"
        b"event:endpoint\ndata:/test/messages\n\n"
        b"event: endpoints\ndata: /test/messages\n\n"
        b'event: message\ndata: {"text": "event: endpoint"}\n\n'
    )
    assert b"".join(passed_on(stream)) == (
        b"data: /test/messages\n\n"
        b": endpoint\nevent: message\ndata: https://evil.example\n\n"
        b"event: endpoint\nid: 7\ndata: /mcp-servers/tools/test/messages\n: \n\n"
        b"event: endpoint\ndata: " + REFUSED + b"\n\n"
        b"event:endpoint\ndata: /mcp-servers/tools/test/messages\n\n"
        b"event: endpoints\ndata: /test/messages\n\n"
        b'event: message\ndata: {"text": "event: endpoint"}\n\n'
    )


@pytest.mark.parametrize(
    "event",
    [
        b"data: https://evil.example/\nevent: endpoint\n\n",
        b"data: https://evil.example/" + b"x" * 100 + b"\nevent: endpoint\n\n",
        b"event: message\ndata: https://evil.example/\nevent: endpoint\n\n",
        b"event: endpoint\ndata: /test/messages\nevent: endpoint\ndata: https://evil.example/\n\n",
    ],
)
def test_an_event_that_says_its_name_last_is_no_announcement(event: bytes) -> None:
    for chunks in ([event], [event[place : place + 1] for place in range(len(event))]):
        lines = b"".join(passed_on(*chunks)).split(b"\n")
        assert not (b"event: endpoint" in lines and any(b"evil" in line for line in lines))


STREAMS = [
    ending.join(
        [b"event: endpoint", b"data: /test/messages/?session_id=1", b"", b"event: message", b'data: {"a": "' + b"x" * 200 + b'"}', b"", b""]
    )
    for ending in (b"\n", b"\r\n", b"\r")
] + [
    b"\xef\xbb\xbfevent: endpoint\ndata: /test/messages/?s=1\n\ndata: \xe2\x80\xa8\n\n",
    b"\n\r\n\r: x\r\r\nevent: endpoint\r\ndata: /x\r\r",
]


@pytest.mark.parametrize("stream", STREAMS, ids=["lf", "crlf", "cr", "bom", "mixed"])
def test_wherever_a_stream_is_cut_the_same_arrives(stream: bytes) -> None:
    whole = b"".join(passed_on(stream))
    assert b"event: endpoint" in whole
    assert b"data: /mcp-servers/tools/" in whole
    for place in range(1, len(stream)):
        assert b"".join(passed_on(stream[:place], stream[place:])) == whole, place
    assert b"".join(passed_on(*(stream[place : place + 1] for place in range(len(stream))))) == whole


_LINES = st.sampled_from(
    [
        *(b"event: endpoint", b"event: message", b"event", b"data: /test/messages", b"data: https://evil.example", b"data"),
        *(b":", b"", b"id: 1", b"data: " + b"y" * 90, b"z" * 70),
    ]
)
_PIECES = st.lists(st.tuples(_LINES, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=12)


@given(_PIECES, st.lists(st.integers(0, 400), max_size=8))
def test_no_stream_announces_another_place_however_it_is_cut(pieces: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    stream = b"".join(line + ending for line, ending in pieces)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[a:b] for a, b in itertools.pairwise(places)] or [b""]
    out = b"".join(passed_on(*chunks))
    assert out == b"".join(passed_on(stream))
    assert not any(b"evil" in data or data == b"/test/messages" for data in _endpoints(out))
    if b"event: endpoint" not in stream:
        assert out == stream


def _endpoints(stream: bytes) -> list[bytes]:
    """What a client makes of it (WHATWG HTML, 9.2.6)."""
    found, kind, data = [], b"", []
    for line in stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        if not line:
            if kind == b"endpoint" and data:
                found.append(b"\n".join(data))
            kind, data = b"", []
            continue
        field, _colon, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            kind = value
        elif field == b"data":
            data.append(value)
    return found


def test_what_is_no_stream_of_events_passes_as_it_is() -> None:
    for kind in (b"application/json", b"text/plain"):
        assert passed_on(b"event: endpoint\ndata: /x\n\n", kind=kind) == [b"event: endpoint\ndata: /x\n\n"]


def test_nothing_waits_for_more_than_the_end_of_its_line() -> None:
    first, second, third = passed_on(b"event: endpoint\ndata: /test/me", b"ssages\n\n", b'data: {"long": "' + b"x" * 1000)
    assert (first, second) == (b"event: endpoint\n", b"data: /mcp-servers/tools/test/messages\n\n")
    assert len(third) == 1016


def test_a_line_without_an_end_is_dropped_and_not_kept() -> None:
    out = passed_on(b"event: endpoint\ndata: ", *[b"x" * 1000] * 20, b"\n\n", b"data: 1\n\n")
    assert b"x" not in b"".join(out)
    assert out[-1] == b"data: 1\n\n"


def test_what_cannot_stand_in_a_script_is_refused() -> None:
    region = Region()
    region.mcp("tools", 1, path='/sse"..os.exit()..""', message_path="/messages")
    with pytest.raises(ValueError, match="script"):
        announcing_filter(region.inventory.instances[0].services[0])
