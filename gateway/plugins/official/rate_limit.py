"""rate-limit: how many requests in a period, counted by each node for itself."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from gateway.plugins.base import Config, Finding, Limit, Native, Official
from gateway.plugins.envoy import noting
from gateway.sources import Source, check_source

PERIODS = {"query_per_second": 1, "query_per_minute": 60, "query_per_hour": 3600, "query_per_day": 86400}  # seconds
REJECTED = [429, 403, 503]  # the gateway's own answers are prepared for these

_COUNTS: dict[str, Any] = {
    "query_per_second": {"type": "integer", "description": _("Requests a second."), "minimum": 1, "maximum": 1_000_000},
    "query_per_minute": {"type": "integer", "description": _("Requests a minute."), "minimum": 1, "maximum": 1_000_000},
    "query_per_hour": {"type": "integer", "description": _("Requests an hour."), "minimum": 1, "maximum": 1_000_000},
    "query_per_day": {"type": "integer", "description": _("Requests a day."), "minimum": 1, "maximum": 1_000_000},
}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "global_threshold": {
            "type": "object",
            "description": _("For all requests of the service together."),
            "additionalProperties": False,
            "properties": _COUNTS,
        },
        "limit_by_header": {
            "type": "string",
            "description": _("The header whose value “limit_keys” compares."),
            "minLength": 1,
            "maxLength": 64,
        },
        "limit_keys": {
            "type": "array",
            "description": _("A limit of its own for each value of that header. Other values fall under “global_threshold”."),
            "minItems": 1,
            "maxItems": 100,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["key"],
                "properties": {
                    "key": {"type": "string", "description": _("The header's value, whole."), "minLength": 1, "maxLength": 256},
                    **_COUNTS,
                },
            },
        },
        "rejected_code": {
            "type": "integer",
            "default": REJECTED[0],
            "description": _("The status of the answer to a request too many."),
            "enum": REJECTED,
        },
    },
}

EXAMPLE = """\
global_threshold:
  query_per_minute: 600
limit_by_header: x-team
limit_keys:
- key: research
  query_per_minute: 60
"""


def check(config: Config, level: str) -> list[Finding]:
    found: list[Finding] = []
    if ("limit_by_header" in config) != ("limit_keys" in config):
        found.append(((), _("“limit_by_header” and “limit_keys” belong together: one is missing.")))
    elif "global_threshold" not in config and "limit_keys" not in config:
        found.append(((), _("Enter “global_threshold”, or “limit_by_header” with “limit_keys”.")))
    if "limit_by_header" in config and (wrong := check_source(Source("header", config["limit_by_header"].lower()))):
        found.append((("limit_by_header",), next(iter(wrong.values()))[0]))
    places: list[tuple[Any, Config]] = [(("global_threshold",), config["global_threshold"])] if "global_threshold" in config else []
    seen: set[str] = set()
    for number, row in enumerate(config.get("limit_keys", ())):
        places.append((("limit_keys", number), row))
        if row["key"] in seen:
            found.append((("limit_keys", number, "key"), _("This value stands here twice.")))
        seen.add(row["key"])
    text = _("Enter exactly one of: %(names)s.") % {"names": ", ".join(PERIODS)}
    found += [(path, text) for path, counts in places if len(PERIODS.keys() & counts.keys()) != 1]
    return found


def native(config: Config, level: str, above: Config | None = None) -> Native:
    header = config.get("limit_by_header", "").lower()
    rows = config.get("limit_keys", ())
    limits = [Limit({"headers": [{"name": header, "string_match": {"exact": row["key"]}}]}, _bucket(row)) for row in rows]
    if "global_threshold" in config:
        limits.append(Limit(_none_of(header, [row["key"] for row in rows]), _bucket(config["global_threshold"])))
    code = config.get("rejected_code", REJECTED[0])
    return Native(filters=(noting(rejected=str(code)),) if code != REJECTED[0] else (), limits=tuple(limits))


def _bucket(counts: Config) -> dict[str, Any]:
    """Full at first, and filled evenly: at 60 a minute one request more may pass each second."""
    ((period, seconds),) = ((name, seconds) for name, seconds in PERIODS.items() if name in counts)
    return {"max_tokens": counts[period], "tokens_per_fill": counts[period], "fill_interval": f"{seconds}s"}


def _none_of(header: str, values: list[str]) -> dict[str, Any]:
    """Every request that has no limit of its own by one of these values."""
    if not values:
        return {"headers": [{"name": ":path", "present_match": True}]}
    other = {"name": header, "invert_match": True, "treat_missing_header_as_empty": True}
    return {"headers": [other | {"string_match": {"exact": value}} for value in values]}


PLUGIN = Official(
    name="rate-limit",
    title=_("Rate limit"),
    summary=_("Refuses requests beyond a number in a period."),
    documentation=(
        _("Each node counts for itself: with three nodes, three times as many requests pass."),
        _("Each service is counted by itself, also under a rule of the instance. A request too many gets 429."),
    ),
    version="1.0.0",
    phase="authentication",
    priority=380,
    schema=SCHEMA,
    example=EXAMPLE,
    no_secret={
        "limit_keys[*].key": _(
            "What is compared here stands readable in the gateway's configuration. Use a header that tells callers apart and is no "
            "credential."
        )
    },
    check=check,
    native=native,
)
