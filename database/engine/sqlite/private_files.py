"""Files that their owner alone reads, in a folder that is made where it is missing.

Law: SQLite gives the log and the shared memory beside a database the rights of the database itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO

from shared.errors import InvalidInput

UNWRITABLE = "The database folder {folder} can't be written: {why}. Set DATABASE_PATH."
_OTHERS = 0o077


def opened(path: Path) -> TextIO:
    """Open a file for appending, made if it is not there.

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
    """Make a database file if it is not there, and take everybody's rights to it but its owner's.

    One that is there is not opened: closing it would let go of the locks that SQLite holds on it in this process.
    """
    if not path.exists():
        opened(path).close()
        return
    there = path.stat()
    if there.st_mode & _OTHERS and there.st_uid == os.geteuid():
        path.chmod(there.st_mode & ~_OTHERS & 0o7777)
