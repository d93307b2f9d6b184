"""Requests that no form would make, from those that one would: most fields stay good, so that what is spoilt gets as far as the deed."""

import re
from dataclasses import dataclass, field, replace
from http.cookies import SimpleCookie
from io import BytesIO
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

from django.http import HttpResponse
from django.test import Client

from tests.security.corpus import BODIES, BROKEN_QUERIES, FIELDS, HEADERS, JSON, LENGTHS, METHODS, PAIRS, PATHS, TYPES, WORDS
from tests.security.pageforms import Form, Pair

MARK = "hostile-canary-7d1f"  # in every value that is typed: no answer may hold it
FORM = "application/x-www-form-urlencoded"
_TYPED = re.compile(r"(value(_\d+)?|password|old|again)\Z")
_WORST: dict[str, list[str]] = {}
for _name, _value in PAIRS:
    _WORST.setdefault(_name, []).append(_value)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `environ` stands above all else, as a server would set it."""

    method: str
    url: str
    body: bytes = b""
    type: str = FORM
    headers: dict[str, str] = field(default_factory=dict)
    environ: dict[str, Any] = field(default_factory=dict)

    def send(self, client: Client) -> HttpResponse:
        answer: Any = client.generic(self.method, self.url, self.body, self.type, headers=self.headers, **self.environ)
        return answer  # type: ignore[no-any-return]

    def __str__(self) -> str:
        said = {name: value for name, value in self.environ.items() if name != "wsgi.input"}
        return f"{self.method} {self.url[:300]!r} {self.type[:80]!r} {self.body[:1500]!r} {self.headers!r:.600} {said!r:.600}"


def of_form(form: Form, good: dict[str, str], chance: Random) -> Ask:
    """A form of a page, filled in well and then spoilt in one to three places."""
    fields = spoilt(filled(form, good, chance), form, chance)
    if form.method == "post":
        return posted(form.action, fields, chance)
    return Ask("GET", f"{form.action.partition('?')[0]}?{urlencode(fields)}"[:60_000])


def filled(form: Form, good: dict[str, str], chance: Random) -> list[Pair]:
    """What the page would send, with what a good post says of the same fields and one of the form's buttons."""
    said = [(name, good.get(name, value)) for name, value in form.sent]
    there = {name for name, _value in said}
    said += [(name, value) for name, value in good.items() if name not in there]
    said += [(name, chance.choice(offered)) for name, offered in form.choices.items() if name not in there and offered]
    if form.buttons and chance.random() < 0.5:
        said.append(chance.choice(form.buttons))
    return [
        (name, f"{MARK} {value}") if typed(name, form) and name.startswith("value") and value else (name, value) for name, value in said
    ]


def spoilt(fields: list[Pair], form: Form | None, chance: Random) -> list[Pair]:
    fields = list(fields)
    for _ in range(chance.randint(1, 3)):
        if not fields or chance.random() < 0.1:
            fields.append((chance.choice(FIELDS), chance.choice(WORDS)))
            continue
        place = chance.randrange(len(fields))
        name, value = fields[place]
        if name == "csrfmiddlewaretoken" and chance.random() < 0.9:  # without it nothing else is looked at
            continue
        match chance.choice(["word", "word", "word", "worst", "choice", "join", "empty", "drop", "double", "rename"]):
            case "drop":
                fields.pop(place)
            case "double":
                fields.append((name, marked(name, chance.choice([value, chance.choice(WORDS)]), form)))
            case "rename":
                fields[place] = (name + chance.choice(["_0", "_999", "²", "[]", "\0", " ", "\ufeff"]), value)
            case way:
                fields[place] = (name, marked(name, changed(way, name, value, form, chance), form))
    return fields


def changed(way: str, name: str, value: str, form: Form | None, chance: Random) -> str:
    if way == "choice" and form and form.choices.get(name):
        return chance.choice(form.choices[name])
    if way == "worst" and name in _WORST:
        return chance.choice(_WORST[name])
    word = chance.choice(WORDS)
    return {"join": chance.choice([value + word, word + value]), "empty": ""}.get(way, word)


def typed(name: str, form: Form | None) -> bool:
    return bool(_TYPED.match(name)) or bool(form and form.kinds.get(name) == "password")


def marked(name: str, value: str, form: Form | None) -> str:
    return value[:1] + MARK + value[1:] if value and MARK not in value and typed(name, form) else value


def posted(url: str, fields: list[Pair], chance: Random) -> Ask:
    if chance.random() < 0.12:
        body = b"--x\r\n" + b"".join(part(name, value, chance) for name, value in fields)
        return Ask("POST", url, body, "multipart/form-data; boundary=x")
    return Ask("POST", url, urlencode(fields, errors="replace").encode())


def part(name: str, value: str, chance: Random) -> bytes:
    file = chance.choice(["", "", "", '; filename="a.txt"', '; filename="../../x\x00.php"', "; filename*=utf-8''%00", "; name=x"])
    kind = chance.choice(["", "", "Content-Type: text/plain; charset=nonsense\r\n", "Content-Transfer-Encoding: base64\r\n"])
    head = f'Content-Disposition: form-data; name="{name}"{file}\r\n{kind}\r\n'
    return head.encode() + value.encode() + b"\r\n--x" + chance.choice([b"\r\n", b"\r\n", b"\r\n", b"--\r\n", b""])


def of_strangers(url: str, good: dict[str, str], chance: Random) -> Ask:
    """Fields that the address may never have heard of, in the query or in a post."""
    fields = [(chance.choice(FIELDS), chance.choice(WORDS)) for _ in range(chance.randrange(1, 6))]
    if chance.random() < 0.5:
        return posted(url, [*good.items(), *fields], chance)
    query = chance.choice(BROKEN_QUERIES) if chance.random() < 0.3 else urlencode(fields, errors="replace")
    return Ask("GET", f"{url}?{query}"[:60_000])


def odd(url: str, fields: list[Pair], chance: Random) -> Ask:
    """What no browser does at all: with the body, its length, its type, the method or the address."""
    way, body = chance.choice(["raw", "raw", "method", "path", "path", "length", "flood", "huge", "query"]), urlencode(fields).encode()
    if way == "raw":
        return Ask("POST", url, chance.choice(BODIES), chance.choice(TYPES))
    if way == "method":
        return Ask(chance.choice(METHODS), url, body)
    if way == "path":
        return Ask(chance.choice(["GET", "GET", "POST", "HEAD"]), broken(url, chance), body)
    if way == "length":  # a server hands on what was sent, which may end before its time
        environ = {"CONTENT_LENGTH": chance.choice(LENGTHS), "wsgi.input": BytesIO(body)}
        return Ask("POST", url, body, chance.choice([FORM, *TYPES]), environ=environ)
    if way == "flood":
        return Ask("POST", url, body + b"&" + b"&".join(b"a%d=1" % number for number in range(chance.choice([299, 300, 10_000]))))
    if way == "huge":
        return Ask("POST", url, body + b"&name=" + b"x" * chance.choice([1_000_000, 3_000_000]), chance.choice([FORM, *TYPES]))
    return Ask("GET", url, environ={"QUERY_STRING": chance.choice([*BROKEN_QUERIES, "q=" + "%41" * 20_000, "show=%ff&" * 299])})


def broken(url: str, chance: Random) -> str:
    """An address with a piece of it exchanged for something else."""
    pieces = [piece for piece in url.split("/") if piece] or ["x"]
    pieces[chance.randrange(len(pieces))] = chance.choice(PATHS) if chance.random() < 0.5 else quote(chance.choice(WORDS)[:2000], safe="")
    return "/" + "/".join(pieces) + chance.choice(["/", "/", "", "//", "/.", "/%2e%2e/", "%2F"])


def dressed(ask: Ask, client: Client, chance: Random) -> Ask:
    """With a few of the headers that the console reads, each as it should not be."""
    if chance.random() < 0.5:
        return ask
    said = {name: chance.choice(HEADERS[name]) for name in chance.sample(sorted(HEADERS), chance.randint(1, 3))}
    if "Cookie" in said:  # beside the one that says who comes
        said["Cookie"] = said["Cookie"].replace("{}", SimpleCookie(client.cookies).output(header="", sep=";").strip())
    environ = {"wsgi.url_scheme": "https"} if chance.random() < 0.05 else {}
    return replace(ask, headers={name: as_sent(value) for name, value in said.items()} | ask.headers, environ=environ | ask.environ)


def as_sent(value: str) -> str:
    """As a server hands it on, which refuses line ends and NUL by itself."""
    return re.sub(r"[\r\n\0]", "", value).encode(errors="replace").decode("latin-1")


def to_the_api(url: str, method: str, good: dict[str, str], token: str, chance: Random) -> Ask:
    """JSON, with its pieces spoilt as text: so that it can say what no library would write."""
    fields = list(good.items())
    for _ in range(chance.randrange(3)):
        if fields and chance.random() < 0.7:
            place = chance.randrange(len(fields))
            fields[place] = (fields[place][0], chance.choice(JSON))
        else:
            fields.append(
                (chance.choice(['"value"', '"name"', '"description"', '"overlap_hours"', '"\\ud800"', '""']), chance.choice(JSON))
            )
    body = ("{" + ", ".join(f"{name}: {value}" for name, value in fields) + "}").encode(errors="replace")
    if chance.random() < 0.2:
        body = chance.choice(BODIES)
    if chance.random() < 0.1:
        body = body.decode(errors="replace").encode(chance.choice(["utf-16", "utf-32", "utf-7", "utf-8-sig"]))
    headers = {"Authorization": f"Bearer {token}"} if chance.random() < 0.95 else {}
    if chance.random() < 0.3:
        headers["Idempotency-Key"] = as_sent(chance.choice([*WORDS, "again"]))
    query = "?after=" + quote(chance.choice(WORDS)[:5000]) if method == "GET" or chance.random() < 0.1 else ""
    return Ask(method, url + query, body, chance.choice(["application/json", "application/json", *TYPES]), headers)
