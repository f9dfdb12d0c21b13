"""Which migrations this version knows, and whether it can read a database file by the one that file names.

Law: a file that this version can't read is refused before anything of it is altered.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from pathlib import Path

from shared.errors import ServiceError

MIGRATIONS = Path(__file__).parents[1] / "migrations" / "versions"
_REVISION = re.compile(r"""^revision = ['"]([^'"]+)""", re.M)
_NAMED = re.compile(r"""^down_revision = (?:None|['"]([^'"]+))""", re.M)
#: Migrations of 1.0.0, which one baseline took the place of.
MADE_BY_1_0 = tuple(f"{number:04}" for number in range(1, 10))
OLD_DATABASE = (
    "{path} is a database of the backend that RetainStream replaces, or of another program. It was left untouched. "
    "Set DATABASE_PATH to a new file; customers can be brought over with `retainstream import`."
)


class NotOurDatabase(ServiceError):
    """A file at DATABASE_PATH that this product did not make. Never altered."""

    code = "conflict"


def refuse_foreign_file(path: Path) -> None:
    """Raise NotOurDatabase where the file has tables but no migration that this version knows."""
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        uri = path.resolve().as_uri() + "?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as raw:
            names = {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            query = "SELECT version_num FROM alembic_version" if "alembic_version" in names else "SELECT NULL"
            revision = (raw.execute(query).fetchone() or (None,))[0]
    except sqlite3.DatabaseError as error:
        raise NotOurDatabase(f"{path} is no SQLite database ({error}). Set DATABASE_PATH to another file.") from None
    if names and "alembic_version" not in names:
        raise NotOurDatabase(OLD_DATABASE.format(path=path))
    why = None if revision is None else why_unreadable(revision)
    if why is not None:
        raise NotOurDatabase(f"{path} {why}. It was left untouched.")


@cache
def revisions() -> Mapping[str, str | None]:
    """Every migration of this program and the one before it, read from the files: Alembic is slow to import."""
    texts = [script.read_text(encoding="utf-8") for script in MIGRATIONS.glob("[0-9]*.py")]
    found = {name: _NAMED.findall(text) for text in texts for name in _REVISION.findall(text)}
    return {name: before[0] or None for name, before in found.items()}


def newest_revision() -> str:
    """The migration that no other one comes after."""
    known = revisions()
    (newest,) = set(known) - set(known.values())
    return newest


def why_unreadable(revision: str) -> str | None:
    """Why this version can't read a database of a migration, as the end of a sentence; None where it can."""
    if revision in revisions():
        return None
    if revision in MADE_BY_1_0:
        return (
            "was made by RetainStream 1.0.0, whose tables this version does not read: set DATABASE_PATH to a new file "
            "and import your tables again with `retainstream import`"
        )
    return f"was made by a newer version of RetainStream (migration {revision}): use that version"
