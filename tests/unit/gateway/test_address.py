"""Service addresses: what is taken apart, what is refused, and which ones are our own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.address import Address, is_ours, parse_address
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
    ],
)
def test_loopback_in_any_spelling_is_ours_on_our_ports_only(text: str) -> None:
    address = parse_address(text)
    assert is_ours(address, {8000, 18000})
    assert not is_ours(address, {18000})


def test_another_machine_on_the_same_port_is_not_ours() -> None:
    assert not is_ours(parse_address("http://10.255.0.7:8000"), {8000})
    assert not is_ours(parse_address("http://localhost.example:8000"), {8000})
