"""Transactions other than deeds: long reads that must not take SQLite's one write lock, and row locks where the engine has them."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.apps import apps
from django.db import InterfaceError, OperationalError, connection
from django.db.models import Model, QuerySet

T = TypeVar("T", bound=Model)

CHANNEL = "latchkey_audit_log"  # on which PostgreSQL tells that the log has grown
HEAD = "SELECT seq FROM secrets_app_audithead WHERE id = 1"  # where it stands, for those whom an ORM query would cost too much
_TRIGGERS = 9  # at least, whichever the engine
_HELD = "55P03"  # lock_not_available
_AWAY = ("08", "57P")  # connection exceptions; the server shuts down, or starts


@contextmanager
def reading() -> Iterator[None]:
    """One consistent view of the database for several queries, without waiting for writers or holding them up.

    Under transaction_mode IMMEDIATE a plain atomic() around a read takes the write lock (a deed waited 0.84 s), so SQLite gets
    a raw deferred BEGIN. Inside an open transaction, as in tests, that transaction's view is already the one.
    """
    if connection.in_atomic_block:
        yield
        return
    connection.ensure_connection()
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("BEGIN DEFERRED")
        else:
            cursor.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield
        finally:
            cursor.execute("COMMIT")


def locked(rows: QuerySet[T]) -> QuerySet[T]:
    """The same rows, locked until the deed ends. SQLite's deeds hold its single write lock already."""
    return rows.select_for_update() if connection.features.has_select_for_update else rows


def alone_with(mark: bytes) -> None:
    """Until the deed ends nobody else comes past here with the same mark: where a rule is looked up and no constraint holds it.

    SQLite's deeds follow one another anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(mark[:8], "big", signed=True)])


def held_up(failure: BaseException | None) -> bool:
    """Somebody else held a lock for longer than the engine waits (console/settings.py)."""
    said = failure.__cause__ if isinstance(failure, OperationalError) else None
    busy = getattr(said, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF  # an extended code says why
    return busy in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or getattr(said, "sqlstate", None) == _HELD


def cut_off(failure: BaseException | None) -> bool:
    """PostgreSQL cannot be reached, or ended the connection."""
    if connection.vendor != "postgresql" or not isinstance(failure, OperationalError | InterfaceError):
        return False
    return (getattr(failure.__cause__, "sqlstate", None) or "08").startswith(_AWAY)


def refuses_changes_of_the_log() -> bool:
    """Whether the triggers of migration 0002 are there and on. A table that a migration builds anew on SQLite loses its own."""
    tables = ["secrets_app_auditentry", "secrets_app_audithead", "secrets_app_sealedepoch"]
    asked = (
        "SELECT COUNT(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN (%s, %s, %s)"
        if connection.vendor == "sqlite"
        else "SELECT COUNT(*) FROM pg_trigger WHERE tgrelid IN (%s::regclass, %s::regclass, %s::regclass)"
        " AND NOT tgisinternal AND tgenabled IN ('O', 'A')"
    )
    with connection.cursor() as cursor:
        cursor.execute(asked, tables)
        return bool(cursor.fetchone()[0] >= _TRIGGERS)


def announce() -> None:
    """Wakes whoever listens on CHANNEL, when this transaction commits and not before. SQLite's own file tells who watches it."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {CHANNEL}")


def lacking() -> str:
    """A column ("gateway_node.token_hash") that the code uses and the migrated database has not, or "".

    Before the first release migrations are rewritten in place, and an older database counts as migrated all the same.
    """
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        for model in apps.get_models(include_auto_created=True):
            table = model._meta.db_table
            there = {row.name for row in connection.introspection.get_table_description(cursor, table)} if table in tables else set()
            for field in model._meta.local_concrete_fields:
                if field.column not in there:
                    return f"{table}.{field.column}"
    return ""
