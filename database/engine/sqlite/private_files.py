"""Files that only their owner can read, in a folder that is created if missing.

Law: SQLite gives a database's log and shared memory the permissions of the database.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO

from shared.errors import InvalidInput

UNWRITABLE = "The database folder {folder} can't be written: {why}. Set DATABASE_PATH."
_OTHERS = 0o077


def opened(path: Path) -> TextIO:
    """Open a file for appending; create it if it does not exist.

    Raises
    ------
    InvalidInput
        The folder can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        raise InvalidInput(UNWRITABLE.format(folder=path.parent, why=error.strerror)) from None
    return os.fdopen(handle, "a", encoding="ascii")


def close_to_others(path: Path) -> None:
    """Create a database file if it does not exist, and remove all permissions but its owner's.

    An existing file is not opened: closing it would release the locks that SQLite holds on it in this process.
    """
    if not path.exists():
        opened(path).close()
        return
    found = path.stat()
    if found.st_mode & _OTHERS and found.st_uid == os.geteuid():
        path.chmod(found.st_mode & ~_OTHERS & 0o7777)
