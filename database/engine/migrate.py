"""Migrates a database file to the newest revision, once, even if several processes try.

Law: a lock file makes processes take turns; another program's file is refused before anything is changed.
"""

from __future__ import annotations

import fcntl
from pathlib import Path

from alembic import command
from alembic.config import Config

from database.engine.sqlite import private_files
from database.engine.sqlite.foreign_file import refuse_foreign_file
from database.engine.sqlite.version import require_version

LOCK_ENDING = ".migrate-lock"
SCRIPTS = Path(__file__).parents[1] / "migrations"


def config(path: Path) -> Config:
    """Return Alembic's configuration for one database file."""
    made = Config()
    made.set_main_option("script_location", str(SCRIPTS))
    made.set_main_option("database_path", str(path).replace("%", "%%"))
    return made


def migrate(path: Path) -> None:
    """Create the database or bring it up to date.

    Raises
    ------
    NotOurDatabase
        The path is another program's file.
    InvalidInput
        The folder can't be written.
    ServiceUnavailable
        This Python's SQLite is too old.
    """
    require_version()
    with private_files.opened(path.with_name(path.name + LOCK_ENDING)) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refuse_foreign_file(path)
        private_files.close_to_others(path)
        command.upgrade(config(path), "head")
