"""What others on this machine could get at: files, and the memory of processes through which values pass.

The database holds sessions: whoever reads it can be anybody.
"""

import ctypes
import re
import resource
import stat
import sys
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _

UMASK = 0o077  # of every process of ours: what it writes is its user's alone

_PR_SET_DUMPABLE = 4
_OURS = re.compile(r"kms|audit|logs|nodes|secret_key|demo\.json|(latchkey|test)\w*\.sqlite3(-\w+)?|\..*")


def keep_memory_private() -> None:
    """Values are in it: no core file holds them, and no other process of the same user can look into it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)


def readable_by_others() -> list[Path]:
    """Of the data folder and the files of an SQLite database, those that another user may open or look into."""
    return [path for path in (_folder(), *_database()) if path.exists() and path.stat().st_mode & UMASK]


def close_data_folder() -> list[str]:
    """Take the rights of others away. What could not be closed is told, with the command that does it.

    A folder that holds more than ours is told and left: closing /tmp or /var/lib would break the machine for everybody else.
    """
    told = []
    for path in readable_by_others():
        wanted = 0o700 if path.is_dir() else 0o600
        try:
            if path.is_file() or _is_ours_alone(path):
                path.chmod(wanted)
                continue
        except OSError:
            pass
        told.append(_("Others on this machine may open %(path)s. Run: chmod %(mode)s %(path)s") % {"path": path, "mode": f"{wanted:o}"})
    return told


def _folder() -> Path:
    return Path(settings.DATA_DIR)


def _database() -> list[Path]:
    if connection.vendor != "sqlite":
        return []
    name = str(connection.settings_dict["NAME"])
    return [Path(name + suffix) for suffix in ("", "-wal", "-shm", "-journal")]


def _is_ours_alone(folder: Path) -> bool:
    for_everybody = folder.stat().st_mode & stat.S_ISVTX
    return not for_everybody and all(_OURS.fullmatch(path.name) or path in _database() for path in folder.iterdir())
