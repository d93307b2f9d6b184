"""Where a caller puts its credential: the documented three places, checked for what Envoy can look at."""

import re
from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

SOURCES_A_REGION = 16  # distinct places where the gateways of a region look for a credential; each costs a look at every request

_TOKEN = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")
_PARAMETER = re.compile(r"[A-Za-z0-9_.~-]{1,64}")
_TAKEN_HEADERS = {"authorization", "connection", "content-length", "content-type", "cookie", "host", "te", "transfer-encoding", "upgrade"}
_TAKEN_PREFIXES = ("x-envoy-", "x-forwarded-", "x-latchkey-")


@dataclass(frozen=True, slots=True)
class Source:
    kind: str  # "bearer" (Authorization: Bearer), "header", "query"
    name: str  # header name in lower case, or parameter name; "authorization" for bearer

    def __str__(self) -> str:
        named = {"header": f"header {self.name}", "query": f"query parameter {self.name}"}
        return named.get(self.kind, "Authorization: Bearer")


BEARER = Source("bearer", "authorization")


def check_source(source: Source) -> dict[str, list[str]]:
    """Errors by field, empty when Envoy can look there and nothing else lives there."""
    if source == BEARER:
        return {}
    if source.kind == "header":
        if not _TOKEN.fullmatch(source.name):
            return _wrong(_("Enter a header name of letters, digits and hyphens, such as x-api-key."))
        if source.name in _TAKEN_HEADERS or source.name.startswith(_TAKEN_PREFIXES):
            return _wrong(_("This header has a meaning of its own. Choose another, such as x-api-key."))
        return {}
    if source.kind == "query":
        return (
            {}
            if _PARAMETER.fullmatch(source.name)
            else _wrong(_("Enter a parameter name of letters, digits, hyphens and underscores, such as api_key."))
        )
    return {"source_kind": [str(_("Choose one of the sources listed."))]}


def _wrong(message: object) -> dict[str, list[str]]:
    return {"source_name": [str(message)]}
