"""The space that the database file has: on its disk, within its own limit of pages, and inside the file."""

from __future__ import annotations

import shutil

from database.engine.session import Database


def free_disk(database: Database) -> int:
    """Free bytes of the disk that the database grows on."""
    return shutil.disk_usage(database.path.parent).free
