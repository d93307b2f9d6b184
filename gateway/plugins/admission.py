"""What the plugins that let callers in have in common: how a caller is asked, noted, named to the back end, and turned away."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from gateway.names import CALLER_HEADER, METADATA, NAME_HEADER
from gateway.plugins.base import Accepted, Config, Native
from gateway.plugins.envoy import key_sources, noting, typed
from gateway.plugins.identity import only_authorizes
from gateway.sources import Source

_CLIENT = "^(.*)/[0-9]+~[01]$"  # alice/0~1


def admitting(config: Config, above: Config | None, admit: Callable[[Config], Native]) -> Native:
    """A rule that says who callers are, or one that says who of those of the rule above may call."""
    if not only_authorizes(config):
        return admit(config)
    if above is None:
        return Native(filters=(_only([]),))
    native = admit(above)
    return replace(native, filters=(*native.filters, _only(config["allow"])))


def by_key(accepted: list[Accepted], sources: Iterable[Source], *, asks: str, challenge: str, named: bool) -> Native:
    """Callers who present one of these in the first of the places where there is anything.

    The key stays on the request until nothing reads it any more: Envoy's own hiding takes only the one that it looked at, and
    writes a query anew.
    """
    sources = tuple(sources)
    authentication = typed(
        "api_key_auth.v3.ApiKeyAuth",
        credentials=accepted,
        key_sources=key_sources(sources),
        forwarding={"header": CALLER_HEADER, "hide_credentials": False},
    )
    filters = [noting(asks=asks, challenge=challenge), authentication, _noted(named), *([_named()] if named else []), _asked_no_more()]
    return Native(filters=tuple(filters), looks_at=sources)


def by_header(names: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Names the caller after the header that is there: (header, name). The headers go."""
    rules = []
    for header, name in names:
        rules.append(_on(header, "caller", value=name))
        rules.append(_on(header, "name", value=name) | {"remove": True})
    return [typed("header_to_metadata.v3.Config", request_rules=rules), _named()]


def _noted(named: bool) -> dict[str, Any]:
    """Who was let in, with the number of the credential and its version for the log, and the bare name for everybody else."""
    rules = [_on(CALLER_HEADER, "caller")]
    if named:
        bare = {"pattern": {"regex": _CLIENT}, "substitution": "\\1"}
        rules.append(_on(CALLER_HEADER, "name", regex_value_rewrite=bare))
    rules[-1]["remove"] = True
    return typed("header_to_metadata.v3.Config", request_rules=rules)


def _on(header: str, key: str, **value: Any) -> dict[str, Any]:
    return {"header": header, "on_header_present": {"metadata_namespace": METADATA, "key": key, **value}}


def _named() -> dict[str, Any]:
    header = {"key": NAME_HEADER, "value": f"%DYNAMIC_METADATA({METADATA}:name)%"}
    mutation = {"append": {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
    return typed("header_mutation.v3.HeaderMutation", mutations={"request_mutations": [mutation]})


def _asked_no_more() -> dict[str, Any]:
    """Whoever asks next has a challenge of its own, or none."""
    return noting(asks="", challenge="")


def _only(names: Iterable[str]) -> dict[str, Any]:
    """Without a policy nobody passes."""
    principals = [{"header": {"name": NAME_HEADER, "string_match": {"exact": name}}} for name in names]
    policies = {"allow": {"permissions": [{"any": True}], "principals": principals}} if principals else {}
    return typed("rbac.v3.RBAC", rules={"action": "ALLOW", "policies": policies})
