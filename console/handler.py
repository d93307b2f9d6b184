"""What stands between the server and everything of ours. What Django raises here, no page of ours could answer any more."""

from typing import Any

from django.conf import settings
from django.core.exceptions import BadRequest
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.http import parse_header_parameters

UNREADABLE = {"charset": "unreadable"}


class Request(WSGIRequest):
    """Its text is UTF-8, whatever its Content-Type says: the door refuses what says otherwise. Django would take any codec of Python's
    for a charset, also those that make no text of bytes (rot13, zlib), and fail on them."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
        except (ValueError, TypeError):  # the second from Python, of "x*=a; x*1=b"
            self.content_type, self.content_params = "", UNREADABLE

    def _load_post_and_files(self) -> None:
        try:
            super()._load_post_and_files()
        except TypeError:  # likewise, in the headers of a part
            self._mark_post_parse_error()  # type: ignore[attr-defined]
            raise BadRequest("The parts of this form cannot be told apart.") from None


class Handler(WSGIHandler):
    request_class = Request

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if settings.SECURE:  # TLS ends in front of us, and not every proxy says so: no link of ours leads a token around it
            environ["wsgi.url_scheme"] = "https"
        return super().__call__(environ, start_response)
