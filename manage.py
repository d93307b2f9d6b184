#!/usr/bin/env python
import os
import sys

from django.core.management import execute_from_command_line

from secrets_app.hardening import UMASK


def take_data_dir() -> None:
    """`up --data-dir X` decides where the database is, so it has to be known before the settings are read."""
    for position, argument in enumerate(sys.argv[2:], start=2):
        if argument.startswith("--data-dir="):
            os.environ["CONSOLE_DATA_DIR"] = argument.partition("=")[2]
        elif argument == "--data-dir" and len(sys.argv) > position + 1:
            os.environ["CONSOLE_DATA_DIR"] = sys.argv[position + 1]


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    take_data_dir()
    os.umask(UMASK)
    execute_from_command_line(sys.argv)
