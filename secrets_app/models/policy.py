"""Where a key may go, and who may put it there: bind without read.

Whoever may choose where a gateway sends a key could otherwise have it sent to themselves. So every key has a policy, and a key that is
new has none but "nowhere". Destinations are data here: what they are, gateway/destinations.py computes.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext as now
from django.utils.translation import gettext_lazy as _

from secrets_app.errors import Invalid
from secrets_app.hosts import NoHost, canonical, origin
from secrets_app.texts import listed

CONSUMER, AI_SERVICE, AGENT_SERVICE, MCP_SERVICE, PLUGIN = "consumer", "ai_service", "agent_service", "mcp_service", "plugin"
KINDS: dict[str, Promise] = {
    CONSUMER: _("consumers"),
    AI_SERVICE: _("AI services"),
    AGENT_SERVICE: _("Agent services"),
    MCP_SERVICE: _("MCP services"),
    PLUGIN: _("plug-ins"),
}
SENDING = (AI_SERVICE, AGENT_SERVICE, MCP_SERVICE)  # kinds that do nothing with a key but send it
HOSTS, HEADERS, INSTANCES, TEAMS = 50, 50, 200, 50  # at most, of one policy

_HEADER = re.compile(r"\??[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_SCRIPT = re.compile(r"plugin:[a-z0-9_-]{1,63}@[0-9a-f]{16}")
_ANY_HEADER = "*"


@dataclass(frozen=True, slots=True)
class Destination:
    """One way that a key would go. `host` is an origin (secrets_app/hosts.py), a script ("plugin:<name>@<digest>"), or empty where callers
    present the key and it is sent nowhere. `instance` is empty for a consumer, which every instance knows. `header` is in lower case,
    "?name" for a query parameter, "*" where it could be any, and empty where there is no host."""

    kind: str
    host: str = ""
    instance: str = ""
    header: str = ""

    def __str__(self) -> str:
        """For the audit log and for errors; no part of it is a secret."""
        text = str(KINDS.get(self.kind, self.kind))
        if self.host:
            text = now("%(kind)s to %(host)s") % {"kind": text, "host": self.host}
        if self.header and self.header != _ANY_HEADER:
            text = now("%(so_far)s in %(header)s") % {"so_far": text, "header": self.header}
        return f"{text} ({self.instance})" if self.instance else text


@dataclass(frozen=True, slots=True)
class Policy:
    """Empty `instances`, `headers` and `teams` mean any; empty `hosts` none, and empty `kinds` that the key goes nowhere at all."""

    open: bool = False
    kinds: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()

    @property
    def closed(self) -> bool:
        return not self.open and not self.kinds

    def refuses(self, to: Destination) -> str:
        """What of the destination is outside: "kind", "host", "instance", "header"; empty when nothing is."""
        if self.open:
            return ""
        if to.kind not in self.kinds:
            return "kind"
        if to.host and not any(_covers(pattern, to.host) for pattern in self.hosts):
            return "host"
        if to.instance and self.instances and to.instance not in self.instances:
            return "instance"
        if to.header and self.headers and to.header not in self.headers:
            return "header"
        return ""

    def lets_bind(self, teams: Iterable[UUID]) -> bool:
        return not self.teams or bool({str(team) for team in teams} & set(self.teams))

    def with_these(self, destinations: Iterable[Destination]) -> "Policy":
        """Just so much wider that it takes them."""
        wider = self
        for to in destinations:
            if wider.refuses(to):
                wider = wider._with(to)
        return wider

    def _with(self, to: Destination) -> "Policy":
        placed, sent = set(self.kinds) - {CONSUMER}, self.hosts
        covered = not to.host or any(_covers(pattern, to.host) for pattern in self.hosts)
        headers = self.headers if not to.header or (sent and not self.headers) else _and(self.headers, to.header)
        return replace(
            self,
            kinds=tuple(kind for kind in KINDS if kind in {*self.kinds, to.kind}),
            hosts=self.hosts if covered else _and(_without_earlier(self.hosts, to.host), to.host),
            instances=self.instances if not to.instance or (placed and not self.instances) else _and(self.instances, to.instance),
            headers=() if to.header == _ANY_HEADER else headers,
        )

    def __str__(self) -> str:
        """In words, for errors and the audit log."""
        if self.open:
            return now("any destination")
        if self.closed:
            return now("no destination yet")
        parts = [listed(str(KINDS[kind]) for kind in self.kinds)]
        if self.hosts:
            parts.append(now("to %(hosts)s") % {"hosts": listed(self.hosts)})
        if self.headers:
            parts.append(now("in %(headers)s") % {"headers": listed(self.headers)})
        if self.instances:
            parts.append(now("on %(instances)s") % {"instances": listed(self.instances)})
        return " ".join(parts)


CLOSED, OPEN = Policy(), Policy(open=True)


def nowhere() -> Policy:
    return CLOSED


def checked(
    *,
    kinds: Iterable[str],
    hosts: Iterable[str] = (),
    instances: Iterable[str] = (),
    headers: Iterable[str] = (),
    teams: Iterable[UUID | str] = (),
    open: bool = False,
) -> Policy:
    """A policy in its one spelling. Raises Invalid (fields kinds, hosts, instances, headers, teams)."""
    errors: dict[str, list[str]] = {}
    kinds, named = set(kinds), tuple(dict.fromkeys(str(team) for team in teams))
    if open:
        return Policy(open=True, teams=named)
    if kinds - KINDS.keys():
        errors["kinds"] = [str(_("Choose among those listed."))]
    patterns = _each(hosts, pattern, "hosts", errors)
    names = _each(headers, _header, "headers", errors)
    if not patterns and kinds & set(SENDING) and "hosts" not in errors:
        errors["hosts"] = [str(_("Name at least one host: a service sends the key somewhere."))]
    policy = Policy(
        kinds=tuple(kind for kind in KINDS if kind in kinds),
        hosts=patterns if kinds else (),
        instances=tuple(dict.fromkeys(instances)) if kinds else (),
        headers=names if kinds else (),
        teams=named,
    )
    for field, most in {"hosts": HOSTS, "headers": HEADERS, "instances": INSTANCES, "teams": TEAMS}.items():
        if len(getattr(policy, field)) > most:
            errors[field] = [str(_("Name at most %(most)d.") % {"most": most})]
    if errors:
        raise Invalid(errors)
    return policy


def pattern(text: str) -> str:
    """A host as a policy names it: exact, or "*." and a suffix, which stands for the names below it. Raises Invalid (field "hosts")."""
    text = text.strip()
    if _SCRIPT.fullmatch(text):
        return text
    wrong = Invalid({"hosts": [str(_NO_PATTERN % {"text": text[:80]})]})
    whole = text if re.match(r"https?://", text, re.IGNORECASE) else f"https://{text}"
    if not text.isprintable() or any(c.isspace() or c in "\\?#@%" for c in text):
        raise wrong
    try:
        parts = urlsplit(whole)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise wrong from None
    written_first = parts.netloc.lower().startswith(f"[{host}]" if ":" in host else host)  # urlsplit drops what stands before a "["
    if not host or not written_first or parts.path.strip("/") or port == 0 or parts.scheme not in ("http", "https"):
        raise wrong
    below = host.startswith("*.")
    try:
        named = canonical(host.removeprefix("*."))
    except NoHost:
        raise wrong from None
    if below and ("." not in named.rstrip(".") or ":" in named or _is_ip(named)):
        raise Invalid({"hosts": [str(_TOO_WIDE % {"text": text[:80]})]})
    told = origin(parts.scheme, named, port or {"http": 80, "https": 443}[parts.scheme])
    return told if not below else f"http://*.{told.removeprefix('http://')}" if parts.scheme == "http" else f"*.{told}"


_NO_PATTERN = _("“%(text)s” is no host. Write a name such as api.example.com, with its port if it has one, or *.example.com.")
_TOO_WIDE = _("“%(text)s” would take too much in. Behind “*.” stands a name of at least two parts, such as *.example.com.")


def _is_ip(host: str) -> bool:
    return re.fullmatch(r"[0-9.]+", host) is not None


def _header(text: str) -> str:
    name = text.strip()
    if not _HEADER.fullmatch(name) or name == _ANY_HEADER:
        raise Invalid({"headers": [str(_("“%(text)s” is no header name. Write one such as x-api-key.") % {"text": name[:80]})]})
    return name if name.startswith("?") else name.lower()


def _each(texts: Iterable[str], one: Any, field: str, errors: dict[str, list[str]]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for text in texts:
        try:
            found[one(text)] = None
        except Invalid as refused:
            errors.setdefault(field, []).extend(refused.errors[field])
    return tuple(found)


def _covers(pattern: str, host: str) -> bool:
    """The scheme and the port are part of both. A suffix takes names below it, and not itself."""
    if "*." not in pattern:
        return pattern == host
    in_clear = pattern.startswith("http://")
    bare = host.removeprefix("http://")
    if in_clear != host.startswith("http://") or host.startswith("plugin:"):
        return False
    suffix = pattern.removeprefix("http://").removeprefix("*")
    return bare.endswith(suffix) and len(bare) > len(suffix)


def _without_earlier(hosts: tuple[str, ...], host: str) -> tuple[str, ...]:
    """A script takes the place of what it was before it was edited."""
    name, _at, digest = host.partition("@")
    return tuple(one for one in hosts if one.partition("@")[0] != name) if digest else hosts


def _and(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return names if name in names else (*names, name)


if TYPE_CHECKING:
    _TextField = models.TextField[Any, Policy]
else:
    _TextField = models.TextField


class PolicyField(_TextField):
    """As JSON text in one spelling, empty for a key that goes nowhere."""

    if TYPE_CHECKING:
        _pyi_private_set_type: Any

    def from_db_value(self, value: str, expression: Any, connection: Any) -> Policy:
        return parsed(value)

    def get_prep_value(self, value: Any) -> str:
        return value if isinstance(value, str) else written(value)


def written(policy: Policy) -> str:
    told = {name: getattr(policy, name) for name in Policy.__slots__}
    return json.dumps({name: value for name, value in told.items() if value}, separators=(",", ":")) if any(told.values()) else ""


@lru_cache(maxsize=32768)
def parsed(text: str) -> Policy:
    """What is stored and cannot be read lets nothing through."""
    try:
        told = json.loads(text or "{}")
        several = {name: tuple(map(str, told.get(name, ()))) for name in Policy.__slots__ if name != "open"}
        return Policy(open=told.get("open") is True, **several)
    except (ValueError, TypeError, AttributeError):
        return CLOSED
