#!/usr/bin/env python
import argparse
import os
import sys
from pathlib import Path

from django.core.management import execute_from_command_line
from django.db import DatabaseError, connection

from secrets_app.hardening import UMASK


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    os.umask(UMASK)
    arguments = take_data_dir(sys.argv)
    try:
        execute_from_command_line(arguments)
    except DatabaseError:
        if "secrets_app_user" in connection.introspection.table_names():
            raise
        sys.exit("This data folder holds no Latchkey yet. Name the folder of yours with --data-dir, or start one with `manage.py up`.")


def take_data_dir(arguments: list[str]) -> list[str]:
    """Every command takes `--data-dir X`. It decides where the database is, so it has to be known before the settings are read."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--data-dir", type=_folder)
    given, others = parser.parse_known_args(arguments)
    if given.data_dir:
        os.environ["CONSOLE_DATA_DIR"] = given.data_dir
    return others


def _folder(path: str) -> str:
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as refused:
        raise argparse.ArgumentTypeError(f"{path} cannot be a folder ({refused.strerror}). Choose another.") from None
    return path


if __name__ == "__main__":
    main()
