"""The lines that pages tell people to run reach this console's data folder and control plane."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from console import commands

ROOT = Path(settings.BASE_DIR)


def manage(*arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CONSOLE_", "DATABASE_", "DJANGO_"))}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_where_nothing_was_chosen_the_lines_are_short(settings: Any) -> None:
    settings.DATA_DIR, settings.XDS_PORT = ROOT / "var", 18000
    assert commands.create_user() == "uv run manage.py create_user NAME --role viewer"
    assert commands.run_xds() == "uv run manage.py run_xds"
    assert commands.run_gateway("gw-1", "node-1", 8081) == "uv run manage.py run_gateway --instance gw-1 --name node-1 --port 8081"


def test_another_data_folder_and_control_plane_stand_in_the_lines(settings: Any) -> None:
    settings.DATA_DIR, settings.XDS_PORT = Path("/srv/my latchkey"), 18953
    assert commands.change_password() == "uv run manage.py changepassword NAME --data-dir '/srv/my latchkey'"
    assert commands.run_xds() == "uv run manage.py run_xds --port 18953 --data-dir '/srv/my latchkey'"
    assert commands.run_gateway("gw-1", "n", 1).endswith("--port 1 --xds 127.0.0.1:18953 --data-dir '/srv/my latchkey'")


def test_every_command_takes_a_data_folder_and_an_empty_one_is_said_plainly(tmp_path: Path) -> None:
    ended = manage("create_user", "mei", "--role", "viewer", "--data-dir", str(tmp_path / "empty"))
    assert ended.returncode != 0
    assert "holds no Latchkey yet" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert manage("migrate", "--verbosity=0", f"--data-dir={tmp_path / 'mine'}").returncode == 0
    assert (tmp_path / "mine" / "latchkey.sqlite3").exists()
    made = manage("create_user", "mei", "--role", "viewer", "--data-dir", str(tmp_path / "mine"))
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--data-dir", "/dev/null/x"], "/dev/null/x cannot be a folder"), (["--web-port", "99999"], "99999 is no port")],
)
def test_what_up_cannot_use_is_said_plainly(arguments: list[str], told: str, tmp_path: Path) -> None:
    ended = manage("up", "--data-dir", str(tmp_path), *arguments)
    assert ended.returncode != 0
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
