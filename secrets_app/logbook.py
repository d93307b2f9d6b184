"""The entries of the audit log as their chain is checked: rows of text in the order of chain.FIELDS, past the ORM, one at a time.

The ORM would turn every date and id into an object and the check back into text: seven times the work.
"""

from collections.abc import Generator
from contextlib import closing
from datetime import datetime

from django.db import OperationalError, connection

from secrets_app import chain

MOST = 2**63 - 1

_TABLE = "FROM secrets_app_auditentry WHERE seq > %s AND seq <= %s ORDER BY seq LIMIT %s"
_POSTGRES = {
    "actor_id": "replace(actor_id::text, '-', '')",
    "at": "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')",
    "facts": "facts::text",
    "operation": "replace(operation::text, '-', '')",
    "region_id": "replace(region_id::text, '-', '')",
}
_SQLITE = {"at": "at || ''"}  # an expression has no type, so the driver does not make a date of it
_A_FETCH = 2000  # rows that PostgreSQL sends at a time


def rows(after: int = 0, up_to: int = MOST, most: int = MOST) -> Generator[chain.Row, None, None]:
    """Those with after < seq <= up_to, the first `most` of them. Raises chain.Broken at one that the engine itself cannot read.

    For one consistent view open reading() around it, and close it before that ends. Memory does not grow with the log.
    """
    seq = after
    with closing(connection.chunked_cursor()) as cursor:
        if connection.vendor == "postgresql":
            cursor.itersize = _A_FETCH  # type: ignore[attr-defined]
        cursor.execute(_select(), [after, up_to, most])
        try:
            for row in cursor:
                yield row
                seq = row[11]
        except OperationalError as unreadable:
            if "decode" not in str(unreadable):
                raise
            raise chain.Broken(seq + 1, "it holds bytes that are no text") from None


def seq_before(moment: datetime) -> int:
    """The last entry written before that moment; 0 when there is none. Clocks may have gone back: entries are asked in their order."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT MIN(seq) FROM secrets_app_auditentry WHERE at >= %s", [connection.ops.adapt_datetimefield_value(moment)])
        (first,) = cursor.fetchone()
        if first is not None:
            return int(first) - 1
        cursor.execute("SELECT MAX(seq) FROM secrets_app_auditentry")
        (last,) = cursor.fetchone()
    return int(last or 0)


def _select() -> str:
    as_text = _POSTGRES if connection.vendor == "postgresql" else _SQLITE
    return f"SELECT {', '.join(as_text.get(column, column) for column in (*chain.FIELDS, 'prev_hash', 'hash'))} {_TABLE}"
