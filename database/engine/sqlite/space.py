"""The space that the database file has: on its disk, within its own limit of pages, and inside the file."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection

from database.engine.sqlite.transactions import is_full
from database.engine.waiting import BUSY_TIMEOUT_S
from shared.errors import DiskFull

#: A limit of so many pages is SQLite's own, and none to speak of.
NO_LIMIT = 2**30


def free_disk(path: Path) -> int:
    """Return the free bytes of the disk that the database file grows on."""
    return shutil.disk_usage(path.parent).free


def free_pages(connection: Connection) -> int | None:
    """Bytes the database may still grow by its own limit of pages; None where it has none to speak of."""
    most = _ask(connection, "max_page_count")
    if most >= NO_LIMIT:
        return None
    return (most - _ask(connection, "page_count")) * _ask(connection, "page_size") + free_bytes(connection)


def free_bytes(connection: Connection) -> int:
    """Space inside the file that deleted rows left and new rows will take."""
    return _ask(connection, "freelist_count") * _ask(connection, "page_size")


def _ask(connection: Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())


def shrink(path: Path) -> tuple[int, int]:
    """Write the file anew without free space; nobody else may use it meanwhile.

    Returns
    -------
    bytes before, bytes after.

    Raises
    ------
    DiskFull
        The new file has no room beside the old one; nothing was changed.
    """
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = path.stat().st_size
        try:
            raw.execute("VACUUM")
        except sqlite3.OperationalError as error:
            if is_full(error):
                raise DiskFull from None
            raise
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return before, path.stat().st_size
