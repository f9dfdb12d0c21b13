"""The version of SQLite that this Python brings."""

from __future__ import annotations

import sqlite3

from shared.errors import ServiceUnavailable

#: From here on SQLite opens a database that is held in memory (`database.engine.sqlite.columns`) wherever it was built.
NEEDED = (3, 36)
TOO_OLD = "SQLite {needed} or newer is needed; this Python has {found}. Use another Python, or the containers."


def require_version() -> None:
    """Raise ServiceUnavailable where SQLite is too old."""
    if sqlite3.sqlite_version_info < NEEDED:
        raise ServiceUnavailable(TOO_OLD.format(needed=".".join(map(str, NEEDED)), found=sqlite3.sqlite_version))
