"""Transactions other than deeds: long reads that must not take SQLite's one write lock, and row locks where the engine has them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import connection
from django.db.models import Model, QuerySet

T = TypeVar("T", bound=Model)


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
