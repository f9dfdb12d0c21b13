"""The version of this Python's SQLite."""

from __future__ import annotations

import sqlite3

from shared.errors import ServiceUnavailable

#: The first version in which every build can open an in-memory database (`database.engine.sqlite.columns`).
NEEDED = (3, 36)
TOO_OLD = "SQLite {needed} or newer is needed; this Python has {found}. Use another Python, or the containers."


def require_version() -> None:
    """Raise ServiceUnavailable if SQLite is too old."""
    if sqlite3.sqlite_version_info < NEEDED:
        raise ServiceUnavailable(TOO_OLD.format(needed=".".join(map(str, NEEDED)), found=sqlite3.sqlite_version))
