"""A service address, taken apart and checked: where the gateway will send a key."""

import ipaddress
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from secrets_app.errors import Invalid
from secrets_app.hosts import NoHost, canonical, origin

PATIENCE = 2.0  # seconds for a name server

IP = ipaddress.IPv4Address | ipaddress.IPv6Address

_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*/?")


# IPv4-compatible, -mapped and -translated (RFC 4291, 2765), and NAT64's two prefixes (RFC 6052, 8215).
_ENDS_IN_IPV4 = [ipaddress.IPv6Network(net) for net in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")]
_ISATAP = (b"\0\0\x5e\xfe", b"\x02\0\x5e\xfe")  # RFC 5214, 6.1
_METADATA = ipaddress.IPv6Address("fd00:ec2::254")  # a cloud's, beside the link-local ones
_OF_THE_LINK = _("Addresses of the machine's own link, such as 169.254.169.254, are no back ends: clouds hand out credentials there.")


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
    def origin(self) -> str:
        """As policies name it."""
        return origin(self.scheme, self.host, self.port)

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
    host = _host(parts.hostname)
    if is_ip(host) and _is_of_the_link(ipaddress.ip_address(host)):
        raise _refused(_OF_THE_LINK)
    return Address(parts.scheme, host, port or {"http": 80, "https": 443}[parts.scheme], parts.path.rstrip("/"))


def is_ours(address: Address, ports: set[int]) -> bool:
    """Whether it leads to this machine, on a port that the console, the control plane or a gateway listens on.

    For those ports a name is resolved, which may take PATIENCE: not for use inside a transaction. A name that nobody knows here and
    now is taken to be somebody else's; what it comes to mean later, the gateway's own mark of loops has to notice.
    """
    return address.port in ports and (_names_this_machine(address.host) or any(map(is_here, _addresses(address.host))))


def ends_of(address: Address, ports: set[int]) -> list[IP]:
    """Where it leads at this moment, for whoever calls it themselves: to one of these and to nowhere else. Empty for a name that nobody
    knows. Raises Invalid where is_ours() would say so of any of them, or one is of the link."""
    found = _addresses(address.host)
    if address.port in ports and (_names_this_machine(address.host) or any(map(is_here, found))):
        raise _refused(_("This is the console's, the control plane's or a gateway's own address."))
    if any(map(_is_of_the_link, found)):
        raise _refused(_OF_THE_LINK)
    return found


def is_here(ip: IP) -> bool:
    """Whether it is this machine: its loopback, or one of its own addresses."""
    return any(meant.is_loopback or meant.is_unspecified or _is_own(meant) for meant in (ip, *_embedded(ip)))


def is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _host(host: str) -> str:
    try:
        return canonical(host)
    except NoHost:
        raise _refused(_("The host name is not valid. Write an IP address in full, such as 10.0.0.7.")) from None


def _loopback(host: str) -> bool:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return host.rstrip(".").split(".")[-1] == "localhost"
    return ip.is_loopback or ip.is_unspecified


def _names_this_machine(host: str) -> bool:
    return _loopback(host) or host.rstrip(".") == socket.gethostname().lower()


def _addresses(host: str) -> list[IP]:
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        pass
    found: list[IP] = []
    # The system's resolver knows no limit of time: it is left alone with a name that takes too long.
    asking = threading.Thread(target=lambda: found.extend(_resolved(host)), daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return list(found)


def _resolved(host: str) -> Iterator[IP]:
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return
    yield from (ipaddress.ip_address(answer[4][0]) for answer in answers)


def _is_of_the_link(ip: IP) -> bool:
    return any(meant.is_link_local or meant.is_multicast or meant == _METADATA for meant in (ip, *_embedded(ip)))


def _embedded(ip: IP) -> Iterator[IP]:
    """The IPv4 address that an IPv6 one stands for, should something on the way translate it."""
    if isinstance(ip, ipaddress.IPv4Address):
        return
    if ip.sixtofour:
        yield ip.sixtofour
    if ip.teredo:
        yield ip.teredo[1]
    if any(ip in network for network in _ENDS_IN_IPV4) or ip.packed[8:12] in _ISATAP:
        yield ipaddress.IPv4Address(ip.packed[12:])


def _is_own(ip: IP) -> bool:
    """To one of its own addresses a machine speaks from that same address. Sends nothing."""
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(ip), 9))
            return ipaddress.ip_address(probe.getsockname()[0]) == ip
    except OSError:
        return False


def _refused(message: object) -> Invalid:
    return Invalid({"address": [str(message)]})
