"""Where a request comes from. The address stands in the audit log and limits wrong sign-ins, so nobody may choose their own."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

_NEIGHBOURS = 64  # bits of an IPv6 address that its holder does not choose


def address_of(request: HttpRequest) -> str:
    """The peer as the server saw it. A peer among CONSOLE_TRUSTED_PROXIES is believed for the one step that it saw itself: the last
    word of X-Forwarded-For; what stands before it was sent by the caller. Empty where there is no address, as on a Unix socket.
    """
    caller = _parsed(request.META.get("REMOTE_ADDR", ""))
    proxies = _networks(tuple(settings.TRUSTED_PROXIES))
    for said in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
        if caller is None or not any(caller in network for network in proxies):
            break
        if (before := _parsed(said)) is None:
            break
        caller = before
    return str(caller or "")


def network_of(address: str) -> str:
    """What one caller can be told by: of an IPv6 address the network, since the rest of it is the caller's to choose."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, _NEIGHBOURS), strict=False))
    return str(parsed or "")


def wrong_proxies() -> list[str]:
    """Those of CONSOLE_TRUSTED_PROXIES that are neither an address nor a network. Nobody is trusted for them."""
    return [text for text in settings.TRUSTED_PROXIES if not _networks((text,))]


@lru_cache(maxsize=8)
def _networks(texts: Sequence[str]) -> list[IPv4Network | IPv6Network]:
    found = []
    for text in texts:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            continue
    return found


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Also with a port behind it, as some proxies write it. IPv4 carried in IPv6 is IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
