"""Where a caller puts its credential: the documented three places, checked for what Envoy can look at."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.text import get_text_list
from django.utils.translation import gettext as now
from django.utils.translation import gettext_lazy as _

SOURCES_A_CONSUMER = 3  # as documented; several are headers all of them
SOURCES_A_REGION = 16  # distinct places where the gateways of a region look for a credential; each costs a look at every request

# Not all that RFC 9110 (5.1) lets stand in a name: people paste it into a shell with the rest of the line that we show them.
_TOKEN = re.compile(r"[a-z0-9._-]{1,64}")
_PARAMETER = re.compile(r"[A-Za-z0-9_.~-]{1,64}")

# What clients, SDKs, proxies and suppliers send or read anyway. As a place for keys it would be taken from every request in the region,
# and a caller whose own credential comes in a later place would be refused for what stands there.
TAKEN_HEADERS = frozenset(
    {
        "accept", "authorization", "baggage", "cache-control", "cdn-loop", "connection", "cookie", "date", "expect", "forwarded", "from",
        "host", "idempotency-key", "keep-alive", "last-event-id", "max-forwards", "origin", "pragma", "priority", "proxy-connection",
        "range", "referer", "te", "traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade", "user-agent", "via",
        "x-client-request-id", "x-goog-api-client", "x-goog-user-project", "x-request-id",
    }
)  # fmt: skip
TAKEN_PREFIXES = (
    "accept-", "anthropic-", "content-", "if-", "mcp-", "openai-", "sec-", "x-dashscope-", "x-envoy-", "x-forwarded-", "x-latchkey-",
    "x-stainless-",
)  # fmt: skip
_TAKEN_PARAMETERS = frozenset({"alt", "api-version"})


@dataclass(frozen=True, slots=True)
class Source:
    kind: str  # "bearer" (Authorization: Bearer), "header", "query"
    name: str  # header name in lower case, or parameter name; "authorization" for bearer

    def __str__(self) -> str:
        named = {"header": f"header {self.name}", "query": f"query parameter {self.name}"}
        return named.get(self.kind, "Authorization: Bearer")


BEARER = Source("bearer", "authorization")


def in_words(sources: Sequence[Source]) -> str:
    """ "header x-api-key or Authorization: Bearer" """
    return str(get_text_list([str(source) for source in sources], now("or")))


def check_source(source: Source) -> dict[str, list[str]]:
    """Errors by field, empty when Envoy can look there and nothing else lives there."""
    if source == BEARER:
        return {}
    if source.kind == "header":
        if not _TOKEN.fullmatch(source.name):
            return _wrong(_("Enter a header name of letters, digits and hyphens, such as x-api-key."))
        if source.name in TAKEN_HEADERS or source.name.startswith(TAKEN_PREFIXES):
            return _wrong(_("Requests use this header for other things. Choose another, such as x-api-key."))
        return {}
    if source.kind == "query":
        if not _PARAMETER.fullmatch(source.name):
            return _wrong(_("Enter a parameter name of letters, digits, hyphens and underscores, such as api_key."))
        if source.name.lower() in _TAKEN_PARAMETERS:
            return _wrong(_("Requests use this parameter for other things. Choose another, such as api_key."))
        return {}
    return {"source_kind": [str(_("Choose one of the sources listed."))]}


def check_sources(sources: Sequence[Source]) -> dict[str, list[str]]:
    """Errors of one consumer's sources, by field: source_kind, or source_0, source_1, ..."""
    if not sources or len(sources) > SOURCES_A_CONSUMER:
        return {"source_kind": [str(_("Choose one to %(most)d sources.") % {"most": SOURCES_A_CONSUMER})]}
    if len(sources) > 1 and any(source.kind == "query" for source in sources):
        return {"source_kind": [str(_("A query parameter is a consumer's only source. Several are headers all of them."))]}
    errors: dict[str, list[str]] = {}
    for place, source in enumerate(sources):
        for field, texts in check_source(source).items():
            errors[f"source_{place}" if field == "source_name" else field] = texts
        if source in sources[:place]:
            errors[f"source_{place}"] = [str(_("This header is named twice. Each one is enough once."))]
    return errors


def _wrong(message: object) -> dict[str, list[str]]:
    return {"source_name": [str(message)]}
