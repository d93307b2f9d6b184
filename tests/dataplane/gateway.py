"""A running Envoy and everything it lets out: answers, dump, statistics, log, access log."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx

from gateway.embedded import Node, find_envoy
from tests.dataplane.waiting import eventually


class Gateway:
    def __init__(self, node: Node, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self.node, self.process, self._output = node, process, output
        self.client = httpx.Client(timeout=20, trust_env=False)

    @property
    def url(self) -> str:
        ((host, port),) = self.node.addresses()
        return f"http://{host}:{port}"

    def get(self, path: str, key: str = "", **headers: str) -> httpx.Response:
        """`key` goes where most callers put it."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(self.url + path, headers={**({"authorization": f"Bearer {key}"} if key else {}), **named})

    def status(self, path: str, key: str = "", **headers: str) -> int:
        return self.get(path, key, **headers).status_code

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
        pages = [self.node.admin(path) for path in ("/config_dump?include_eds", "/stats", "/certs", "/clusters", "/listeners", "/server_info")]
        return "\n".join([*pages, self.log, self.access_log, (self.node.folder / "envoy.json").read_text()])

    def stat(self, name: str) -> int:
        return sum(int(line.rpartition(":")[2]) for line in self.node.admin(f"/stats?filter={name}").splitlines())

    def stop(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait(10)


@contextlib.contextmanager
def running_gateway(folder: Path, name: str, xds_port: int, token: str, ca_bundle: Path | None = None) -> Iterator[Gateway]:
    """Waits for nothing: a test may want to see the start itself."""
    node = Node(name, folder, "127.0.0.1", xds_port)
    node.write(token, ca_bundle)
    output = folder / "envoy.log"
    with output.open("wb") as out:
        gateway = Gateway(node, node.start(find_envoy(), workers=1, output=out), output)
    try:
        yield gateway
    finally:
        gateway.stop()
