"""An audit log as long as a test needs, written at once: through the deeds themselves 10,000 entries take a minute."""

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from secrets_app import chain
from secrets_app.models import AuditEntry, AuditHead
from tests.openlog import open_log

_FIELDS = (*chain.FIELDS, "prev_hash", "hash")
_SEQ = chain.FIELDS.index("seq")
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_ACTIONS = (
    ("key.rotate", "key", {"version": 3, "previous": 2, "overlap_hours": 24, "holders": 12}),
    ("key.create", "key", {"version": 1, "generated": True}),
    ("consumer.disable", "consumer", {}),
    ("user.sign_in", "user", {}),
    ("service.edit", "ai_service", {"instance": "gw-1", "changed": ["address"], "address": "https://api.example.com/v1"}),
)


_PEOPLE = {who: uuid.uuid5(uuid.NAMESPACE_OID, who) for who in ("kim", "alice", "olive", "carol")}


def write(entries: int, region: tuple[uuid.UUID, str] | None = None, *, began: datetime = BEGAN, apart: float = 1.0) -> None:
    """Behind what is there, `apart` seconds between two. The same every time in the same place."""
    head, _new = AuditHead.objects.get_or_create(pk=1)
    fields = [AuditEntry._meta.get_field(name) for name in _FIELDS]
    columns, marks = ", ".join(field.column for field in fields), ", ".join(["%s"] * len(fields))
    ends = [head.seq, head.hash]

    def rows() -> Iterator[list[Any]]:
        for row in _rows(entries, head, region or (uuid.UUID(int=1), "local"), began, apart):
            ends[:] = [row[_SEQ], row[-1]]
            yield [field.get_db_prep_save(value, connection) for field, value in zip(fields, row, strict=True)]

    with transaction.atomic(), open_log(), connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO secrets_app_auditentry ({columns}) VALUES ({marks})", rows())  # noqa: S608
        cursor.execute("UPDATE secrets_app_audithead SET seq = %s, hash = %s WHERE id = 1", ends)


def _rows(count: int, head: AuditHead, region: tuple[uuid.UUID, str], began: datetime, apart: float) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(head.seq)
    before = head.hash
    for number in range(1, count + 1):
        action, kind, facts = chance.choice(_ACTIONS)
        who, thing = chance.choice(list(_PEOPLE)), chance.randint(1, 9_999)
        facts = facts | ({"version": number % 90} if "version" in facts else {})
        outcome = "refused" if chance.random() < 0.02 else "ok"
        operation, request = uuid.UUID(int=chance.getrandbits(128)), uuid.UUID(int=chance.getrandbits(128)).hex
        row = (
            action, who, _PEOPLE[who], f"203.0.113.{chance.randint(1, 250)}",
            began + timedelta(seconds=number * apart, microseconds=number % 999_983), facts, operation, outcome, region[1], region[0],
            request, head.seq + number, f"{chance.getrandbits(64):016x}", f"thing_{thing}", str(uuid.UUID(int=thing)), kind,
        )  # fmt: skip
        digest = chain.digest(dict(zip(chain.FIELDS, row, strict=True)), before)
        yield (*row, before, digest)
        before = digest
