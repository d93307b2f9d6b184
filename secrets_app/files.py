"""Private files of the data folder: 0600, written whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_private(file: Path, content: bytes, *, replace: bool = True) -> bool:
    """Write `content` with mode 0600 in a folder of mode 0700, durably and in one step.

    With replace=False an existing file wins and False is returned: two processes that start at once agree on one content.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        if replace:
            os.replace(draft, file)
        else:
            try:
                os.link(draft, file)  # fails where os.replace would overwrite
            except FileExistsError:
                return False
        _sync_folder(file.parent)
        return True
    finally:
        Path(draft).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
