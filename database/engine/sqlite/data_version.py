"""A number that shows whether a database file has changed."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path


class DataVersion:
    """Reads SQLite's data_version over its own connection, which the first read opens."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._raw: sqlite3.Connection | None = None

    def read(self) -> int:
        """Return a number that changes with every commit of any process."""
        with self._lock:
            if self._raw is None:
                # A connection that never writes: its own commits would not change the number.
                self._raw = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            return int(self._raw.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close the connection; the next `read` opens another."""
        with self._lock:
            if self._raw is not None:
                self._raw.close()
                self._raw = None
