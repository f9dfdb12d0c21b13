"""Copies a database file while it is in use, and reads the content of a copy.

Law: the copy is of one moment: the source is read inside one transaction, page by page, which blocks no writer (WAL)
and never starts anew because somebody wrote.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from database.engine.revisions import why_unreadable
from database.engine.waiting import BUSY_TIMEOUT_S
from shared.errors import Conflict, CorruptBackup, InvalidInput

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
    """Copy a database that others may be writing to into one new, self-contained file.

    Parameters
    ----------
    progress
        Told the share copied, in [0, 1], every `PAGES_A_STEP` pages.
    """
    with _writing(target), _opened(source) as found, closing(sqlite3.connect(target, isolation_level=None)) as made:
        # A read transaction that outlives each step: the copy is of now, and need not begin again after a write.
        found.execute("BEGIN")
        found.execute("SELECT count(*) FROM sqlite_master").fetchone()
        found.backup(made, pages=PAGES_A_STEP, progress=_told(progress))
        found.execute("COMMIT")
        # Without a write-ahead log beside it the copy is one file, which can be read from anywhere.
        made.execute("PRAGMA journal_mode=DELETE")


def replace(source: Path, target: Path, *, progress: Progress = lambda share: None) -> None:
    """Put a copy's content into a database file, in one transaction of SQLite's own; made if it is not there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # In place rather than by renaming: a write-ahead log beside the old file can't be taken for the new one's.
    with _writing(target), _opened(source) as found, _opened(target, "rwc") as changed:
        found.backup(changed, pages=PAGES_A_STEP, progress=_told(progress))
        changed.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _told(progress: Progress) -> Callable[[int, int, int], None]:
    return lambda status, left, pages: progress(1.0 - left / pages if pages else 1.0)


def content(path: Path, *, check: bool) -> Content:
    """Read what a database file holds.

    Parameters
    ----------
    check
        Also have SQLite check every page and index of it.

    Raises
    ------
    CorruptBackup
        It is no database of ours, or damaged.
    """
    try:
        with _opened(path) as connection:
            connection.execute("BEGIN")
            problems = connection.execute("PRAGMA integrity_check(5)").fetchall() if check else [("ok",)]
            if problems != [("ok",)]:
                raise CorruptBackup(f"{path.name} is damaged: {problems[0][0]}")
            return _content(connection)
    except sqlite3.DatabaseError as error:
        raise CorruptBackup(f"{path.name} can't be read as a database of ours: {error}.") from None


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
    """Raise Conflict where a backup was made by a version whose databases this one does not read."""
    why = why_unreadable(revision)
    if why is not None:
        raise Conflict(f"The backup {why}.")


def is_readable(path: Path) -> bool:
    """Return whether a file is a whole SQLite database."""
    try:
        with _opened(path) as connection:
            return connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.DatabaseError:
        return False
