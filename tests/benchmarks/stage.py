"""A running `up` whose database this process shares: deeds are done here, their effect is measured from outside."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes import Up


@contextmanager
def running_up(*options: str) -> Iterator[Up]:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        up = Up(data, *options)
        try:
            up.wait_until_announced()
            _connect(data, up)
            yield up
        finally:
            from django.db import connection

            connection.close()
            up.stop()


def _connect(data: Path, up: Up) -> None:
    os.environ["CONSOLE_DATA_DIR"] = str(data)
    os.environ["DJANGO_SETTINGS_MODULE"] = "console.settings"
    import django
    from django.conf import settings
    from django.db import connections

    if settings.configured:
        # A later part of the same run has a stage of its own.
        settings.DATA_DIR = data
        connections.settings["default"]["NAME"] = str(data / "latchkey.sqlite3")
        connections["default"].close()
        connections["default"].settings_dict["NAME"] = str(data / "latchkey.sqlite3")
    else:
        django.setup()
    settings.WEB_PORT, settings.XDS_PORT, settings.GATEWAY_PORT = up.web, up.xds, up.gateway


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
