"""New databases for tests: copies of one that is migrated once per process, because all migrations take 50 ms of CPU."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

from database.engine.migrate import migrate


@cache
def _blank() -> bytes:
    """Return the content of a file that `migrate` has just made."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "blank.db")
        migrate(path)
        assert not path.with_name("blank.db-wal").exists(), "part of the database is in its log"
        return path.read_bytes()


def migrated(path: Path) -> Path:
    """Make a new database as `migrate` leaves one; an existing one is brought up to date."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists():
        migrate(path)
        return path
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as made:
        made.write(_blank())
    return path
