"""The space available to the database file: on its disk, within its page limit, and inside the file."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection

from database.engine.sqlite.transactions import is_full
from database.engine.waiting import BUSY_TIMEOUT_S
from shared.errors import DiskFull

#: A page limit this high is SQLite's default, and counts as no limit.
NO_LIMIT = 2**30
#: Kept free by whatever can wait, so that people can still sign in, and erase and tidy up.
RESERVE_BYTES = 64 * 1024 * 1024
NEARLY_FULL = (
    "The disk is nearly full: {free:,.0f} MB are free, and a reserve of {spare:,.0f} MB is kept for signing in and "
    "tidying up. Nothing was saved; free some space and try again."
)


def free_disk(path: Path) -> int:
    """Return the free bytes of the database file's disk."""
    return shutil.disk_usage(path.parent).free


def require_reserve(path: Path) -> None:
    """Raise DiskFull if what a person asks to be stored would use the reserve of the database file's disk."""
    free = free_disk(path)
    if free < RESERVE_BYTES:
        raise DiskFull(NEARLY_FULL.format(free=free / 1e6, spare=RESERVE_BYTES / 1e6))


def free_pages(connection: Connection) -> int | None:
    """Return the bytes that fit within the database's page limit; None if it has no limit."""
    most = _pragma(connection, "max_page_count")
    if most >= NO_LIMIT:
        return None
    return (most - _pragma(connection, "page_count")) * _pragma(connection, "page_size") + free_bytes(connection)


def free_bytes(connection: Connection) -> int:
    """Return the bytes inside the file that deleted rows left free for new ones."""
    return _pragma(connection, "freelist_count") * _pragma(connection, "page_size")


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())


def shrink(path: Path) -> tuple[int, int]:
    """Rewrite the file without free space; no other process may use it during that time.

    Returns
    -------
    bytes before, bytes after.

    Raises
    ------
    DiskFull
        The disk has no room for the new file beside the old one; nothing was changed.
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
