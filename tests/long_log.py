"""An audit log as long as a test needs, written at once: through the deeds themselves 10,000 entries take a minute."""

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from secrets_app.models import AuditEntry, AuditHead

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_ACTIONS = (
    ("key.rotate", "key", {"version": 3, "previous": 2, "overlap_hours": 24, "holders": 12}),
    ("key.create", "key", {"version": 1, "generated": True}),
    ("consumer.disable", "consumer", {}),
    ("user.sign_in", "user", {}),
    ("service.edit", "ai_service", {"instance": "gw-1", "changed": ["address"], "address": "https://api.example.com/v1"}),
)


def write(entries: int, region: tuple[uuid.UUID, str] | None = None, *, began: datetime = BEGAN, apart: float = 1.0) -> None:
    """Behind what is there, `apart` seconds between two. The same every time but for ids."""
    head, _new = AuditHead.objects.get_or_create(pk=1)
    fields = AuditEntry._meta.concrete_fields
    columns = ", ".join(field.column for field in fields)
    last: list[Any] = [head.seq, head.hash]

    def values() -> Iterator[list[Any]]:
        for entry in _entries(entries, head, region, began, apart):
            last[:] = [entry.seq, entry.hash]
            yield [field.get_db_prep_save(getattr(entry, field.attname), connection) for field in fields]

    with transaction.atomic(), connection.cursor() as cursor:
        for row in values():
            cursor.execute(f"INSERT INTO secrets_app_auditentry ({columns}) VALUES ({', '.join(['%s'] * len(fields))})", row)  # noqa: S608
            cursor.execute("UPDATE secrets_app_audithead SET seq = %s, hash = %s WHERE id = 1", last)


def _entries(count: int, head: AuditHead, region: tuple[uuid.UUID, str] | None, began: datetime, apart: float) -> Iterator[AuditEntry]:
    chance = random.Random(7)
    place = region or (uuid.UUID(int=1), "local")
    before = head.hash
    for number in range(1, count + 1):
        action, kind, facts = chance.choice(_ACTIONS)
        who = chance.choice(("kim", "alice", "olive", "carol"))
        entry = AuditEntry(
            seq=head.seq + number, at=began + timedelta(seconds=number * apart, microseconds=number % 999_983), region_id=place[0],
            region=place[1], actor=who, actor_id=uuid.uuid5(uuid.NAMESPACE_OID, who), address=f"203.0.113.{chance.randint(1, 250)}",
            request_id=uuid.UUID(int=chance.getrandbits(128)).hex, session=f"{chance.getrandbits(64):016x}", action=action,
            outcome="refused" if chance.random() < 0.02 else "ok", target_kind=kind, target_id=str(uuid.UUID(int=chance.randint(1, 9_999))),
            target=f"thing_{chance.randint(1, 9_999)}", facts=facts | ({"version": number % 90} if "version" in facts else {}),
            operation=uuid.UUID(int=chance.getrandbits(128)), prev_hash=before,
        )  # fmt: skip
        entry.hash = before = entry.digest()
        yield entry
