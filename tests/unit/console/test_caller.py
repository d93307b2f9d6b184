"""Where a request comes from: the peer, or what a trusted proxy says of it, and never what a caller says of itself."""

from typing import Any

import pytest
from django.test import RequestFactory

from console.caller import address_of


def seen(peer: str, forwarded: str | None = None) -> str:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return address_of(RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer))


@pytest.mark.parametrize("forwarded", [None, "203.0.113.9", "127.0.0.1", "10.0.0.2", "", "nonsense", ",,,"])
def test_nobody_is_believed_unless_configured(forwarded: str | None) -> None:
    assert seen("198.51.100.7", forwarded) == "198.51.100.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "192.0.2.1, 203.0.113.9", "203.0.113.9"),  # the first is what the caller itself sent
        ("10.0.0.1", "192.0.2.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"),  # two proxies
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", "2001:db8::9", "2001:db8::9"),
        ("10.0.0.1", "[2001:db8::9]:4711", "2001:db8::9"),
        ("10.0.0.1", "fe80::9%eth0" + "x" * 100, "fe80::9"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("::1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.2"),  # a caller that is a proxy's neighbour
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, unknown", "10.0.0.1"),  # what stands before a gap, nobody vouches for
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),  # not a proxy of ours
        ("", "203.0.113.9", ""),
        ("unix:", "203.0.113.9", ""),
    ],
)
def test_a_trusted_proxy_is_believed_for_the_one_step_it_saw(settings: Any, peer: str, forwarded: str | None, caller: str) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8", "::1"]
    assert seen(peer, forwarded) == caller


def test_a_very_long_header_costs_little(settings: Any) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert seen("10.0.0.1", "10.0.0.2," * 900 + "10.0.0.3") == "10.0.0.2"
