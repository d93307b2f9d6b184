"""What stands between the server and everything of ours. What Django raises here, no page of ours could answer any more."""

from typing import Any

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.http import parse_header_parameters

UNREADABLE = {"charset": "unreadable"}


class Request(WSGIRequest):
    """Its text is UTF-8, whatever its Content-Type says: the door refuses what says otherwise. Django would take any codec of Python's
    for a charset, also those that make no text of bytes (rot13, zlib), and fail on them."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
        except ValueError:
            self.content_type, self.content_params = "", UNREADABLE


class Handler(WSGIHandler):
    request_class = Request
