"""Where keys go: the destinations (secrets_app/models/policy.py) of every place that can hold one.

| place | destination |
|---|---|
| credential or token of a consumer | none outbound: callers present the key, and what they present is taken off before a back end |
| | sees the request, whatever the source. Kind "consumer" |
| AI, Agent and MCP service | its host, in its header. Apps and paths lie below the same host |
| rule that lets callers in | none outbound. Kind "plugin", on its instance |
| transformer | the host of every service that the rule is for, one that is made tomorrow as well; in the header or parameter |
| | named, and in those that the same rule renames or copies it to |
| ext-auth | the host that it asks, in the header named |
| custom plug-in | its script, by a digest of its text: an edit of the script is another one. From there the key may go on in any |
| | header to the host of every service that the rule is for, and to the hosts that ext-auth rules ask there |
| any of those, where a custom plug-in runs too | that plug-in's script as well: it sees the whole request |
| plug-in that does not say where it sends | "?", which only an open policy takes: unsure is refused |

A value of a holder's own has a policy too: the one host that it was entered for.

What leads elsewhere without anybody editing the holder of the key, and where it is looked at:
- a service made, or given another address, below a rule of its instance; a rule of a service disabled or deleted, so that the
  instance's takes its place; another script; a second plug-in beside the first: gateway/models/reaching.py, in those deeds;
- references moved to another key: gateway/moving.py; an instance-level rule and a service made in the same moment: both deeds hold
  the instance's row;
- whatever came about otherwise (rows changed by hand, a policy that nothing may go by any more): stocktaking withholds the key, and
  compiling closes the one place (Problem "policy").

Not held back: gateways follow no redirect, forward no CONNECT, and a call cannot leave the host of its service. What a host's name leads
to (DNS, hosts files) and what whoever answers there does with a key is not looked at: name only hosts of which every address and every
path is trusted, and behind "*." only suffixes whose names one party gives out. What callers themselves present in a request is theirs:
an ext-auth service is shown it, and a custom script in front of the authentication may see it, as both say; a key of a consumer opens
nothing but what those who write such rules may open anyway.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from gateway.address import parse_address
from gateway.inventory import Rule
from gateway.plugins.base import INSTANCE, SERVICE
from gateway.plugins.examine import examine
from gateway.plugins.installed import plugin_of, script_name
from gateway.plugins.paths import written
from secrets_app.models.policy import CONSUMER, PLUGIN, Destination, Policy

ANY_HEADER = "*"
NOBODY_KNOWS = "?"

Ruled = tuple[int | None, Rule]  # a rule, and the service that it is for; None: the instance


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where the value at one place of a rule goes by itself. `host` is empty for the back ends of the services that the rule is for."""

    path: str
    key_id: UUID
    host: str
    headers: tuple[str, ...]
    to_script: bool


@dataclass(frozen=True, slots=True)
class Outlets:
    """Of one rule. `asks`: hosts that it calls; `script`: the one that it runs, which sees all that stands on a request."""

    sent: tuple[Outlet, ...] = ()
    asks: tuple[str, ...] = ()
    script: str = ""


@dataclass(frozen=True, slots=True)
class Stray:
    """A key that a rule would send, for one service, where the key's policy does not let it go."""

    service: int
    rule: int
    path: str
    key_id: UUID
    to: Destination


def of_consumer() -> Destination:
    return Destination(CONSUMER)


def of_service(kind: str, origin: str, header: str, instance: str) -> Destination:
    """`kind` as services have it: "ai". `instance` by its ref."""
    return Destination(f"{kind}_service", origin, instance, header)


def of_rule(instance: str) -> Destination:
    """Of any key that a rule names, wherever else it goes."""
    return Destination(PLUGIN, instance=instance)


def strays(instance: str, hosts: Mapping[int, str], rules: Iterable[Ruled], policies: Mapping[UUID, Policy]) -> Iterator[Stray]:
    """What the rules of an instance would send outside, by service. `hosts` are the services' origins; a key without a policy may go
    nowhere. Costs nothing where no rule sends a key."""
    everywhere: dict[str, Rule] = {}
    own: dict[int, dict[str, Rule]] = defaultdict(dict)
    for service, rule in rules:
        (everywhere if service is None else own[service])[rule.plugin] = rule
    levels = {rule.id: SERVICE for of_service in own.values() for rule in of_service.values()}
    judged: dict[tuple[UUID, Destination], bool] = {}
    for service, host in hosts.items():
        effective = [(rule, outlets(rule, levels.get(rule.id, INSTANCE))) for rule in (everywhere | own.get(service, {})).values()]
        if not any(found.sent for _rule, found in effective):
            continue
        for rule, found in effective:
            for outlet in found.sent:
                for to in _reached(outlet, host, [other for _rule, other in effective], instance):
                    if (outlet.key_id, to) not in judged:
                        judged[outlet.key_id, to] = bool(policies.get(outlet.key_id, Policy()).refuses(to))
                    if judged[outlet.key_id, to]:
                        yield Stray(service, rule.id, outlet.path, outlet.key_id, to)


def _reached(outlet: Outlet, host: str, beside: Iterable[Outlets], instance: str) -> Iterator[Destination]:
    """For one service, whose host this is and whose rules those."""
    if outlet.host:
        yield from (Destination(PLUGIN, outlet.host, instance, header) for header in outlet.headers or ("",))
        return
    yield from (Destination(PLUGIN, host, instance, header) for header in outlet.headers)
    for found in beside:
        if found.script:
            yield Destination(PLUGIN, found.script, instance)
        if outlet.to_script:
            yield from (Destination(PLUGIN, asked, instance, ANY_HEADER) for asked in found.asks)


@lru_cache(maxsize=4096)
def outlets(rule: Rule, level: str) -> Outlets:
    """A rule whose text does not pass closes its routes, and sends nothing."""
    plugin = plugin_of(rule)
    document, faults = examine(plugin, rule.text, level)
    if faults:
        return Outlets()
    keys = {name.lower(): use.key_id for name, use in rule.keys}
    sent = {found.path: found for found in plugin.sends(document.tree)}
    outgoing = [placed for placed in document.refs if (secret := plugin.secret_at(placed.path)) and not secret.inbound]
    found = []
    for placed in outgoing:
        path, key_id = written(placed.path), keys.get(placed.ref.name.lower())
        if key_id is None:
            continue  # no such key: the rule is closed
        how = sent.get(placed.path)
        host = NOBODY_KNOWS if how is None else parse_address(how.address).origin if how.address else ""
        found.append(Outlet(path, key_id, host, how.headers if how else (), bool(how and how.to_script)))
    asks = tuple(parse_address(address).origin for _path, address in plugin.destinations(document.tree))
    return Outlets(tuple(found), asks, script_name(rule.plugin, rule.script) if rule.script else "")
