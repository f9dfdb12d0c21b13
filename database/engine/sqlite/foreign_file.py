"""Refuses a database file that this version can't read, before changing anything in it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from database.engine.revisions import why_unreadable
from shared.errors import ServiceError

OLD_DATABASE = (
    "{path} is a database of the backend that RetainStream replaces, or of another program. It was not changed. "
    "Set DATABASE_PATH to a new file; bring your customers over with `retainstream import`."
)


class NotOurDatabase(ServiceError):
    """The file at DATABASE_PATH is not a database that this version can read; it is never changed."""

    code = "conflict"


def refuse_foreign_file(path: Path) -> None:
    """Raise NotOurDatabase if the file is not SQLite, or has tables without a migration of this version."""
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        uri = path.resolve().as_uri() + "?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as raw:
            names = {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            query = "SELECT version_num FROM alembic_version" if "alembic_version" in names else "SELECT NULL"
            revision = (raw.execute(query).fetchone() or (None,))[0]
    except sqlite3.DatabaseError as error:
        raise NotOurDatabase(f"{path} is not a SQLite database ({error}). Set DATABASE_PATH to another file.") from None
    if names and "alembic_version" not in names:
        raise NotOurDatabase(OLD_DATABASE.format(path=path))
    why = None if revision is None else why_unreadable(revision)
    if why is not None:
        raise NotOurDatabase(f"{path} {why}. It was not changed.")
