"""The scratch file in which the rows of one import are staged: filled separately, then attached to the database.

The file is a SQLite database with the tables `rows` (n, the caller's columns, customer_id, is_new) and `rejects`.
Law: only its import reads it; its content survives a power failure once `seal` has returned.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

from database.engine.sqlite.transactions import READ, WRITE, is_full, transaction
from shared.errors import DiskFull

#: The name under which the file is attached: `staged.rows`.
SCHEMA = "staged"
#: A cell that can't be used: record, field, value, what was expected instead.
StagedReject = tuple[int, str | None, str | None, str]
#: No journal: an incomplete file is discarded.
_PRAGMAS = ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-32768")
#: SQLite limits the number of parameters in a statement.
_AT_ONCE = 500


class StagedRows:
    """The scratch file while it is open without the database."""

    def __init__(self, raw: sqlite3.Connection, columns: Sequence[str]) -> None:
        self._raw = raw
        names, marks = ", ".join(map(_quoted, columns)), ", ".join("?" for _ in columns)
        self._insert = f"INSERT INTO rows ({names}) VALUES ({marks})"

    def add(self, columns: Sequence[Sequence[Any]]) -> None:
        """Append rows, given column by column in the order of the file's columns."""
        self._many(self._insert, zip(*columns, strict=True))

    def reject(self, rejects: Iterable[StagedReject]) -> None:
        """Record cells that can't be used."""
        self._many("INSERT INTO rejects VALUES (?, ?, ?, ?)", rejects)

    def drop(self, records: Iterable[int]) -> None:
        """Delete rows that can't be used."""
        self._many("DELETE FROM rows WHERE n = ?", ((n,) for n in records))

    def _many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        self._raw.execute("BEGIN")
        self._raw.executemany(statement, rows)
        self._raw.execute("COMMIT")

    def identities(self, records: Sequence[int]) -> dict[int, tuple[str, str | None]]:
        """Return the (user_id, as_of) of staged records, by record."""
        found: dict[int, tuple[str, str | None]] = {}
        for at in range(0, len(records), _AT_ONCE):
            part = [int(n) for n in records[at : at + _AT_ONCE]]
            marks = ",".join("?" for _ in part)
            rows = self._raw.execute(f"SELECT n, user_id, as_of FROM rows WHERE n IN ({marks})", part)
            found.update({n: (user_id, as_of) for n, user_id, as_of in rows})
        return found

    def rejected_records(self) -> int:
        """Return the number of records with a cell that can't be used."""
        return int(self._raw.execute("SELECT count(DISTINCT record) FROM rejects").fetchone()[0])

    def rejects(self, limit: int = -1) -> Iterator[StagedReject]:
        """Yield cells that can't be used, in the order of records; -1 is no limit."""
        yield from self._raw.execute(
            "SELECT record, field, value, expected FROM rejects ORDER BY record, rowid LIMIT ?", [limit]
        )

    def lacking(self, column: str) -> list[int]:
        """Return the records without a value in a column."""
        return [n for (n,) in self._raw.execute(f"SELECT n FROM rows WHERE {_quoted(column)} IS NULL")]

    def new_customers(self) -> list[tuple[int, str]]:
        """Return (record, user_id) of the rows about customers that the database does not have."""
        return list(self._raw.execute("SELECT n, user_id FROM rows WHERE is_new = 1"))

    def dates(self) -> tuple[int, str | None, str | None]:
        """Return the number of rows, and their first and last date."""
        return self._raw.execute("SELECT count(*), min(as_of), max(as_of) FROM rows").fetchone()


class Attached:
    """A connection to the database with the scratch file attached."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Read one snapshot of the database; the scratch file can be changed."""
        with transaction(self._connection, READ):
            yield self._connection

    @property
    def connection(self) -> Connection:
        """For a single statement, which reads one snapshot without a transaction."""
        return self._connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One write transaction, as `Database.write`."""
        with transaction(self._connection, WRITE):
            yield self._connection


class StagingFile:
    """The scratch file.

    Parameters
    ----------
    path
        A file for this import only; made by `create`.
    columns
        Columns of the table `rows`; the first is `n`.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self._columns = path, tuple(columns)

    def create(self) -> None:
        """Create the empty file. Raises DiskFull."""
        self.discard()
        with self._opened() as raw:
            raw.execute("PRAGMA page_size=8192")
            raw.execute("PRAGMA journal_mode=OFF")
            raw.execute(f"CREATE TABLE rows ({self._declared()})")
            raw.execute("CREATE TABLE rejects (record INTEGER, field TEXT, value TEXT, expected TEXT)")

    def _declared(self) -> str:
        # Columns without types: SQLite converts no value.
        return (
            f"n INTEGER PRIMARY KEY, {', '.join(map(_quoted, self._columns[1:]))}, customer_id INTEGER, is_new INTEGER"
        )

    @contextmanager
    def open(self) -> Iterator[StagedRows]:
        """Open the file without the database. Raises DiskFull."""
        with self._opened() as raw:
            for pragma in _PRAGMAS:
                raw.execute(f"PRAGMA {pragma}")
            yield StagedRows(raw, self._columns)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, isolation_level=None)) as raw:
                yield raw
        except sqlite3.OperationalError as error:
            if is_full(error):
                raise DiskFull from None
            raise

    @contextmanager
    def attached(self, engine: Engine) -> Iterator[Attached]:
        """Connect to the database with this file attached."""
        with engine.connect() as connection:
            connection.exec_driver_sql(f"ATTACH DATABASE ? AS {SCHEMA}", (str(self.path),))
            connection.exec_driver_sql(f"PRAGMA {SCHEMA}.synchronous=OFF")
            connection.exec_driver_sql(f"PRAGMA {SCHEMA}.journal_mode=OFF")
            try:
                yield Attached(connection)
            finally:
                connection.exec_driver_sql(f"DETACH DATABASE {SCHEMA}")

    def number_by_date(self, connection: Connection) -> None:
        """Renumber the rows by `as_of`, then old number; the file must be attached."""
        names = ", ".join(map(_quoted, (*self._columns[1:], "customer_id", "is_new")))
        for statement in (
            f"CREATE TABLE {SCHEMA}.dated ({self._declared()})",
            f"INSERT INTO {SCHEMA}.dated ({names}) SELECT {names} FROM {SCHEMA}.rows ORDER BY as_of, n",
            f"DROP TABLE {SCHEMA}.rows",
            f"ALTER TABLE {SCHEMA}.dated RENAME TO rows",
        ):
            connection.exec_driver_sql(statement)

    def exists(self) -> bool:
        """Return whether the file exists."""
        return self.path.exists()

    def size(self) -> int:
        """Return its size in bytes."""
        return self.path.stat().st_size

    def seal(self) -> None:
        """Flush the file to disk, so that it survives a power failure."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())

    def discard(self) -> None:
        """Remove the file."""
        for ending in ("", "-journal", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)


def _quoted(name: str) -> str:
    return f'"{name}"'
