"""Copies a database file while it is in use, and reads the content of a copy.

Law: the copy is one snapshot: the source is read page by page inside one transaction, which blocks no writer (WAL) and
never restarts after a write.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from database.engine.interruption import CANCELLED, watched_file
from database.engine.revisions import why_unreadable
from database.engine.waiting import BUSY_TIMEOUT_S
from shared.errors import Cancelled, Conflict, CorruptBackup, InvalidInput

PAGES_A_STEP = 2_000
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Content:
    """Contents of a database file."""

    revision: str
    counts: dict[str, int]
    published_run: int | None
    models: tuple[str, ...]
    live_model: str | None


@contextmanager
def _opened(path: Path, mode: str = "ro") -> Iterator[sqlite3.Connection]:
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as connection:
        yield connection


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise InvalidInput(f"{target} could not be written ({error}): is the disk full?") from None


def copy(source: Path, target: Path, *, progress: Progress = lambda share: None) -> None:
    """Copy a database that may be in use into one new, self-contained file.

    Parameters
    ----------
    progress
        Called with the share copied, in [0, 1], every `PAGES_A_STEP` pages.
    """
    with _writing(target), _opened(source) as found, closing(sqlite3.connect(target, isolation_level=None)) as made:
        # One read transaction around all steps: the copy is of now, and does not restart after a write.
        found.execute("BEGIN")
        found.execute("SELECT count(*) FROM sqlite_master").fetchone()
        found.backup(made, pages=PAGES_A_STEP, progress=_share_of(progress))
        found.execute("COMMIT")
        # Without a write-ahead log the copy is a single file, which can be moved and read anywhere.
        made.execute("PRAGMA journal_mode=DELETE")


def replace(source: Path, target: Path, *, progress: Progress = lambda share: None) -> None:
    """Replace the content of a database file by a copy's, in one transaction; create a missing file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # In place rather than by renaming, so that the old file's write-ahead log is never applied to the new file.
    with _writing(target), _opened(source) as found, _opened(target, "rwc") as changed:
        found.backup(changed, pages=PAGES_A_STEP, progress=_share_of(progress))
        changed.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _share_of(progress: Progress) -> Callable[[int, int, int], None]:
    return lambda status, left, pages: progress(1.0 - left / pages if pages else 1.0)


def content(path: Path, *, check: bool) -> Content:
    """Read the contents of a database file.

    Parameters
    ----------
    check
        Have SQLite check every page and index first.

    Raises
    ------
    CorruptBackup
        The file is damaged or is not a RetainStream database.
    """
    try:
        with _opened(path) as connection, watched_file(connection):
            connection.execute("BEGIN")
            problems = connection.execute("PRAGMA integrity_check(5)").fetchall() if check else [("ok",)]
            if problems != [("ok",)]:
                raise CorruptBackup(f"{path.name} is damaged: {problems[0][0]}")
            return _content(connection)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            raise Cancelled(CANCELLED) from None
        raise CorruptBackup(f"{path.name} can't be read as a RetainStream database: {error}.") from None


def _content(connection: sqlite3.Connection) -> Content:
    def one(sql: str) -> Any:
        row = connection.execute(sql).fetchone()
        return row[0] if row else None

    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    ours = [name for name in names if not name.startswith("sqlite_") and name != "alembic_version"]
    live = "SELECT version FROM model_timeline t JOIN models m ON m.id = t.model_id ORDER BY t.id DESC LIMIT 1"
    models = connection.execute("SELECT version FROM models WHERE state = 'ready' ORDER BY id").fetchall()
    return Content(
        revision=str(one("SELECT version_num FROM alembic_version")),
        counts={name: int(one(f'SELECT count(*) FROM "{name}"')) for name in ours},
        published_run=one("SELECT run_id FROM published_run"),
        models=tuple(row[0] for row in models),
        live_model=one(live),
    )


def refuse_unreadable(revision: str) -> None:
    """Raise Conflict if a backup was made by a version whose databases this one can't read."""
    why = why_unreadable(revision)
    if why is not None:
        raise Conflict(f"The backup {why}.")


def is_readable(path: Path) -> bool:
    """Return whether a file is an intact SQLite database."""
    try:
        with _opened(path) as connection:
            return connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.DatabaseError:
        return False
