"""Keys in the query: which parameters a route cuts out before it sends a request on, and the filter that does it.

Envoy has two ways of its own, hiding credentials at authentication and mutating the query. Both write the whole query anew, decoded
and sorted: `?a=%26b=1` arrived as `?a=&b=1`. The names of parameters travel as data, never as part of the script.
"""

from collections.abc import Iterable
from pathlib import Path

from envoy.config.core.v3.base_pb2 import DataSource
from envoy.extensions.filters.http.lua.v3.lua_pb2 import Lua, LuaPerRoute
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from google.protobuf.any_pb2 import Any
from google.protobuf.struct_pb2 import Struct
from google.protobuf.wrappers_pb2 import BoolValue

from gateway.compile.wire import packed
from gateway.names import CUT_PARAMETERS

_SCRIPT = Path(__file__).with_suffix(".lua").read_text()
_NAMES = "parameters"  # as the script knows it


def cutting_filter() -> HttpFilter:
    """Runs on routes that say what to cut, and on no other."""
    script = Lua(default_source_code=DataSource(inline_string=_SCRIPT), clear_route_cache=BoolValue(value=False))
    return HttpFilter(name=CUT_PARAMETERS, typed_config=packed(script), disabled=True)


def cutting(names: Iterable[str]) -> Any:
    context = Struct()
    context.update({_NAMES: dict.fromkeys(names, True)})
    return packed(LuaPerRoute(filter_context=context))


def cut_by(config: Any | None) -> frozenset[str]:
    """The names in what `cutting` made; none in anything else."""
    own = LuaPerRoute()
    if config is None or not config.Unpack(own) or own.WhichOneof("override"):
        return frozenset()
    return frozenset(own.filter_context.fields[_NAMES].struct_value.fields)
