"""What a back end answered, as text in which the key does not stand: not as it is, nor in part, nor in any dress that text wears.

What can be recognized is taken out; what only looks as if the key were in it, the whole of it is withheld. Unsure is refused.
"""

import base64
import html
import json
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import quote, quote_plus, unquote

GONE = "•••"
SHOWN = 1000  # characters
PIECE = 5  # characters of the key in a row that are taken out wherever they stand
_CRUMB = 3
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^<>]*>", re.S | re.I)
_ESCAPES = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-7]{3}))")


def redacted(body: bytes, kind: str, value: bytes) -> str | None:
    """`value` is what the key is without its prefix; empty where none was shown. None: withheld."""
    text = _readable(body, kind)
    secret = value.decode("utf-8", "replace")
    if not secret:
        return text[:SHOWN]
    for dress in sorted((dress for dress in _dresses(secret) if len(dress) <= len(text)), key=len, reverse=True):
        text = re.sub(re.escape(dress), GONE, text, flags=re.I)
    text = _without_pieces(text, secret)
    return None if _looks_like(text, secret) else text[:SHOWN]


def _readable(body: bytes, kind: str) -> str:
    """Without tags, and without what is not seen: a key must not hide between invisible characters."""
    text = body.decode("utf-8", "replace")
    if kind == "text/html":
        text = html.unescape(_TAGS.sub(" ", text))
    seen = (one for one in text if one in "\n\t" or unicodedata.category(one)[0] != "C")
    return re.sub(r"[ \t]*\n(\s*\n)?", "\n", "".join(seen)).strip()


def _dresses(secret: str) -> Iterator[str]:
    raw = secret.encode()
    yield from (secret, secret[::-1], quote(secret, safe=""), quote(secret), quote_plus(secret), html.escape(secret))
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], json.dumps(json.dumps(secret))[3:-3])
    yield raw.hex()
    for form in ("%{:02x}", "\\u{:04x}", "\\x{:02x}", "\\{:03o}", "&#{};", "&#x{:x};"):
        yield "".join(form.format(byte) for byte in raw)
    for separator in (" ", ":", "-"):
        yield raw.hex(separator)
    for separator in (",", ", ", " "):
        yield separator.join(map(str, raw))
    yield from _in_base64(raw)


def _in_base64(raw: bytes) -> Iterator[str]:
    """At each alignment what does not depend on the bytes around it, in both alphabets."""
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw).decode()
        start, end = (0, 2, 3)[shift], len(coded) if (shift + len(raw)) % 3 == 0 else len(coded) - 4
        if end - start > PIECE:
            yield coded[start:end]
            yield coded[start:end].translate(str.maketrans("+/", "-_"))


def _without_pieces(text: str, secret: str) -> str:
    """Parts of the key in a row, such as the ends that some suppliers repeat, or what was cut where the reading ended."""
    size = min(PIECE, len(secret))
    pieces = {secret[at : at + size] for at in range(len(secret) - size + 1)}
    covered = bytearray(len(text))
    for at in range(len(text) - size + 1):
        if text[at : at + size] in pieces:
            covered[at : at + size] = b"\1" * size
    return "".join(GONE if hidden else text[start:end] for start, end, hidden in _runs(covered))


def _runs(covered: bytearray) -> Iterator[tuple[int, int, bool]]:
    start = 0
    for at in range(1, len(covered) + 1):
        if at == len(covered) or covered[at] != covered[start]:
            yield start, at, bool(covered[start])
            start = at


def _looks_like(text: str, secret: str) -> bool:
    """Whether half of the key, in crumbs of three, stands in the text once it is taken out of whatever it is wrapped in."""
    wanted = [(len(crumbs), crumbs) for whole in {secret, _bare(secret)} if (crumbs := _crumbs(whole))]
    for seen in _unwrapped(text):
        found = _crumbs(seen)
        if any(len(crumbs & found) * 2 >= number for number, crumbs in wanted) or (len(secret) < _CRUMB and secret in seen):
            return True
    dresses = [_bare(dress) for dress in _in_base64(secret.encode())]
    return any(dress in seen for dress in dresses if len(dress) > PIECE for seen in (_bare(text), _bare(text)[::-1]))


def _crumbs(text: str) -> set[str]:
    return {text[at : at + _CRUMB] for at in range(len(text) - _CRUMB + 1)}


def _unwrapped(text: str) -> Iterator[str]:
    for opened in (text, unquote(text), unquote(unquote(text)), html.unescape(text), _ESCAPES.sub(_escaped, text)):
        yield opened
        yield _bare(opened)
        yield _bare(opened)[::-1]
    yield bytes(int(number) for number in re.findall(r"\d+", text) if len(number) < 4 and int(number) < 256).decode("latin-1")
    digits = re.sub(r"[^0-9a-fA-F]", "", text)
    yield bytes.fromhex(digits[: len(digits) // 2 * 2]).decode("latin-1")
    yield bytes.fromhex(digits[1 : 1 + (len(digits) - 1) // 2 * 2]).decode("latin-1") if digits else ""


def _escaped(found: re.Match[str]) -> str:
    wide, narrow, octal = found.groups()
    return chr(int(wide or narrow or octal, 8 if octal else 16))


def _bare(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", text)
