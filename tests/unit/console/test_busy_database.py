"""A lock that stays held, and a database that is away, become a page that says so."""

import runpy
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from secrets_app.models import AuditHead, Key, Region
from secrets_app.models.token import ApiToken
from tests import cast

pytestmark = pytest.mark.django_db(transaction=True)

NEW = {"name": "held", "generation": "custom", "value": "sk-held-up-0123456789", "description": ""}


@contextmanager
def held() -> Iterator[None]:
    """Somebody else stays within a deed, and this side of it does not wait for seconds."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 50" if connection.vendor == "sqlite" else "SET lock_timeout = '50ms'")
    with closing(_another()) as other:
        try:
            yield
        finally:
            other.rollback()
            connection.close()


def _another() -> "sqlite3.Connection | psycopg.Connection":
    if connection.vendor == "sqlite":
        lite = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
        lite.execute("BEGIN IMMEDIATE")
        return lite
    other = psycopg.connect(**_parameters())
    other.execute("SELECT * FROM secrets_app_audithead FOR UPDATE")
    return other


def _parameters() -> dict[str, Any]:
    return {name: value for name, value in connection.get_connection_params().items() if name not in ("cursor_factory", "context")}


@pytest.fixture
def region() -> Region:
    return cast.deployment()


def test_who_waits_too_long_for_somebody_elses_deed_is_told(region: Region) -> None:
    alice, newcomer = (cast.client(name, raise_request_exception=False) for name in ("alice", "kim"))
    assert alice.get("/local/").status_code == 200
    _token, text = ApiToken.create("ci", None, ["key.create"], 1, by=cast.actor("alice"))
    seq = AuditHead.objects.get().seq
    with held():
        answer = alice.post("/local/keys/new/", NEW)
        assert (answer.status_code, answer["Retry-After"], answer["Cache-Control"]) == (503, "5", "no-store")
        assert "The database is busy" in answer.text
        assert "look whether your change was made" in answer.text
        assert NEW["value"] not in answer.text
        part = alice.post("/local/keys/new/", NEW, headers={"HX-Request": "true", "HX-Target": "panel"})
        assert (part.status_code, part["HX-Reswap"], part["HX-Trigger"], part.text) == (503, "none", "database-away", "")
        asked = alice.post("/api/v1/local/keys/", NEW, "application/json", headers={"Authorization": f"Bearer {text}"})
        assert (asked.status_code, asked.json()["code"]) == (503, "database_busy")
        assert alice.get("/local/keys/").status_code == 200
        assert newcomer.get("/local/keys/").status_code == (503 if connection.vendor == "sqlite" else 200)  # notes the region
    assert (Key.objects.count(), AuditHead.objects.get().seq) == (0, seq)
    assert alice.post("/local/keys/new/", NEW).status_code == 303


@pytest.mark.usefixtures("region")
def test_what_else_breaks_is_not_laid_at_its_door(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("something else")

    alice = cast.client("alice", raise_request_exception=False)
    monkeypatch.setattr(Key, "create", broken)
    answer = alice.post("/local/keys/new/", NEW)
    assert answer.status_code == 500
    assert "Something went wrong in the console" in answer.text


@pytest.mark.usefixtures("region")
def test_while_postgresql_is_away_it_says_so() -> None:
    """SQLite is in the same process, and never is."""
    alice = cast.client("alice", raise_request_exception=False)
    if connection.vendor == "postgresql":
        with psycopg.connect(**_parameters(), autocommit=True) as other:
            connection.ensure_connection()
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        answer = alice.get("/local/keys/")
        assert (answer.status_code, "The database does not answer" in answer.text) == (503, True)
        connection.close()  # as the end of a request does where it broke
    assert alice.get("/local/keys/").status_code == 200


def test_on_postgresql_everything_waits_five_seconds_for_a_lock_unless_the_address_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {}
    for asked in ("", "?options=-c%20lock_timeout%3D9s", "?options=-c%20search_path%3Dlatchkey&sslmode=require"):
        monkeypatch.setenv("DATABASE_URL", f"postgres://latchkey@db.example.com/latchkey{asked}")
        said[asked] = runpy.run_path(str(settings.BASE_DIR / "console" / "settings.py"))["DATABASES"]["default"]["OPTIONS"]
    assert list(said.values()) == [
        {"options": "-c lock_timeout=5s"},
        {"options": "-c lock_timeout=5s -c lock_timeout=9s"},
        {"options": "-c lock_timeout=5s -c search_path=latchkey", "sslmode": "require"},
    ]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone() == ("5s",)
