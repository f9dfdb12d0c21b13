"""Keeps the write-ahead log short while readers follow one another.

Law: a commit stands whether or not the log can be emptied; a writer waits for readers for `PATIENCE_S` at most.

SQLite begins its log anew only when a writer comes while nobody reads from it. Threads of which one always reads leave
no such moment: the log then grows by all that is written, and each page that is not cached is looked for in all of it.
With the write lock held and the log written back, new readers read the database alone; once those before them have
ended, the log is empty. While one of them reads for longer, as an export does, the log goes on growing.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from database.engine.waiting import BUSY_TIMEOUT_S

log = structlog.get_logger()
#: Twice what is written back at once (`database.engine.sqlite.connections`): without readers it never gets there.
LONG_BYTES = 128 * 1024 * 1024
#: Less than any writer may wait (`database.engine.waiting`).
PATIENCE_S = 0.25
#: Seconds between two attempts of a process, at least: other writers wait during each.
EVERY_S = 5.0


class WriteAheadLog:
    """The log beside a database file."""

    def __init__(self, path: Path) -> None:
        self._path = Path(f"{path}-wal")
        self._lock, self._next_s = threading.Lock(), 0.0

    def _size_bytes(self) -> int:
        """Return the size of the log; 0 before the first write."""
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def keep_short(self, connection: Connection) -> None:
        """Empty the log if it is long and those who read from it end soon; the connection has just committed."""
        if self._size_bytes() <= LONG_BYTES or not self._is_due():
            return
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {PATIENCE_S * 1000:.0f}")
        try:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
        except DatabaseError as error:
            # The commit is already safe in the log, so a failed checkpoint is logged and not raised.
            log.warning("write_ahead_log_not_emptied", reason=str(error.orig))
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")

    def _is_due(self) -> bool:
        """Return whether nobody of this process has tried for a while; whoever is told so tries."""
        with self._lock:
            now = time.monotonic()
            if now < self._next_s:
                return False
            self._next_s = now + EVERY_S
            return True
