"""MCP servers that the gateway proxies as they are: their transports, names and paths."""

import re

from django.utils.translation import gettext_lazy as _

STREAMABLE_HTTP, SSE = "streamable-http", "sse"
TRANSPORTS = {STREAMABLE_HTTP: "Streamable HTTP", SSE: "SSE"}
USUAL_PATHS = {STREAMABLE_HTTP: "/mcp", SSE: "/sse"}
USUAL_MESSAGE_PATH = "/messages"

_NAME = re.compile(r"(?=.{1,64}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_PATH = re.compile(r"/|(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+/?")
_LONGEST_PATH = 200


def initialize(client: str) -> dict[str, object]:
    """The handshake that a client of this name begins with: it costs a server nothing."""
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": client, "version": "1"}}
    return {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}


def check_mcp_name(name: str) -> dict[str, list[str]]:
    """Errors of the field "name", for its letters alone. The documented pattern."""
    if _NAME.fullmatch(name):
        return {}
    text = _("Use 1 to 64 lower-case letters, digits, hyphens and dots; a letter or a digit stands at each end and beside each dot.")
    return {"name": [str(text)]}


def check_path(path: str, field: str) -> dict[str, list[str]]:
    """Errors of the field, empty for a path of the back end that we can match as it stands."""
    if len(path) > _LONGEST_PATH:
        return {field: [str(_("Use at most %(limit)d characters.") % {"limit": _LONGEST_PATH})]}
    if not _PATH.fullmatch(path) or any(step in (".", "..") for step in path.split("/")):
        text = _("Enter a path such as /mcp: letters, digits and - . _ ~ between single slashes, and no . or .. step.")
        return {field: [str(text)]}
    return {}


def check_message_path(path: str) -> dict[str, list[str]]:
    """Errors of the field "message_path". The root is none: it would open every path of the host to whoever may post messages."""
    if path == "/":
        return {"message_path": [str(_("Enter the path below which the server takes messages, such as /messages."))]}
    return check_path(path, "message_path")
