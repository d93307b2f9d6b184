"""What a back end says is shown without the key, however it repeats it; where that is not sure it is not shown at all."""

import base64
import html
import json
from urllib.parse import quote

import pytest

from gateway.probe.redacting import GONE, redacted
from tests.effort import at_most
from tests.security.canary import Canaries, dresses

SECRET = "sk-proj-Zx9Qw7Er5Ty3Ui1Op8As6Df4Gh2Jk0L'\"<&>%+/=\\end"


def shown(body: str | bytes, kind: str = "application/json", secret: str = SECRET) -> str | None:
    return redacted(body.encode() if isinstance(body, str) else body, kind, secret.encode())


def parts(text: str | None, secret: str = SECRET) -> list[str]:
    return [secret[at : at + 5] for at in range(len(secret) - 4) if text and secret[at : at + 5] in text]


def test_what_has_nothing_to_do_with_the_key_is_shown_as_it_is() -> None:
    for body in ('{"data": [{"id": "gpt-4o"}]}', "Not found", "", "<h1>502 Bad Gateway</h1>", "Zx9 is a name"):
        assert shown(body, "text/plain") == body


@pytest.mark.parametrize(
    "dressed",
    [
        SECRET,
        f"Bearer {SECRET}",
        SECRET.upper(),
        SECRET[::-1],
        json.dumps(SECRET),
        json.dumps(json.dumps(SECRET)),
        html.escape(SECRET),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote(quote(SECRET, safe=""), safe=""),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        SECRET.encode().hex(" "),
        SECRET.encode().hex(":"),
        "".join(f"%{byte:02X}" for byte in SECRET.encode()),
        "".join(f"\\u{byte:04x}" for byte in SECRET.encode()),
        "".join(f"&#{byte};" for byte in SECRET.encode()),
        "".join(f"\\{byte:03o}" for byte in SECRET.encode()),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(b"user:" + SECRET.encode()).decode(),
        base64.b64encode(b"Bearer " + SECRET.encode() + b" more").decode(),
        base64.b64encode(SECRET.encode()).decode()[::-1],
        " ".join(SECRET),
        "\n".join(SECRET[at : at + 3] for at in range(0, len(SECRET), 3)),
        "\u200b".join(SECRET),
        "\x00".join(SECRET),
        "<b></b>".join(SECRET),
        json.dumps([SECRET[at : at + 4] for at in range(0, len(SECRET), 4)]),
        "".join(f'data: {{"t":"{SECRET[at : at + 2]}"}}\n\n' for at in range(0, 30, 2)),
        ", ".join(str(byte) for byte in SECRET.encode()),
        SECRET.encode("utf-16-le").decode("latin-1"),
    ],
    ids=range(31),
)
def test_the_key_is_taken_out_in_whatever_dress(dressed: str) -> None:
    for kind in ("application/json", "text/plain", "text/html"):
        told = shown(f'{{"error": "Incorrect API key: {dressed}. See our pages."}}', kind)
        canaries = Canaries()
        canaries.watch("key", SECRET.replace("-", ""))
        assert not told or canaries.found_in({"told": told}) == []
        assert parts(told) == []


@pytest.mark.parametrize("dress", dresses("Zx9Qw7Er5Ty3Ui1Op8As6Df4"))
def test_no_dress_that_the_canaries_know_is_shown(dress: str) -> None:
    secret = "Zx9Qw7Er5Ty3Ui1Op8As6Df4"
    canaries = Canaries()
    canaries.watch("key", secret)
    told = shown(b"before " + dresses(secret)[dress] + b" after", "text/plain", secret)
    assert not told or [one for one in canaries.found_in({"told": told}) if one.dress == dress] == []


def test_around_it_the_message_stays_readable() -> None:
    assert shown(f"Incorrect API key provided: {SECRET}. You can find yours in your account.", "text/plain") == (
        f"Incorrect API key provided: {GONE}. You can find yours in your account."
    )


def test_the_ends_that_some_suppliers_repeat_go_too() -> None:
    told = shown(f"Incorrect API key provided: {SECRET[:8]}********{SECRET[-8:]}.", "text/plain")
    assert told == f"Incorrect API key provided: {GONE}********{GONE}."


def test_what_was_cut_in_the_middle_of_the_key_goes_too() -> None:
    assert shown("x" * 300 + SECRET[:30], "text/plain") == "x" * 300 + GONE


@pytest.mark.parametrize("secret", ["a", "ab", "abc", "abcd", "secret", "user:pass"])
def test_a_short_key_is_taken_out_too(secret: str) -> None:
    told = shown(f"wrong: {secret}!", "text/plain", secret)
    assert told is None or secret not in told


def test_it_is_no_longer_than_people_read() -> None:
    assert len(shown("word " * 5000, "text/plain") or "") <= 1000


def test_without_a_key_there_is_nothing_to_take_out() -> None:
    assert shown("hello", "text/plain", "") == "hello"


def test_it_takes_no_time_that_anybody_notices() -> None:
    for body in (b"a" * 16384, b"<" * 16384, b"%41" * 5000, b"\\u0041" * 2700, b"&#65;" * 3200, b"ab" * 8192):
        for value in (b"a" * 60_000, SECRET.encode()):
            with at_most(2):
                redacted(body, "text/html", value)
