"""Staged rows of an import: kept in a scratch file, and compared with the customers before they are applied.

Law: the database itself is only read here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
    case,
    distinct,
    func,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.schema import CreateTable

from database.customers.customer_base import column_names, customers_table
from database.engine.session import Database
from database.engine.sqlite import space
from database.engine.sqlite.staging_file import SCHEMA, Attached, StagedReject, StagedRows, StagingFile
from database.tables import tables
from shared.errors import Conflict, DiskFull
from shared.schema.features import Schema

__all__ = ["ROLES", "Counts", "StagedReject", "StagedRows", "Staging", "open_staging"]

c = tables.customers
#: Bytes in the database per byte of staged rows: customer, snapshot, their indexes and the write-ahead log.
GROWTH = 3
DISK_FULL = (
    "The disk is too full: this import needs about {needed:,.0f} MB and a reserve of {spare:,.0f} MB, but only "
    "{free:,.0f} MB are free. Nothing was written."
)
NO_ROOM = "This import would exceed the database's page limit; nothing was written."
#: Roles that a file can have besides its features, with the types of their columns.
ROLES: dict[str, type[Any]] = {
    "email": Text,
    "label": Integer,
    "start": Text,
    "end": Text,
    "end_reason": Text,
    "price": Float,
    "currency": Text,
    "plan": Text,
    "contract_end": Text,
}
#: Columns that `Staging.resolve` fills.
_RESOLVED = ("customer_id", "is_new")
_FRESH = Table("fresh", MetaData(), Column("user_id", Text, primary_key=True), Column("n", Integer), schema=SCHEMA)


def role_column(role: str) -> str:
    """Return the name of the staged column of a role; no feature's column has this prefix."""
    return f"role_{role}"


def feature_column(name: str) -> str:
    """Return the name of the staged column of a feature, given its column name in the database."""
    return f"x_{name}"


# Kept, so that each import uses the same table: a statement over another one is compiled and kept anew.
@lru_cache(maxsize=32)
def _rows_table(schema: Schema, roles: tuple[str, ...]) -> Table:
    wide = customers_table(schema)
    columns: list[Column[Any]] = [Column("n", Integer), Column("user_id", Text), Column("as_of", Text)]
    columns += [Column(role_column(role), ROLES[role]) for role in roles]
    columns += [Column(feature_column(name), wide.c[name].type) for name in column_names(schema).values()]
    columns += [Column(name, Integer) for name in _RESOLVED]
    return Table("rows", MetaData(), *columns, schema=SCHEMA)


@dataclass(frozen=True)
class Counts:
    """Numbers of rows, and of customers that an import adds, changes or lacks."""

    rows: int
    customers: int
    new: int
    updated: int
    unchanged: int
    disappeared: int


class Staging:
    """The staged rows of one import.

    Parameters
    ----------
    path
        The scratch file, which `begin` creates.
    schema
        The meaning of the imported file's columns.
    roles
        The roles of `ROLES` that the file has.

    Attributes
    ----------
    rows
        The table of the rows, for statements while the file is attached to the database.
    """

    def __init__(self, path: Path, schema: Schema, roles: Sequence[str] = ()) -> None:
        self.path, self.schema, self.is_kept = path, schema, False
        self._describe(roles)

    def _describe(self, roles: Sequence[str]) -> None:
        self.roles, self.rows = tuple(roles), _rows_table(self.schema, tuple(roles))
        self._file = StagingFile(self.path, [each.name for each in self.rows.c if each.name not in _RESOLVED])

    def begin(self, roles: Sequence[str]) -> None:
        """Create the empty file, with columns for these roles. Raises DiskFull."""
        self._describe(roles)
        self._file.create()

    def role(self, role: str) -> ColumnElement[Any]:
        """Return the column of a role that the file has."""
        return self.rows.c[role_column(role)]

    def has(self, role: str) -> bool:
        """Return whether the file has a column of this role."""
        return role in self.roles

    def feature(self, name: str) -> ColumnElement[Any]:
        """Return the column of a feature, given its column name in the database."""
        return self.rows.c[feature_column(name)]

    def open(self) -> AbstractContextManager[StagedRows]:
        """Open the rows without the database, to add, reject and read them. Raises DiskFull."""
        return self._file.open()

    def attached(self, database: Database) -> AbstractContextManager[Attached]:
        """Connect to the database with these rows attached."""
        return self._file.attached(database.engine)

    def exists(self) -> bool:
        """Return whether the rows still exist."""
        return self._file.exists()

    def require_room(self, database: Database) -> None:
        """Raise DiskFull if the disk, or Conflict if the database's page limit, has no room for the rows."""
        needed, free = GROWTH * self._file.size(), space.free_disk(database.path)
        if free < needed + space.RESERVE_BYTES:
            raise DiskFull(DISK_FULL.format(needed=needed / 1e6, spare=space.RESERVE_BYTES / 1e6, free=free / 1e6))
        with database.read() as connection:
            left = space.free_pages(connection)
        if left is not None and left < needed:
            raise Conflict(NO_ROOM)

    def seal(self) -> None:
        """Flush the rows to disk, so that they survive a power failure."""
        self._file.seal()

    def keep(self) -> None:
        """Keep the file when `open_staging` ends: the import was accepted and will be applied."""
        self.is_kept = True

    def discard(self) -> None:
        """Remove the rows."""
        self._file.discard()

    def resolve(self, database: Database, *, several: bool) -> None:
        """Set the customer id of each row: the present id of a known customer, or a new id.

        Parameters
        ----------
        several
            Whether a customer can have several rows, of different dates.
        """
        r = self.rows
        with self.attached(database) as attached, attached.read() as connection:
            last = connection.execute(select(func.coalesce(func.max(c.c.id), 0))).scalar_one()
            if last:
                known = select(c.c.id).where(c.c.user_id == r.c.user_id).scalar_subquery()
                connection.execute(update(r).values(customer_id=known))
            if several:
                self._number_several(connection, last)
                self._file.number_by_date(connection)
                return
            fresh = update(r).where(r.c.customer_id.is_(None))
            connection.execute(fresh.values(customer_id=last + r.c.n, is_new=1))

    def _number_several(self, connection: Connection, last: int) -> None:
        """Give each new customer an id, by the number of their first row."""
        r = self.rows
        connection.execute(CreateTable(_FRESH))
        first = select(r.c.user_id, func.min(r.c.n)).where(r.c.customer_id.is_(None)).group_by(r.c.user_id)
        connection.execute(insert(_FRESH).from_select(["user_id", "n"], first))
        number = select(_FRESH.c.n).where(_FRESH.c.user_id == r.c.user_id).scalar_subquery()
        unknown = update(r).where(r.c.customer_id.is_(None))
        connection.execute(unknown.values(is_new=1, customer_id=last + number))

    def counts(self, database: Database, present: Schema | None) -> Counts:
        """Compare the rows with the present customers; `present` is the base's schema, None in an empty database."""
        r = self.rows
        people, new = distinct(r.c.customer_id), distinct(case((r.c.is_new == 1, r.c.customer_id)))
        with self.attached(database) as attached, attached.read() as connection:
            rows, everyone, fresh = connection.execute(
                select(func.count(), func.count(people), func.count(new)).select_from(r)
            ).one()
            if present is None:
                return Counts(rows, everyone, fresh, 0, 0, 0)
            wide = customers_table(present)
            differs, active = case((~self._is_same(wide), wide.c.id)), case((wide.c.churn == 0, wide.c.id))
            both = r.join(wide, wide.c.id == r.c.customer_id)
            changed, here = connection.execute(
                select(func.count(distinct(differs)), func.count(distinct(active))).select_from(both)
            ).one()
            there = connection.execute(select(func.count()).select_from(c).where(c.c.churn == 0)).scalar_one()
        return Counts(rows, everyone, fresh, changed, everyone - fresh - changed, there - here)

    def _is_same(self, wide: Table) -> ColumnElement[bool]:
        """A condition: a row repeats the known facts of its customer."""
        names = [name for name in column_names(self.schema).values() if name in wide.columns]
        pairs: list[tuple[str, Any]] = [(name, self.feature(name)) for name in names]
        fixed = {
            "email": "email", "price": "monthly_price", "currency": "currency", "contract_end": "contract_runs_until",
        }  # fmt: skip
        pairs += [(column, self.role(role)) for role, column in fixed.items() if self.has(role)]
        if self.has("label"):
            pairs.append(("churn", func.coalesce(self.role("label"), 0)))
        return and_(true(), *(wide.c[name].is_not_distinct_from(value) for name, value in pairs))


@contextmanager
def open_staging(path: Path, schema: Schema, roles: Sequence[str] = ()) -> Iterator[Staging]:
    """Give staged rows, which are removed when the block ends unless `keep` was called."""
    staging = Staging(path, schema, roles)
    try:
        yield staging
    finally:
        if not staging.is_kept:
            staging.discard()
