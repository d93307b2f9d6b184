"""Thousands of requests that no form would make: none may break the console, and nothing typed may come back as markup.

SOAK says how many are made of each address, instead of a twentieth of a thousand; another HOSTILE_SEED makes others.
"""

import os
import random
import time
from urllib.parse import quote, urlencode
from uuid import UUID

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import Client

from secrets_app.models import AuditEntry, Key
from tests import cast
from tests.security.corpus import BROKEN_QUERIES, FIELDS, HEADERS, MARKUP, PAIRS, TYPES, USED, WORDS
from tests.security.policy import ROWS, Row
from tests.security.world import World

TIMES = int(os.environ.get("SOAK", "50"))
SEED = int(os.environ.get("HOSTILE_SEED", "1"))
AWAY = {"readyz", "service-test", "mcp-test"}  # they ask the control plane, which is not there: 503 says so
SHARE = min(len(PAIRS), max(TIMES // 2, 1))  # of the pairs, at each address its own


@pytest.mark.parametrize("name", ROWS)
def test_nothing_that_is_sent_breaks_the_console(world: World, name: str) -> None:
    row, chance = ROWS[name], random.Random(f"{SEED} {name}")
    client = cast.client("alice")
    for number in range(TIMES):
        # Signed in again now and then: some of what is sent signs out, or ends the session.
        if number % 10 == 0 or name in ("sign-in", "sign-out"):
            client = cast.client(chance.choice(["alice", "alice", "kim", "olive", "mallory", ""]))
        said, answer = send(client, row, name, world, chance)
        assert answer.status_code < 500 or (name in AWAY and answer.status_code == 503), f"HOSTILE_SEED={SEED}: {said}"
        text = b"".join(answer).decode(errors="replace") if answer.streaming else answer.content.decode(errors="replace")  # type: ignore[arg-type]
        assert "<img src=x onerror" not in text, f"HOSTILE_SEED={SEED}: {said}"
        assert "<script>hostile" not in text, f"HOSTILE_SEED={SEED}: {said}"
        assert "Traceback" not in text, f"HOSTILE_SEED={SEED}: {said}"
        assert not any("\n" in value or "\r" in value for value in answer.headers.values()), f"HOSTILE_SEED={SEED}: {said}"
    assert AuditEntry.verify().bad is None


@pytest.mark.parametrize("name", ROWS)
def test_the_worst_of_each_field_breaks_no_address(world: World, name: str) -> None:
    """In the query and in the form, whether or not it has such a field. Of a soak all of them."""
    Key.create(world.region, "used", cast.value(), by=cast.SETUP, once=UUID(USED))
    row, client = ROWS[name], cast.client("alice")
    url, started = row.url(name, world), time.process_time()
    for number, (field, value) in enumerate(random.Random(f"{SEED} {name}").sample(PAIRS, SHARE)):
        if name in ("sign-in", "sign-out"):
            client = cast.client("alice" if number % 2 else "")
        body = row.body(world) if row.body else {}
        point = transaction.savepoint()
        answers = [client.get(f"{url}?{urlencode({field: value})}"), client.post(url, body | {field: value})]
        transaction.savepoint_rollback(point)
        for answer in answers:
            assert answer.status_code < 500 or (name in AWAY and answer.status_code == 503), f"{field}={value[:80]!r}"
    assert time.process_time() - started < SHARE, "more than half a second for an answer"


def send(client: Client, row: Row, name: str, world: World, chance: random.Random) -> tuple[str, HttpResponse]:
    url = address(row, name, world, chance)
    headers = {header: chance.choice(values) for header, values in HEADERS.items() if chance.random() < 0.08}
    fields = fields_of(row, world, chance)
    way = chance.choice(["get", "get", "post", "post", "post", "post", "raw", "upload", "odd"])
    said = f"{way} {url} {fields!r} {headers!r}"[:3000]
    if way == "get":
        query = chance.choice(BROKEN_QUERIES) if chance.random() < 0.15 else "&".join(f"{quote(k)}={quote(v)}" for k, v in fields)
        return said, client.get(f"{url}?{query}"[:8000], headers=headers)
    if way == "post":
        pairs: dict[str, list[str]] = {}
        for field, value in fields:
            pairs.setdefault(field, []).append(value)
        return said, client.post(url, pairs, headers=headers)
    if way == "upload":
        body = b"--x\r\n" + b"".join(part(k, v, chance) for k, v in fields)
        return said, client.generic("POST", url, body, "multipart/form-data; boundary=x", headers=headers)
    if way == "raw":
        body = chance.choice([b"", b"{", b"\xff\xfe" * 50, b"a=%", b"&" * 500, b"value=" + b"\xc3\x28" * 20, b"[" * 2000, os.urandom(64)])
        return said, client.generic("POST", url, body, chance.choice(TYPES), headers=headers)
    method = chance.choice(["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "QUERY", "\u00e9", "GET\x00", "x" * 100])
    return f"{method} {said}", client.generic(method, url, b"a=1", headers=headers)


def address(row: Row, name: str, world: World, chance: random.Random) -> str:
    """The row's own, or one with a piece of it exchanged for something else."""
    url = row.url(name, world)
    pieces = [piece for piece in url.split("/") if piece]
    if pieces and chance.random() < 0.25:
        pieces[chance.randrange(len(pieces))] = quote(chance.choice(WORDS)[:2000], safe=chance.choice(["", "/:%"]))
        url = "/" + "/".join(pieces) + chance.choice(["/", "", "//", "/."])
    return url


def fields_of(row: Row, world: World, chance: random.Random) -> list[tuple[str, str]]:
    """A good post with some of its fields spoilt, doubled, left out, or joined by strangers."""
    fields = list(row.body(world).items()) if row.body and chance.random() < 0.7 else []
    for _ in range(chance.randrange(6)):
        if fields and chance.random() < 0.6:
            place = chance.randrange(len(fields))
            fields[place] = (fields[place][0], chance.choice(WORDS))
        else:
            fields.append((chance.choice(FIELDS), chance.choice(WORDS)))
    if fields and chance.random() < 0.2:
        fields.pop(chance.randrange(len(fields)))
    if fields and chance.random() < 0.2:
        fields.append(chance.choice(fields))
    return fields


def part(field: str, value: str, chance: random.Random) -> bytes:
    file = chance.choice(["", "", '; filename="a.txt"', '; filename="../../x\x00.php"', "; filename*=utf-8''%00"])
    head = f'Content-Disposition: form-data; name="{field}"{file}\r\n' + chance.choice(
        ["", "Content-Type: text/plain; charset=nonsense\r\n"]
    )
    return head.encode() + b"\r\n" + value.encode() + b"\r\n--x" + chance.choice([b"\r\n", b"--\r\n", b""])


def test_what_people_name_things_never_becomes_markup(world: World) -> None:
    """Names that may hold anything, on every page that shows them."""
    cast.key(world.region, "described", description=MARKUP)
    cast.consumer(world.region, "described", description=MARKUP)
    cast.instance(world.region, MARKUP[:64])
    cast.client("mallory").get("/audit/", headers={"User-Agent": MARKUP})
    for name, row in ROWS.items():
        answer = cast.client("alice").get(row.url(name, world), follow=True)
        if name == "stylesheet":
            continue
        text = answer.content.decode()
        assert "<img src=x" not in text, name
        assert "<script>hostile" not in text, name
