"""What is configured so that it will go wrong is said at start."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import connection

from secrets_app.kms import builtin


def said(**kwargs: Any) -> set[str]:
    return {str(message.id) for message in run_checks(**kwargs) if str(message.id).startswith("latchkey.")}


@pytest.fixture(autouse=True)
def data_folder(settings: Any, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
    return tmp_path


def test_a_machine_of_ones_own_hears_nothing() -> None:
    assert said() == set()


@pytest.mark.parametrize("host", ["console.example.com", "*", ".example.com", "192.0.2.7"])
def test_debug_pages_never_leave_the_machine(settings: Any, host: str) -> None:
    settings.DEBUG, settings.SECURE, settings.TRUSTED_PROXIES = True, True, ["127.0.0.1"]
    assert said() == set()
    settings.ALLOWED_HOSTS = ["localhost", host]
    assert said() == {"latchkey.E001"}


def test_a_public_console_wants_tls(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["console.example.com"]
    assert said() == {"latchkey.W003"}
    settings.SECURE, settings.TRUSTED_PROXIES = True, ["127.0.0.1"]
    assert said() == set()


def test_tls_without_a_proxy_to_believe_is_said(settings: Any) -> None:
    settings.SECURE = True
    assert said() == {"latchkey.W006"}
    settings.TRUSTED_PROXIES = ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"]
    assert said() == set()


@pytest.mark.parametrize("wrong", ["proxy.example.com", "10.0.0.0/33", "", "*"])
def test_a_proxy_that_is_no_address_is_said(settings: Any, wrong: str) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.1", wrong]
    assert said() == {"latchkey.E002"}


@pytest.mark.parametrize("missing", [builtin.PUBLIC, builtin.FINGERPRINT_KEY])
def test_a_missing_part_of_the_keyring_is_said(data_folder: Path, missing: str) -> None:
    builtin.create_keyring(data_folder / "kms")
    assert said() == set()
    (data_folder / "kms" / missing).unlink()
    assert said() == {"latchkey.W001"}


def test_a_private_half_that_others_may_read_is_said(data_folder: Path) -> None:
    builtin.create_keyring(data_folder / "kms")
    (data_folder / "kms" / builtin.PRIVATE).chmod(0o640)
    assert said() == {"latchkey.W002"}


def test_a_web_process_without_the_private_half_is_as_it_should_be(data_folder: Path) -> None:
    builtin.create_keyring(data_folder / "kms")
    (data_folder / "kms" / builtin.PRIVATE).unlink()
    assert said() == set()


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o705, 0o711])
def test_a_data_folder_that_others_may_look_into_is_said(data_folder: Path, mode: int) -> None:
    data_folder.chmod(mode)
    assert said() == {"latchkey.W005"}
    data_folder.chmod(0o700)
    assert said() == set()


def test_a_database_that_others_may_read_is_said(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = data_folder / "elsewhere.sqlite3"
    database.touch(mode=0o644)
    monkeypatch.setitem(connection.settings_dict, "NAME", str(database))
    database.chmod(0o644)
    assert said() == {"latchkey.W005"}


def test_an_sqlite_with_the_wal_reset_bug_is_said_before_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 2))
    assert "latchkey.W004" in said(include_deployment_checks=True)
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    assert "latchkey.W004" not in said(include_deployment_checks=True)
