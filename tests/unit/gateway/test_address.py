"""Service addresses: what is taken apart, what is refused, and which ones are our own."""

import ipaddress
import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import address as address_module
from gateway.address import Address, ends_of, is_ours, parse_address
from secrets_app.errors import Invalid


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port", "path"),
    [
        ("https://api.example.com/v1", "https", "api.example.com", 443, "/v1"),
        ("https://api.example.com/v1/", "https", "api.example.com", 443, "/v1"),
        ("https://API.Example.COM", "https", "api.example.com", 443, ""),
        ("http://10.0.0.7:8080/openai/v1", "http", "10.0.0.7", 8080, "/openai/v1"),
        ("http://[::1]:9000", "http", "::1", 9000, ""),
        ("http://[::ffff:10.0.0.7]/v1", "http", "10.0.0.7", 80, "/v1"),
        ("https://bücher.example/v1", "https", "xn--bcher-kva.example", 443, "/v1"),
        ("https://my_service.internal./v1", "https", "my_service.internal.", 443, "/v1"),
    ],
)
def test_an_address_is_taken_apart(text: str, scheme: str, host: str, port: int, path: str) -> None:
    assert parse_address(text) == Address(scheme, host, port, path)


@pytest.mark.parametrize(
    "text",
    ["https://api.example.com/v1", "http://10.0.0.7:8080", "http://[::1]:9000/v1", "https://api.example.com:8443/a/b", "http://host:443"],
)
def test_an_address_prints_as_it_was_entered(text: str) -> None:
    assert str(parse_address(text)) == text
    assert parse_address(str(parse_address(text))) == parse_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.example.com",
        "ftp://api.example.com",
        "javascript:alert(1)",
        "//api.example.com/v1",
        "https://",
        "https:///v1",
        "https://user@api.example.com",
        "https://user:password@api.example.com",
        "https://@api.example.com",
        "https://api.example.com/v1?key=1",
        "https://api.example.com/v1?",
        "https://api.example.com/v1#",
        "https://api.example.com/../admin",
        "https://api.example.com/./v1",
        "https://api.example.com//v1",
        "https://api.example.com/a b",
        "https://api.example.com/%2e%2e/v1",
        "https://api.example.com/v1\\..",
        "https://api.example.com:0/v1",
        "https://api.example.com:65536/v1",
        "https://api.example.com:port/v1",
        "https://exa mple.com",
        "https://example..com",
        "https://-example.com",
        "https://127.1",
        "https://2130706433",
        "https://0x7f000001",
        "https://0x7f.0.0.0x1",
        "https://0177.0.0.1",
        "https://api.example.com%00.evil.example",
        "https://[::1",
        "https://[fe80::1%25eth0]/v1",
        "https://" + "a" * 64 + ".example",
        "https://" + "a." * 130 + "example",
        "https://\ud800.example",
        "https://api.example.com/v1\r\nHost: evil.example",
        "https://api.example.com\t/v1",
        " https://api.example.com/v1",
        "https://api.example.com/v1 ",
    ],
)
def test_a_wrong_address_is_refused_by_field(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_address(text)
    assert list(refused.value.errors) == ["address"]


@given(st.text(max_size=300))
def test_no_text_makes_more_than_a_refusal(text: str) -> None:
    for candidate in (text, f"https://{text}", f"https://host/{text}"):
        try:
            parsed = parse_address(candidate)
        except Invalid:
            continue
        assert parse_address(str(parsed)) == parsed
        assert "\n" not in str(parsed)
        assert " " not in str(parsed)


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:8000",
        "http://LOCALHOST.:8000/v1",
        "http://anything.localhost:8000",
        "http://127.0.0.1:8000",
        "http://127.9.9.9:8000",
        "http://[::1]:8000",
        "http://0.0.0.0:8000",
        "http://[::]:8000",
        "http://[::ffff:127.0.0.1]:8000",
        "http://[::127.0.0.1]:8000",
        "http://[::ffff:0:7f00:1]:8000",
        "http://[64:ff9b::7f00:1]:8000",
        "http://[64:ff9b:1::7f00:1]:8000",
        "http://[2002:7f00:1::]:8000",
        "http://[2001:0:5ef5:79fb::80ff:fffe]:8000",
        "http://[2001:db8::5efe:7f00:1]:8000",
    ],
)
def test_loopback_in_any_spelling_is_ours_on_our_ports_only(text: str) -> None:
    address = parse_address(text)
    assert is_ours(address, {8000, 18000})
    assert not is_ours(address, {18000})


@pytest.mark.parametrize(
    "host", ["10.255.0.7", "192.0.2.1", "[2001:db8::7]", "[::10.255.0.7]", "[64:ff9b::aff:7]", "localhost.example", "example"]
)
def test_another_machine_on_the_same_port_is_not_ours(host: str, names: dict[str, list[str]]) -> None:
    names |= {"localhost.example": ["10.255.0.7"], "example": ["2001:db8::7", "192.0.2.1"]}
    assert not is_ours(parse_address(f"http://{host}:8000"), {8000})


def test_an_address_of_this_machine_itself_is_ours() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:  # no way out of this machine: loopback is all it has
            probe.connect(("127.0.0.1", 9))
        own = probe.getsockname()[0]
    assert is_ours(parse_address(f"http://{own}:8000"), {8000})
    assert is_ours(parse_address(f"http://[64:ff9b::{own}]:8000"), {8000})
    assert not is_ours(parse_address(f"http://{own}:8001"), {8000})


@pytest.mark.parametrize("answer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "::"])
def test_a_name_that_leads_here_is_ours_whatever_it_is(answer: str, names: dict[str, list[str]]) -> None:
    names["ip6-localhost"] = names["localtest.example"] = ["192.0.2.1", answer]
    assert is_ours(parse_address("http://ip6-localhost:8000"), {8000})
    assert is_ours(parse_address("http://LocalTest.example.:8000/v1"), {8000})


def test_this_machines_own_name_is_ours_though_nothing_resolves_it(names: dict[str, list[str]]) -> None:
    assert is_ours(parse_address(f"http://{socket.gethostname().lower()}:8000"), {8000})


def test_a_name_is_only_asked_for_when_its_port_is_one_of_ours(names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("asked"))
    assert not is_ours(parse_address("http://api.example:443"), {8000})


def test_a_name_server_that_does_not_answer_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    silence = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [silence.wait(30)][1:])
    monkeypatch.setattr(address_module, "PATIENCE", 0.05)
    began = time.monotonic()
    assert not is_ours(parse_address("http://slow.example:8000"), {8000})
    assert time.monotonic() - began < 10
    silence.set()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to; every other is unknown."""
    known: dict[str, list[str]] = {}

    def resolve(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        if host.rstrip(".") not in known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(0, 0, 0, "", (address, 0)) for address in known[host.rstrip(".")]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "169.254.0.1", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "224.0.0.1"],
)
def test_what_a_cloud_tells_its_own_machines_is_no_back_end(host: str) -> None:
    with pytest.raises(Invalid, match="169"):
        parse_address(f"http://{host}/latest/meta-data")


def test_nor_is_a_name_that_leads_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_module, "_addresses", lambda host: [ipaddress.ip_address("169.254.169.254")])
    with pytest.raises(Invalid, match="169"):
        ends_of(parse_address("http://metadata.example"), set())
