"""A running Envoy and everything it lets out: answers, dump, statistics, log, access log."""

import contextlib
import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx

from gateway.embedded import Node
from tests.processes import ROOT, eventually

# Becomes Envoy, and dies with these tests.
_PROGRAM = """
import ctypes, signal, sys
from pathlib import Path
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
from gateway.embedded import Node, find_envoy
Node("", Path(sys.argv[1]), "", 0).become(find_envoy(), workers=1)
"""


class Gateway:
    def __init__(self, node: Node, output: Path | None = None) -> None:
        self.node, self._output = node, output or node.folder / "envoy.log"
        command = [sys.executable, "-c", _PROGRAM, str(node.folder)]
        with self._output.open("wb") as out:
            self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.client = httpx.Client(timeout=20, trust_env=False)

    def wait_until_ready(self, within: float = 20.0) -> None:
        """It has its configuration and listens."""

        def ready() -> bool:
            assert self.process.poll() is None, self.log
            return self.is_ready()

        eventually(ready, within=within, every=0.005)

    def is_ready(self) -> bool:
        try:
            return self.admin("/ready").strip() == "LIVE" and bool(self.addresses())
        except OSError:
            return False

    def addresses(self) -> list[tuple[str, int]]:
        listeners = json.loads(self.admin("/listeners?format=json")).get("listener_statuses", [])
        sockets = [listener["local_address"]["socket_address"] for listener in listeners]
        return [(found["address"], found["port_value"]) for found in sockets]

    def admin(self, path: str) -> str:
        return ask_admin(self.node, path)

    @property
    def url(self) -> str:
        ((host, port),) = self.addresses()
        return f"http://{host}:{port}"

    def get(self, path: str, key: str = "", **headers: str) -> httpx.Response:
        """`key` goes where most callers put it."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(self.url + path, headers={**({"authorization": f"Bearer {key}"} if key else {}), **named})

    def status(self, path: str, key: str = "", **headers: str) -> int:
        return self.get(path, key, **headers).status_code

    def send(self, request_line: str, *headers: str) -> tuple[int, bytes]:
        """Status and body of a request sent exactly as written; every client library would tidy it up."""
        with socket.create_connection(self.addresses()[0], timeout=10) as connection:
            head = [request_line, "host: gateway", "connection: close", *headers, "", ""]
            connection.sendall("\r\n".join(head).encode("latin-1"))
            answer = http.client.HTTPResponse(connection, method=request_line.split()[0])
            answer.begin()
            return answer.status, answer.read()

    @property
    def log(self) -> str:
        return self._output.read_text()

    @property
    def access_log(self) -> str:
        return (self.node.folder / "access.log").read_text()

    @property
    def calls(self) -> list[dict[str, object]]:
        """Whole lines only: Envoy writes its log in blocks."""
        return [json.loads(line) for line in self.access_log.rpartition("\n")[0].splitlines()]

    def consumer_of(self, path: str) -> object:
        """Who the access log says called this path of the back end last. Envoy writes its log every second."""

        def found() -> list[object]:
            return [call.get("consumer") for call in self.calls if call.get("path") == path]

        return eventually(found)[-1]

    def everything(self) -> str:
        """Whatever a person with this machine's administration interface and logs can read."""
        pages = [self.admin(path) for path in ("/config_dump?include_eds", "/stats", "/certs", "/clusters", "/listeners", "/server_info")]
        return "\n".join([*pages, self.log, self.access_log, (self.node.folder / "envoy.json").read_text()])

    def stat(self, name: str) -> int:
        return sum(int(line.rpartition(":")[2]) for line in self.admin(f"/stats?filter={name}").splitlines())

    def stop(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait(10)


@contextlib.contextmanager
def running_gateway(folder: Path, name: str, xds_port: int, token: str, ca_bundle: Path | None = None) -> Iterator[Gateway]:
    """Waits for nothing: a test may want to see the start itself."""
    node = Node(name, folder, "127.0.0.1", xds_port)
    node.write(token, ca_bundle)
    gateway = Gateway(node)
    try:
        yield gateway
    finally:
        gateway.stop()


def ask_admin(node: Node, path: str) -> str:
    """What Envoy's own interface answers on the socket in the node's folder."""
    connection = _UnixConnection(str(node.admin_socket))
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    except http.client.HTTPException as broken:
        raise ConnectionError from broken
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
