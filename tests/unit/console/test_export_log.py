"""The audit log as files: what the filter shows and no more, itself an entry first, and nothing in it that a reader would obey."""

import csv
import io
import json
import re
import tracemalloc
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection
from django.test import Client

from console.exports import COLUMNS, lines
from secrets_app import chain
from secrets_app.actor import Actor, Held
from secrets_app.errors import Invalid, NotAllowed
from secrets_app.models import AuditEntry, Key, Region, RoleGrant, User, deed
from secrets_app.models.exporting import Export
from secrets_app.models.looking import Search
from secrets_app.scope import Scope
from tests import cast, long_log


def export(client: Client, form: str, query: str = "") -> bytes:
    answer: Any = client.post(f"/audit/export/{query}", {"format": form})
    assert answer.status_code == 200
    return b"".join(answer.streaming_content)


def as_json(client: Client, query: str = "") -> list[dict[str, Any]]:
    return [json.loads(line) for line in export(client, "jsonl", query).splitlines()]


def as_csv(client: Client, query: str = "") -> list[list[str]]:
    return list(csv.reader(io.StringIO(export(client, "csv", query).decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("audrey", 200), ("kim", 403), ("olive", 403), ("vera", 403), ("mallory", 403)]
)
def test_auditors_and_owners_export_the_log(region: Region, who: str, status: int) -> None:
    client = cast.client(who)
    assert client.get("/audit/export/").status_code == status
    assert client.post("/audit/export/", {"format": "csv"}).status_code == status


def test_the_entry_about_it_is_there_before_the_first_line_leaves(region: Region) -> None:
    cast.key(region, "openai_prod")
    answer: Any = cast.client("audrey").post("/audit/export/?action=key.create", {"format": "jsonl"})
    entry = AuditEntry.objects.latest("seq")
    assert (entry.actor, entry.action, entry.target_kind) == ("audrey", "audit.export", "deployment")
    assert entry.facts == {"format": "jsonl", "entries": 1, "filter": ["action=key.create"], "upto": entry.seq - 1}
    assert answer["X-Entries"] == "1"
    assert re.fullmatch(r'attachment; filename="audit-log-\d{8}T\d{6}Z\.jsonl"', answer["Content-Disposition"])
    assert answer["Cache-Control"] == "no-store"
    assert len(list(answer.streaming_content)) == 1


def test_a_log_that_cannot_be_written_exports_nothing(region: Region) -> None:
    client = cast.client("audrey")
    client.raise_request_exception = False
    with patch.object(AuditEntry, "save", side_effect=OSError("disk full")):
        assert client.post("/audit/export/", {"format": "csv"}).status_code == 500


def test_what_is_exported_is_what_the_filter_shows(region: Region) -> None:
    other = Region.create("eu", "Europe", by=cast.SETUP)
    Key.create(region, "openai_prod", cast.value(), by=cast.actor("kim"))
    Key.create(other, "mistral", cast.value(), by=cast.actor("kim"))
    client = cast.client("audrey")
    assert [said["target"] for said in as_json(client, "?actor=kim")] == ["openai_prod", "mistral"]
    assert [said["target"] for said in as_json(client, "?actor=kim&region=eu")] == ["mistral"]
    assert [row[6] for row in as_csv(client, "?actor=KIM&object=OPEN")[1:]] == ["openai_prod"]
    assert as_json(client, "?actor=nobody") == []
    assert client.post("/audit/export/?since=yesterday", {"format": "csv"}).status_code == 303
    assert client.post("/audit/export/", {"format": "xlsx"}).status_code == 422


def test_the_exact_form_can_be_checked_elsewhere(region: Region) -> None:
    cast.key(region, "one").rotate(cast.value(), by=cast.actor("kim"))
    head = chain.GENESIS
    for said in as_json(cast.client("audrey")):
        row = tuple(json.dumps(said[name]) if name == "facts" else said[name] for name in chain.FIELDS)
        assert said["prev_hash"] == head
        assert chain.digest_of_row(row, head) == said["hash"]
        head = said["hash"]


HOSTILE = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff201",
    "a;=1+1",
    'a",=1+1',
    "a\t=1",
    "\u00a0=1",
    "\u200b=1",
    "\ufeff=1",
    "a\nb",
    "a\r\nb",
    "a\x1b[31mb",
    "a\u0085b",
    "a\u2028b",
    "a\u2029b",
    "a\u202eb",
    "a\u2066b",
    "a\x7fb",
    "a\x9bb",
    "a\ud800b",
]
COMMANDS = re.compile("^\\s*['\"]?\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20]")
MOVES = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b\ufeff]")


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_what_people_typed_commands_no_spreadsheet_and_no_terminal(text: str) -> None:
    entry = AuditEntry.objects.model(
        seq=1,
        at=long_log.BEGAN,
        actor=text,
        action="key.create",
        target=text,
        facts={text: text, "list": [text]},
        outcome="ok",
        region=text,
    )
    whole = b"".join(lines([entry], "csv")).decode("utf-8-sig")
    _head, row, *more = whole.split("\r\n")
    assert more == [""], "one entry, one line"
    assert not MOVES.search(row)
    for cell in next(csv.reader([row])):
        assert not re.match("\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20]", cell), cell
    for part in re.split("[;\t]", row)[1:]:  # as another spreadsheet would split it
        assert not re.match("\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20]", part), part

    exact = b"".join(lines([entry], "jsonl"))
    assert exact.isascii()
    assert exact.count(b"\n") == 1
    assert not MOVES.search(exact.decode().rstrip("\n"))
    assert json.loads(exact)["actor"] == text


def test_ordinary_cells_stay_as_they_are() -> None:
    entry = AuditEntry.objects.model(
        seq=1, at=long_log.BEGAN, actor="o'neill-smith", target="gw-1a2b", facts={"overlap": -1, "note": "a - b"}
    )
    row = next(csv.reader([b"".join(lines([entry], "csv")).decode("utf-8-sig").split("\r\n")[1]]))
    said = dict(zip(COLUMNS, row, strict=True))
    assert (said["actor"], said["target"], said["facts"]) == ("o'neill-smith", "gw-1a2b", '{"note": "a - b", "overlap": -1}')


def auditor_of(*regions: Region) -> User:
    user = cast.person("mallory")
    for region in regions:
        RoleGrant.objects.create(user=user, role="auditor", region_id=region.pk)
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_an_auditor_of_a_region_exports_that_regions_entries_alone(region: Region) -> None:
    other = Region.create("eu", "Europe", by=cast.SETUP)
    cast.key(region, "here")
    cast.key(other, "there")
    client = signed_in(auditor_of(other))
    for query in ("", "?object=there", "?region=eu", "?actor=tests"):
        assert {said["region"] for said in as_json(client, query)} == {"eu"}, query
    assert as_json(client, "?object=here") == []
    entry = AuditEntry.objects.filter(action="audit.export").latest("seq")
    assert (entry.region, entry.target) == ("eu", "eu")


def test_who_may_export_several_regions_says_which(region: Region) -> None:
    other = Region.create("eu", "Europe", by=cast.SETUP)
    third = Region.create("us", "States", by=cast.SETUP)
    client = signed_in(auditor_of(region, other))
    answer = client.post("/audit/export/", {"format": "csv"})
    assert (answer.status_code, b"Choose a region" in answer.content) == (422, True)
    assert {said["region"] for said in as_json(client, "?region=eu")} == {"eu"}
    assert client.post("/audit/export/?region=us", {"format": "csv"}).status_code == 303, "that region is not told apart from none"
    with pytest.raises(NotAllowed):
        Export.of(Search(region_id=third.pk), "csv", by=auditor_of().as_actor())
    with pytest.raises(Invalid):
        Export.of(Search(), "csv", by=auditor_of().as_actor())


def test_a_token_confined_to_a_region_exports_no_more(region: Region) -> None:
    Region.create("eu", "Europe", by=cast.SETUP)
    confined = Actor("audrey", frozenset({Held("auditor")})).confined(Scope(region.pk), ["audit.view", "audit.export"])
    assert {entry.region for entry in Export.of(Search(), "csv", by=confined)} == {"local"}


def test_memory_does_not_grow_with_the_log(region: Region) -> None:
    long_log.write(12_000)
    by = cast.actor("audrey")

    def peak(count: int) -> int:
        made = Export.of(Search(until=long_log.BEGAN + long_log.timedelta(seconds=count)), "csv", by=by)
        tracemalloc.start()
        written = sum(1 for _line in lines(made, "csv"))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert written >= count
        return used

    small, large = peak(1500), peak(11_000)
    assert large < small * 1.5 + 500_000


@pytest.fixture
def behind(transactional_db: None) -> Region:
    return cast.deployment()


def test_an_export_shows_one_state_of_the_log_however_long_it_takes(behind: Region) -> None:
    for number in range(5):
        cast.key(behind, f"key_{number}")
    made = iter(Export.of(Search(action="key.create"), "csv", by=cast.actor("audrey")))
    first = next(made)
    assert connection.in_atomic_block is False
    assert [first.target, *(entry.target for entry in made)] == [f"key_{number}" for number in range(5)]
    with deed(cast.SETUP, "key.bind", behind):
        pass  # the connection is free again
