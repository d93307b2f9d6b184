"""A service address, taken apart and checked: where the gateway will send a key."""

import ipaddress
import re
import socket
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from secrets_app.errors import Invalid

_HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?")
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*/?")


@dataclass(frozen=True, slots=True)
class Address:
    scheme: str  # "http" or "https"
    host: str  # lower case, ASCII; an IPv6 address without brackets
    port: int
    path: str  # without a trailing slash: "/v1", or ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        standard = self.port == {"http": 80, "https": 443}[self.scheme]
        return f"{self.scheme}://{host}{'' if standard else f':{self.port}'}{self.path}"

    @property
    def in_clear(self) -> bool:
        """What is sent there can be read on the way: not encrypted, and not to this machine itself."""
        return self.scheme == "http" and not _loopback(self.host)


def parse_address(text: str) -> Address:
    """Raises Invalid (field "address") with what is wrong in words."""
    if any(character.isspace() or not character.isprintable() for character in text):
        raise _refused(_("An address holds no spaces or line breaks."))  # urlsplit would quietly drop some of them
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _refused(_("Enter an address such as https://api.example.com/v1.")) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _refused(_("Enter an address that begins with https:// or http://, such as https://api.example.com/v1."))
    if parts.username is not None or parts.password is not None:
        raise _refused(_("An address must not hold a user name or password. Store the credential as a key."))
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise _refused(_("Leave out everything from ? or # on: the gateway appends each caller's own path and query."))
    if not _PATH.fullmatch(parts.path) or any(step in (".", "..") for step in parts.path.split("/")):
        raise _refused(_("The path may hold letters, digits and - . _ ~ between single slashes, and no . or .. step."))
    if port == 0:
        raise _refused(_("Port 0 does not exist. Leave the port out, or enter 1 to 65535."))
    return Address(parts.scheme, _host(parts.hostname), port or {"http": 80, "https": 443}[parts.scheme], parts.path.rstrip("/"))


def is_ours(address: Address, ports: set[int]) -> bool:
    """Whether the address is one of this machine's own on a port that the console, the control plane or a gateway listens on."""
    return address.port in ports and address.host.rstrip(".") in _own_hosts() | _loopback(address.host)


def _host(host: str) -> str:
    if "%" in host:
        raise _refused(_("The host name is not valid."))
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        mapped = getattr(ip, "ipv4_mapped", None)
        return str(mapped or ip)
    try:
        host = host.encode("idna").decode().lower()
    except UnicodeError:
        raise _refused(_("The host name is not valid.")) from None
    # A last label of digits would be read as a number in disguise: 127.1, 0x7f.1, 2130706433.
    if not _HOST.fullmatch(host) or re.fullmatch(r"(0x[0-9a-f]*|[0-9]+)", host.rstrip(".").rsplit(".", 1)[-1]):
        raise _refused(_("The host name is not valid. Write an IP address in full, such as 10.0.0.7."))
    return host


def _loopback(host: str) -> set[str]:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return {host.rstrip(".")} if host.rstrip(".").split(".")[-1] == "localhost" else set()
    return {host} if ip.is_loopback or ip.is_unspecified else set()


@lru_cache(maxsize=1)
def _own_hosts() -> frozenset[str]:
    name = socket.gethostname().lower()
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(name, None)}
    except OSError:
        addresses = set()
    return frozenset({name, *addresses})


def _refused(message: object) -> Invalid:
    return Invalid({"address": [str(message)]})
