"""Rows of an import on their way: a scratch file beside the database, which nobody else reads.

Law: the database itself is only read here; what stands in the scratch file is whole once `seal` has returned.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from database.customers.customer_base import column_names, customers_table
from database.engine.session import Database, is_full, transaction
from shared.errors import DiskFull
from shared.schema.features import Schema

#: A scratch file, open alone.
Scratch = sqlite3.Connection
#: Roles that a file may have beside its features, and their columns in the scratch file.
ROLES = ("email", "label", "start", "end", "end_reason", "price", "currency", "plan")
_ROLE = "role_"


def role_column(role: str) -> str:
    """The scratch file's column of a role; no feature has such a name before its own prefix."""
    return f"{_ROLE}{role}"


def feature_column(name: str) -> str:
    """The scratch file's column of a feature, by the feature's column name in the database."""
    return f"x_{name}"


@dataclass(frozen=True)
class Counts:
    """What an import will do to the customers that are known."""

    rows: int
    customers: int
    new: int
    updated: int
    unchanged: int
    disappeared: int


@contextmanager
def _told_when_full() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if is_full(error):
            raise DiskFull from None
        raise


class Staging:
    """The scratch file of one import.

    Parameters
    ----------
    path
        A file of its own; made by `create`.
    schema
        What the imported file's columns mean.
    roles
        Those the file has, of `ROLES`.
    """

    def __init__(self, path: Path, schema: Schema, roles: Sequence[str]) -> None:
        self.path, self.schema, self.roles = path, schema, tuple(roles)
        self.features = tuple(column_names(schema).values())

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of `rows` that `add` fills, in its order."""
        return (
            "n",
            "user_id",
            "as_of",
            *(role_column(role) for role in self.roles),
            *(feature_column(name) for name in self.features),
        )

    def create(self) -> None:
        """Begin empty. Raises DiskFull."""
        self.path.unlink(missing_ok=True)
        declared = ", ".join(f'"{name}"' for name in self.columns[1:])
        with _told_when_full(), closing(sqlite3.connect(self.path, isolation_level=None)) as raw:
            raw.execute("PRAGMA page_size=8192")
            raw.execute("PRAGMA journal_mode=OFF")
            raw.execute(f"CREATE TABLE rows (n INTEGER PRIMARY KEY, {declared}, customer_id INTEGER, is_new INTEGER)")
            raw.execute("CREATE TABLE rejects (record INTEGER, field TEXT, value TEXT, expected TEXT)")

    @contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """The scratch file alone, to fill it: no journal, because a broken one is thrown away. Raises DiskFull."""
        with _told_when_full(), closing(sqlite3.connect(self.path, isolation_level=None)) as raw:
            for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-32768"):
                raw.execute(f"PRAGMA {pragma}")
            yield raw

    def add(self, raw: sqlite3.Connection, columns: Sequence[Sequence[Any]]) -> None:
        """Append rows, given column by column in the order of `columns`."""
        names = ", ".join(f'"{name}"' for name in self.columns)
        marks = ", ".join("?" for _ in self.columns)
        raw.execute("BEGIN")
        raw.executemany(f"INSERT INTO rows ({names}) VALUES ({marks})", zip(*columns, strict=True))
        raw.execute("COMMIT")

    def reject(self, raw: sqlite3.Connection, rejects: Iterable[tuple[int, str | None, str | None, str]]) -> None:
        """Note cells that can't be used: (record, field, value, expected)."""
        raw.execute("BEGIN")
        raw.executemany("INSERT INTO rejects VALUES (?, ?, ?, ?)", rejects)
        raw.execute("COMMIT")

    def drop(self, raw: sqlite3.Connection, records: Iterable[int]) -> None:
        """Take rows out that turned out to be no good."""
        raw.execute("BEGIN")
        raw.executemany("DELETE FROM rows WHERE n = ?", ((n,) for n in records))
        raw.execute("COMMIT")

    def identities(self, raw: sqlite3.Connection, records: Sequence[int]) -> dict[int, tuple[str, str | None]]:
        """Record to (user_id, as_of), of those that are staged."""
        found: dict[int, tuple[str, str | None]] = {}
        for at in range(0, len(records), 500):
            part = records[at : at + 500]
            marks = ",".join("?" for _ in part)
            rows = raw.execute(f"SELECT n, user_id, as_of FROM rows WHERE n IN ({marks})", [int(n) for n in part])
            found.update({n: (user_id, as_of) for n, user_id, as_of in rows})
        return found

    def rejected_records(self, raw: sqlite3.Connection) -> int:
        """How many records have something that can't be used."""
        return int(raw.execute("SELECT count(DISTINCT record) FROM rejects").fetchone()[0])

    def rejects(self, raw: sqlite3.Connection, limit: int = -1) -> Iterator[tuple[int, str | None, str | None, str]]:
        """(record, field, value, expected) by record; -1 is no limit."""
        yield from raw.execute(
            "SELECT record, field, value, expected FROM rejects ORDER BY record, rowid LIMIT ?", [limit]
        )

    def unlabelled(self, raw: sqlite3.Connection) -> list[int]:
        """Records without a label."""
        return [n for (n,) in raw.execute(f"SELECT n FROM rows WHERE {role_column('label')} IS NULL")]

    def dates(self, raw: sqlite3.Connection) -> tuple[int, str | None, str | None]:
        """Rows, and the first and last date among them."""
        return raw.execute("SELECT count(*), min(as_of), max(as_of) FROM rows").fetchone()

    def seal(self) -> None:
        """Make sure the file survives the machine."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())

    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size

    @contextmanager
    def attached(self, database: Database) -> Iterator[Connection]:
        """The database with the scratch file beside it, as `staged`; the caller begins and ends transactions."""
        with database.engine.connect() as connection:
            connection.exec_driver_sql("ATTACH DATABASE ? AS staged", (str(self.path),))
            connection.exec_driver_sql("PRAGMA staged.synchronous=OFF")
            connection.exec_driver_sql("PRAGMA staged.journal_mode=OFF")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("DETACH DATABASE staged")

    def resolve(self, database: Database, *, several: bool) -> None:
        """Find who each row is about: the key of a customer that is known, a fresh one of another.

        Parameters
        ----------
        several
            Whether a customer may have several rows (of several dates).
        """
        with self.attached(database) as connection, transaction(connection, "BEGIN"):
            execute = connection.exec_driver_sql
            first = execute("SELECT coalesce(max(id), 0) FROM main.customers").scalar_one()
            if first:
                execute(
                    "UPDATE staged.rows SET customer_id = "
                    "(SELECT c.id FROM main.customers AS c WHERE c.user_id = staged.rows.user_id)"
                )
            if not several:
                execute("UPDATE staged.rows SET customer_id = ? + n, is_new = 1 WHERE customer_id IS NULL", (first,))
                return
            execute(
                "CREATE TABLE staged.fresh AS SELECT user_id, min(n) AS n FROM staged.rows "
                "WHERE customer_id IS NULL GROUP BY user_id"
            )
            execute("CREATE UNIQUE INDEX staged.fresh_user_id ON fresh (user_id)")
            execute(
                "UPDATE staged.rows SET is_new = 1, customer_id = ? + (SELECT f.n FROM staged.fresh AS f "
                "WHERE f.user_id = staged.rows.user_id) WHERE customer_id IS NULL",
                (first,),
            )
            self._by_date(execute)

    def _by_date(self, execute: Callable[[str], Any]) -> None:
        """Renumber the rows by their dates: they are written as if each date had come in a file of its own."""
        names = ", ".join(f'"{name}"' for name in (*self.columns[1:], "customer_id", "is_new"))
        execute(f"CREATE TABLE staged.dated (n INTEGER PRIMARY KEY, {names})")
        execute(f"INSERT INTO staged.dated ({names}) SELECT {names} FROM staged.rows ORDER BY as_of, n")
        execute("DROP TABLE staged.rows")
        execute("ALTER TABLE staged.dated RENAME TO rows")

    def counts(self, database: Database, present: Schema | None) -> Counts:
        """Compare with the customers that are known; `present` is the base's schema, None for an empty database."""
        with self.attached(database) as connection, transaction(connection, "BEGIN"):
            execute = connection.exec_driver_sql
            rows, everyone, new = execute(
                "SELECT count(*), count(DISTINCT customer_id), count(DISTINCT CASE WHEN is_new THEN customer_id END) "
                "FROM staged.rows"
            ).one()
            if present is None:
                return Counts(rows, everyone, new, 0, 0, 0)
            same = " AND ".join(f"c.{a} IS {b}" for a, b in self._comparable(present)) or "1"
            changed, active = execute(
                f"SELECT count(DISTINCT CASE WHEN NOT ({same}) THEN c.id END), "
                "count(DISTINCT CASE WHEN c.churn = 0 THEN c.id END) "
                "FROM staged.rows AS r JOIN main.customers AS c ON c.id = r.customer_id"
            ).one()
            there = execute("SELECT count(*) FROM main.customers WHERE churn = 0").scalar_one()
        return Counts(rows, everyone, new, changed, everyone - new - changed, there - active)

    def _comparable(self, present: Schema) -> list[tuple[str, str]]:
        wide = customers_table(present)
        pairs = [(f'"{name}"', f'r."{feature_column(name)}"') for name in self.features if name in wide.columns]
        fixed = {"email": "email", "price": "monthly_price", "currency": "currency"}
        pairs += [(column, f'r."{role_column(role)}"') for role, column in fixed.items() if role in self.roles]
        if "label" in self.roles:
            pairs.append(("churn", f'coalesce(r."{role_column("label")}", 0)'))
        return pairs

    def discard(self) -> None:
        """Remove the scratch file."""
        for ending in ("", "-journal", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
