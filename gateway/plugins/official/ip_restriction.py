"""ip-restriction: who may call, by the address of the connection."""

import ipaddress
from typing import Any

from django.utils.translation import gettext_lazy as _

from gateway.plugins.base import Config, Finding, Native, Official
from gateway.plugins.envoy import typed

_RANGES: dict[str, Any] = {
    "type": "array",
    "items": {"type": "string", "minLength": 2, "maxLength": 64},
    "maxItems": 1000,
    "uniqueItems": True,
}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "allow": _RANGES | {"description": _("Only these IP addresses and ranges may call."), "examples": [["10.0.0.0/8"]], "minItems": 1},
        "deny": _RANGES | {"description": _("These IP addresses and ranges may not call; all others may."), "minItems": 1},
    },
}

EXAMPLE = """\
allow:
- 127.0.0.1
- 10.0.0.0/8
- fd00::/8
"""


def check(config: Config, level: str) -> list[Finding]:
    if ("allow" in config) == ("deny" in config):
        return [((), _("Enter either “allow” or “deny”."))]
    ((name, ranges),) = config.items()
    return [((name, number), problem) for number, text in enumerate(ranges) if (problem := _problem(text))]


def native(config: Config, level: str, above: Config | None = None) -> Native:
    ((name, ranges),) = config.items()
    networks = [ipaddress.ip_network(text, strict=False) for text in ranges]
    principals = [
        {"direct_remote_ip": {"address_prefix": str(network.network_address), "prefix_len": network.prefixlen}} for network in networks
    ]
    policy = {"permissions": [{"any": True}], "principals": principals}
    return Native(filters=(typed("rbac.v3.RBAC", rules={"action": name.upper(), "policies": {"addresses": policy}}),))


def _problem(text: str) -> Any:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return _("This is not an IP address or range. Write 10.0.0.7, 10.0.0.0/8 or fd00::/8.")
    if (
        "/" in text
        and str(network.network_address) != text.split("/")[0].lower()
        and ipaddress.ip_address(text.split("/")[0]) != network.network_address
    ):
        return _("This range begins at %(start)s. Write %(range)s.") % {"start": network.network_address, "range": network}
    return ""


PLUGIN = Official(
    name="ip-restriction",
    title=_("IP restriction"),
    summary=_("Lets in or keeps out callers by their IP address."),
    documentation=(
        _("The address is that of the connection to the gateway. Behind another proxy that is the proxy's, and this plugin cannot help."),
        _("A caller who may not call gets 403."),
    ),
    version="1.0.0",
    phase="authentication",
    priority=390,
    schema=SCHEMA,
    example=EXAMPLE,
    check=check,
    native=native,
)
