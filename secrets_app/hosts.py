"""A host in one spelling, whoever writes it: what a policy names is compared with what a gateway calls, letter by letter."""

import ipaddress
import re

_HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?")
_USUAL = {"http": 80, "https": 443}


class NoHost(ValueError):
    """What stands there names no host, or one in disguise."""


def canonical(host: str) -> str:
    """Lower case and ASCII (IDNA); an IP address as it is written in full, without brackets. Raises NoHost."""
    if "%" in host:
        raise NoHost
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return str(getattr(ip, "ipv4_mapped", None) or ip)
    try:
        host = host.encode("idna").decode().lower()
    except UnicodeError:
        raise NoHost from None
    # A last label of digits would be read as a number in disguise: 127.1, 0x7f.1, 2130706433.
    if not _HOST.fullmatch(host) or re.fullmatch(r"(0x[0-9a-f]*|[0-9]+)", host.rstrip(".").rsplit(".", 1)[-1]):
        raise NoHost
    return host


def origin(scheme: str, host: str, port: int) -> str:
    """ "api.example.com", "api.example.com:8443", "http://10.0.0.7:8080": https and its port go without saying, being in the clear does
    not. `host` is canonical; the dot of the root that may end it makes no other host."""
    host = f"[{host}]" if ":" in host else host.rstrip(".")
    return f"{'http://' if scheme == 'http' else ''}{host}{'' if port == _USUAL[scheme] else f':{port}'}"
