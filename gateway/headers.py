"""The name of a header that we put a key into, on the way to a back end."""

import re

from django.utils.translation import gettext_lazy as _

from gateway.sources import TAKEN_HEADERS, TAKEN_PREFIXES

_TOKEN = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")  # RFC 9110, 5.1, in lower case as HTTP/2 has it
_SCHEME = re.compile(r"([A-Za-z][A-Za-z-]{0,15} )?")

# As for callers, but that back ends do take keys in Authorization; and what belongs to one connection (RFC 9110, 7.6.1) or one message.
_TAKEN = (TAKEN_HEADERS - {"authorization"}) | {
    "alt-svc", "http2-settings", "proxy-authenticate", "proxy-authorization", "server", "set-cookie", "www-authenticate",
}  # fmt: skip


def check_header(name: str) -> dict[str, list[str]]:
    """Errors of the field "header", empty when a key may travel in it. `name` in lower case."""
    if not _TOKEN.fullmatch(name):
        return _wrong("header", _("Enter a header name of letters, digits and hyphens, such as x-api-key."))
    if name in _TAKEN or name.startswith(TAKEN_PREFIXES):
        return _wrong("header", _("This header has a meaning of its own. Choose another, such as Authorization or x-api-key."))
    return {}


def check_prefix(prefix: str) -> dict[str, list[str]]:
    """Errors of the field "prefix": nothing, or one word of letters and a space. It is stored in the clear, so no key may fit into it."""
    if _SCHEME.fullmatch(prefix):
        return {}
    return _wrong("prefix", _("Enter one word of up to 16 letters followed by a space, such as “Bearer ”, or nothing."))


def _wrong(field: str, message: object) -> dict[str, list[str]]:
    return {field: [str(message)]}
