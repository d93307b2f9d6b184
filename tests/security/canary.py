"""Looking for values where none may be: planted ones, in whatever dress, in files, answers, logs and dumps.

    canaries = Canaries()
    value = canaries.plant("pasted into Create key")     # hand it to a form
    ...
    assert canaries.found_in({"database": raw, ...}) == []
    assert canaries.found_in(folder(data_dir)) == []

A value's recognisable core is 24 letters and digits that no encoding of text leaves in pieces. It is looked for as it is, in part,
reversed, in base64 at each alignment, in hex, percent-encoded, in JSON and HTML escapes, in UTF-16, and inside what gzip or zlib packed.
Behind it stands a mark that those of one flock share: where no dress of the mark is seen, none of a whole value is, and a hundred values
are looked for in a gigabyte like one.
"""

import base64
import re
import secrets
import string
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_CORE, _MARK = 24, 12
_PART = 12  # characters of a core that give it away
_DEPTH = 3  # a packed file in a packed file in a packed file
_PACKED = (b"\x1f\x8b\x08", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` was planted was found in `where`, dressed as `dress`. The value itself is not repeated."""

    where: str
    what: str
    dress: str


class Canaries:
    def __init__(self) -> None:
        self._mark = _letters(_MARK)
        self._cores: dict[str, str] = {}
        self._marked: set[str] = set()

    def plant(self, what: str, *, before: str = "sk-", after: str = "-'\"<&>%+/=\\end") -> str:
        """A new value, remembered under `what`. Printable ASCII unless `before` or `after` say otherwise."""
        assert what not in self._cores, f"{what} was planted already"
        self._cores[what] = core = _letters(_CORE)
        self._marked.add(what)
        return before + core + self._mark + after

    def watch(self, what: str, value: str, *, whole: bool = False) -> None:
        """A value that the product made itself: a stretch of letters and digits in it, or `whole`."""
        assert what not in self._cores, f"{what} is watched already"
        runs = [value] if whole else [run[-_CORE:] for run in re.findall(rf"[A-Za-z0-9]{{{_CORE},}}", value)]
        assert runs, f"{what} has no stretch of {_CORE} letters and digits to look for"
        self._cores[what] = runs[-1]

    def found_in(self, sinks: "Mapping[str, bytes | str] | Iterable[tuple[str, bytes]]") -> list[Finding]:
        """Every canary in every sink, once per dress. An empty list is the answer a test wants."""
        pairs = sinks.items() if isinstance(sinks, Mapping) else sinks
        return [
            Finding(where, what, dress)
            for where, data in pairs
            for layer, raw in _unpacked(data.encode() if isinstance(data, str) else data)
            for what, dress in self._in(raw, layer)
        ]

    def _in(self, raw: bytes, layer: str) -> Iterator[tuple[str, str]]:
        whole = any(needle in raw for needle in _whole(self._mark).values())
        for what, core in self._cores.items():
            needles = dresses(core) if whole or what not in self._marked else _halves(core)
            for dress, needle in needles.items():
                if needle in raw:
                    yield what, layer + dress


def _letters(count: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(count))


def dresses(core: str) -> dict[str, bytes]:
    """How a value may be written. Each needle is part of the dressed core whatever stands before and behind it."""
    return _whole(core) | _halves(core)


def _halves(core: str) -> dict[str, bytes]:
    raw = core.encode()
    if len(raw) < _CORE:
        return {}  # a part of so little is found anywhere
    return {"its first half": raw[:_PART], "its last half": raw[-_PART:]}


def _whole(core: str) -> dict[str, bytes]:
    raw = core.encode()
    return {
        "as it is": raw,
        "reversed": raw[::-1],
        **{f"base64, {shift} off": _base64(raw, shift) for shift in range(3)},
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "percent-encoded": "".join(f"%{byte:02X}" for byte in raw).encode(),
        "percent-encoded, lower": "".join(f"%{byte:02x}" for byte in raw).encode(),
        "JSON escapes": "".join(f"\\u{byte:04x}" for byte in raw).encode(),
        "JSON ESCAPES": "".join(f"\\u{byte:04X}" for byte in raw).encode(),
        "Python escapes": "".join(f"\\x{byte:02x}" for byte in raw).encode(),
        "octal escapes": "".join(f"\\{byte:03o}" for byte in raw).encode(),
        "HTML escapes": "".join(f"&#{byte};" for byte in raw).encode(),
        "HTML hex escapes": "".join(f"&#x{byte:x};" for byte in raw).encode(),
        "list of numbers": ", ".join(str(byte) for byte in raw).encode(),
        "UTF-16": core.encode("utf-16-le"),
    }


def folder(path: Path, *, but: Iterable[Path] = ()) -> Iterator[tuple[str, bytes]]:
    """Every file below, the database's journals and locks among them."""
    left_out = set(but)
    for file in sorted(path.rglob("*")):
        if file.is_file() and file not in left_out:
            yield str(file.relative_to(path)), file.read_bytes()


def _base64(raw: bytes, shift: int) -> bytes:
    """What of the encoding does not depend on the bytes around it. Letters and digits alone: both alphabets agree on nearly all."""
    coded = base64.b64encode(b"\0" * shift + raw)
    start = {0: 0, 1: 2, 2: 3}[shift]
    end = len(coded) if (shift + len(raw)) % 3 == 0 else len(coded) - 4
    return coded[start:end]


def _unpacked(data: bytes, layer: str = "", depth: int = 0) -> Iterator[tuple[str, bytes]]:
    """The data, and whatever in it gzip or zlib had packed."""
    yield layer, data
    if depth == _DEPTH:
        return
    for magic in _PACKED:
        at = data.find(magic)
        while at >= 0:
            inside = _inflated(memoryview(data)[at:])
            if inside:
                yield from _unpacked(inside, f"{layer}packed, ", depth + 1)
            at = data.find(magic, at + 1)


def _inflated(data: memoryview) -> bytes:
    """As far as it goes: a packed stream may be cut off, or be none at all."""
    stream = zlib.decompressobj(47)
    out = b""
    try:
        while len(data) and not stream.eof and len(out) < 1 << 24:
            out += stream.decompress(data[:64])  # in small steps: what came before a break counts
            data = data[64:]
    except zlib.error:
        pass
    return out
