"""The ways into a service: which paths of the gateway lead to which paths of its back end, and with which of its keys."""

from collections.abc import Iterator
from dataclasses import dataclass

from envoy.config.route.v3.route_components_pb2 import HeaderMatcher, RouteAction, RouteMatch
from envoy.type.matcher.v3.regex_pb2 import RegexMatchAndSubstitute, RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from gateway.agents import app_of
from gateway.compile.wire import seconds
from gateway.inventory import Service, Use
from gateway.names import entrance

# A model may think for minutes before its next word; an answer as a whole may take as long as it likes.
_SILENCE = seconds(600)
# A session of MCP may say nothing for as long as nobody calls a tool.
_SESSION = seconds(3600)


@dataclass(frozen=True, slots=True)
class Way:
    """`part` tells it from the service's others. `action` lacks the clusters; `uses` are the keys that calls share, none if empty."""

    part: str
    match: RouteMatch
    action: RouteAction
    uses: tuple[Use, ...]


def ways(service: Service) -> Iterator[Way]:
    if service.kind == "mcp":
        yield from _of_mcp(service)
    elif any(app_of(use.path) for use in service.keys):
        yield from (_of_app(service, use) for use in service.keys)
    else:
        yield Way("", RouteMatch(path_separated_prefix=entrance(service)), _below(service), service.keys)


def _below(service: Service) -> RouteAction:
    action = RouteAction(timeout=seconds(0), idle_timeout=_SILENCE)
    if service.path:
        action.prefix_rewrite = service.path
    else:
        # An empty prefix_rewrite means "none", and "/" would lead to "//chat/completions".
        pattern = RegexMatcher(regex=f"^{entrance(service)}/?")
        action.regex_rewrite.CopyFrom(RegexMatchAndSubstitute(pattern=pattern, substitution="/"))
    return action


def _of_app(service: Service, use: Use) -> Way:
    """With this app's key and no other; what names no app of ours leads nowhere."""
    app = f"/apps/{app_of(use.path)}"
    action = RouteAction(timeout=seconds(0), idle_timeout=_SILENCE, prefix_rewrite=f"{service.path}{app}")
    return Way(app_of(use.path), RouteMatch(path_separated_prefix=f"{entrance(service)}{app}"), action, (use,))


def _of_mcp(service: Service) -> Iterator[Way]:
    """The endpoint alone, and over SSE what lies below the path of messages."""
    action = RouteAction(timeout=seconds(0), idle_timeout=_SESSION, prefix_rewrite=service.path)
    yield Way("", RouteMatch(path=f"{entrance(service)}{service.path}"), action, service.keys)
    if service.message_path:
        posted = HeaderMatcher(name=":method", string_match=StringMatcher(safe_regex=RegexMatcher(regex="POST|OPTIONS")))
        match = RouteMatch(path_separated_prefix=f"{entrance(service)}{service.message_path}", headers=[posted])
        action = RouteAction(timeout=seconds(0), idle_timeout=_SESSION, prefix_rewrite=service.message_path)
        yield Way("messages", match, action, service.keys)
