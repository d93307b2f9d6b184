"""Where an MCP server over SSE says that messages go, told to clients as the gateway's own path. Part of the service's clusters.

In a cluster rather than in the listener: changing a listener drains it, and only this service's answers pass through the script.
"""

from pathlib import Path

from envoy.config.core.v3.base_pb2 import DataSource
from envoy.extensions.filters.http.lua.v3.lua_pb2 import Lua
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter

from gateway.compile.wire import authority, bracketed, packed
from gateway.inventory import Service
from gateway.names import entrance

_SCRIPT = Path(__file__).with_suffix(".lua").read_text()


def announcing_filter(service: Service) -> HttpFilter:
    hosts = sorted({authority(service), f"{bracketed(service.host)}:{service.port}"})
    known = {"ENTRANCE": _quoted(entrance(service)), "ENDPOINT": _quoted(service.path), "MESSAGES": _quoted(service.message_path)}
    known["AUTHORITIES"] = f"{{{', '.join(f'[{_quoted(host)}] = true' for host in hosts)}}}"
    lines = "".join(f"local {name} = {value}\n" for name, value in known.items())
    script = Lua(default_source_code=DataSource(inline_string=lines + _SCRIPT))
    return HttpFilter(name="envoy.filters.http.lua", typed_config=packed(script))


def _quoted(text: str) -> str:
    """As Lua reads it. Names, hosts and paths are checked when they are saved; what is not plain here is no program."""
    if not text.isascii() or not text.isprintable() or set(text) & {'"', "\\"}:
        raise ValueError("What stands in a service cannot stand in a script.")
    return f'"{text}"'
