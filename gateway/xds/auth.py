"""Who may speak to the control plane. Every call of every kind is refused unless its token names a node."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import grpc

_SCHEME = "Bearer "


@dataclass(frozen=True, slots=True)
class Identity:
    """A running Envoy, known by its token alone: what it says of itself in `node` counts for nothing."""

    node_id: int
    name: str


class Nodes(Protocol):
    async def identify(self, token: str) -> Identity | None:
        """The node that this token was given to. Compares hashes, so that the time it takes tells nothing of the token."""


# Set for each call by the gate, so no handler can run without it.
caller: ContextVar[Identity] = ContextVar("caller")


class Gate(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Stands before every call, known or not, unary or streaming: a call without a node's token learns nothing and gets nothing."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        identity = await self._nodes.identify(token) if (token := _token(details)) else None
        if identity is None:
            # On the wire a handler of streams fits every kind of call.
            return grpc.stream_stream_rpc_method_handler(_refuse)
        caller.set(identity)
        return await continuation(details)


async def _refuse(_requests: Any, context: Any) -> None:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, "This call needs the token of a node.")


def _token(details: grpc.HandlerCallDetails) -> str:
    given = [value for name, value in details.invocation_metadata if name == "authorization"]
    if len(given) != 1 or not isinstance(given[0], str) or not given[0].startswith(_SCHEME):
        return ""
    return given[0].removeprefix(_SCHEME)
