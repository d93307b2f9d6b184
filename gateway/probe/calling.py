"""One HTTP call with a key, on the standard library's client: that does one request, follows no redirect, and lets us open the socket
ourselves, to the very address that was looked at. Nothing else is tried, and all of it ends with the time it is given."""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.address import IP, Address
from gateway.probe.asking import Question

TIME = 10.0  # seconds for all of it
TO_CONNECT = 5.0
LIMIT = 16 * 1024  # bytes of an answer that are read
_ENDS = 3  # addresses of a name that are tried


class CallFailed(Exception):
    """`code`: "unknown_name", "no_connection", "tls", "too_slow", "no_http". `detail` is for people and holds nothing of what was sent."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code, self.detail = code, detail


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    kind: str  # of the Content-Type, in lower case: "application/json"
    plain: bool  # not packed
    body: bytes
    milliseconds: int  # until the status was there


def call(address: Address, ends: list[IP], question: Question, key: tuple[str, bytes] | None, ca_bundle: Path | None) -> Reply:
    """`key` is the header that shows it, and all that stands in it. Raises CallFailed."""
    began = time.monotonic()
    ended = threading.Event()
    try:
        with _connected(address, ends, ca_bundle) as connected, _ending(connected, began + TIME, ended):
            if isinstance(connected, ssl.SSLSocket):
                connected.do_handshake()
            return _asked(connected, address, question, key, began)
    except ssl.SSLCertVerificationError as refused:
        raise CallFailed("tls", refused.verify_message) from None
    except ssl.SSLError as refused:
        raise CallFailed("too_slow" if ended.is_set() else "tls", refused.reason or "") from None
    except TimeoutError:
        raise CallFailed("too_slow") from None
    except (OSError, http.client.HTTPException, ValueError):
        raise CallFailed("too_slow" if ended.is_set() else "no_http") from None


def _asked(connected: socket.socket, address: Address, question: Question, key: tuple[str, bytes] | None, began: float) -> Reply:
    client = http.client.HTTPConnection(address.host, address.port)
    client.sock = connected
    client.putrequest(question.method, question.path, skip_host=True, skip_accept_encoding=True)
    for name, value in (("Host", _authority(address)), ("User-Agent", "latchkey"), ("Accept-Encoding", "identity"), *question.headers):
        client.putheader(name, value)
    if key:
        client.putheader(*key)
    if question.body:
        client.putheader("Content-Length", str(len(question.body)))
    client.endheaders(question.body or None)
    answer = client.getresponse()
    took = int((time.monotonic() - began) * 1000)
    kind = answer.headers.get_content_type()
    packed = answer.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")
    body = _event(answer) if kind == "text/event-stream" else answer.read(LIMIT)
    return Reply(answer.status, kind, not packed, body, took)


def _event(answer: http.client.HTTPResponse) -> bytes:
    """The first one of a stream that may never end."""
    lines: list[bytes] = []
    while sum(map(len, lines)) < LIMIT and (line := answer.readline(LIMIT)):
        if not line.strip() and lines:
            break
        lines.append(line)
    return b"".join(lines)


@contextmanager
def _connected(address: Address, ends: list[IP], ca_bundle: Path | None) -> Iterator[socket.socket]:
    if not ends:
        raise CallFailed("unknown_name")
    connected = None
    for end in ends[:_ENDS]:
        with contextlib.suppress(OSError):
            connected = socket.create_connection((str(end), address.port), TO_CONNECT)
            break
    if connected is None:
        raise CallFailed("no_connection")
    if address.scheme == "https":
        trusted = ssl.create_default_context(cafile=str(ca_bundle) if ca_bundle else None)
        connected = trusted.wrap_socket(connected, server_hostname=address.host, do_handshake_on_connect=False)
    with connected:
        yield connected


@contextmanager
def _ending(connected: socket.socket, deadline: float, ended: threading.Event) -> Iterator[None]:
    """A peer that sends one byte at a time is cut off as well: its reads each end in time, and all of them together would not."""

    def end() -> None:
        ended.set()
        with contextlib.suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _authority(address: Address) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return host if address.port == {"http": 80, "https": 443}[address.scheme] else f"{host}:{address.port}"
