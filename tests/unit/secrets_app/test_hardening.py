"""What other users of the machine get at: nothing, also where a folder was there before us or was made by an older version."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secrets_app import hardening

ROOT = Path(__file__).resolve().parent.parent.parent.parent
DATABASE = ("latchkey.sqlite3", "latchkey.sqlite3-wal", "latchkey.sqlite3-shm")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As an older version left it under the usual umask, with a database in use."""
    settings.DATA_DIR = folder = tmp_path / "data"
    there = SimpleNamespace(vendor="sqlite", settings_dict={"NAME": str(folder / DATABASE[0])})
    monkeypatch.setattr(hardening, "connection", there)
    folder.mkdir(mode=0o755)
    for name in DATABASE:
        (folder / name).touch(mode=0o644)
    (folder / "secret_key").touch(mode=0o600)
    (folder / "kms").mkdir(mode=0o700)
    return folder


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_folder_and_a_database_that_others_could_read_are_closed(folder: Path) -> None:
    assert len(hardening.readable_by_others()) == 4
    assert hardening.close_data_folder() == []
    assert mode(folder) == 0o700
    assert {mode(folder / name) for name in DATABASE} == {0o600}
    assert hardening.readable_by_others() == []


def test_a_database_of_another_name_is_ours_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hardening.connection.settings_dict["NAME"] = str(folder / "console.db")
    (folder / "console.db").touch(mode=0o644)
    assert hardening.close_data_folder() == []
    assert (mode(folder), mode(folder / "console.db")) == (0o700, 0o600)


def test_a_folder_that_is_not_ours_alone_is_told_and_left_and_the_database_is_closed(folder: Path) -> None:
    (folder / "somebody-elses").touch()
    (told,) = hardening.close_data_folder()
    assert f"chmod 700 {folder}" in told
    assert mode(folder) == 0o755
    assert {mode(folder / name) for name in DATABASE} == {0o600}


def test_a_folder_for_everybody_is_never_closed(folder: Path) -> None:
    folder.chmod(0o1777)
    assert len(hardening.close_data_folder()) == 1
    assert mode(folder) == 0o1777


def test_what_this_user_may_not_change_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    assert len(hardening.close_data_folder()) == 4


def test_a_database_elsewhere_is_not_a_file_of_ours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardening.connection, "vendor", "postgresql")
    assert hardening.readable_by_others() == [folder]


def test_a_folder_that_is_not_there_yet_is_nothing_to_tell(folder: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DATA_DIR = folder / "not-yet"
    hardening.connection.settings_dict["NAME"] = str(settings.DATA_DIR / DATABASE[0])
    assert hardening.close_data_folder() == []
    assert hardening.readable_by_others() == []


def test_commands_write_for_their_user_alone_and_prepare_closes_what_was_open(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    run(data, "manage.py", "migrate", "--verbosity", "0")
    assert mode(data / DATABASE[0]) == 0o600
    (data / DATABASE[0]).chmod(0o644)
    run(data, "manage.py", "prepare")
    assert mode(data) == 0o700
    assert {mode(file) & 0o077 for file in data.rglob("*")} == {0}


def test_what_is_served_to_everybody_may_be_read_by_everybody(tmp_path: Path) -> None:
    """A proxy of another user's may serve what collectstatic wrote."""
    code = (
        "import django; django.setup(); from django.conf import settings; settings.STORAGES['staticfiles']['OPTIONS'] = {'location': %r}; "
        "from django.core.management import call_command; call_command('collectstatic', interactive=False, verbosity=0)"
    )
    run(tmp_path / "data", "-c", "import os; os.umask(0o077); " + code % str(tmp_path / "static"))
    assert {mode(path) for path in (tmp_path / "static").rglob("*") if path.is_dir()} == {0o755}
    assert {mode(path) for path in (tmp_path / "static").rglob("*") if path.is_file()} == {0o644}


def test_the_web_process_writes_for_its_user_alone(tmp_path: Path) -> None:
    assert run(tmp_path / "data", "-c", "import os, console.wsgi; print(oct(os.umask(0)))") == "0o77\n"


def test_the_web_process_leaves_no_core_file_and_nobody_looks_into_its_memory(tmp_path: Path) -> None:
    """Values pass through it while they are stored."""
    get_dumpable = 3
    code = (
        "import console.wsgi, ctypes, resource, sys; print(resource.getrlimit(resource.RLIMIT_CORE),"
        f"ctypes.CDLL(None).prctl({get_dumpable}) if sys.platform == 'linux' else 0)"
    )
    assert run(tmp_path / "data", "-c", code) == "(0, 0) 0\n"


def run(data: Path, *command: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONSOLE_", "DATABASE_URL", "DJANGO_"))}
    env = kept | {"CONSOLE_DATA_DIR": str(data), "DJANGO_SETTINGS_MODULE": "console.settings"}
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout
