"""Many rows on their way in or out of the database: handed over and taken as columns, copied inside SQLite.

Law: what is on its way is seen by this connection only and goes with it; what is copied in is checked like any other
row, in short transactions; what is taken out is as of one moment.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, Connection, MetaData, Select, String, Table, insert
from typing_extensions import Buffer

from database.engine.session import Database, transaction
from database.engine.sqlite.column_image import PAGE
from database.engine.sqlite.column_reader import Taken, taken

_IN, _OUT = "incoming", "outgoing"


class Exchange:
    """A connection that has columns beside the database: on their way in, as table `incoming_rows`, and out."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def _raw(self) -> Any:
        return self._connection.connection.dbapi_connection

    def hand_over(self, image: Buffer) -> None:
        """Have the columns of `database.engine.sqlite.column_image.image` beside the database, in the place of those
        before."""
        self._raw.deserialize(image, name=_IN)

    def take(self, query: Select[Any]) -> Taken:
        """What a query finds, in columns.

        Parameters
        ----------
        query
            Its first column is a whole number, never NULL, in no two rows the same: the key. The others are texts,
            where SQLAlchemy says so, or else numbers.
        """
        columns = list(query.selected_columns)[1:]
        kinds = [(column.name, str if isinstance(column.type, String) else float) for column in columns]
        rows = _rows(len(columns))
        self._raw.deserialize(_empty(len(columns)), name=_OUT)
        with transaction(self._connection, "BEGIN"):
            self._connection.execute(insert(rows).from_select(list(rows.c), query))
        return taken(self._raw.serialize(name=_OUT), kinds)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One write transaction, as `Database.write`."""
        with transaction(self._connection, "BEGIN IMMEDIATE"):
            yield self._connection


@contextmanager
def exchange_with(database: Database) -> Iterator[Exchange]:
    """A place for columns beside the database, for as long as the block lasts."""
    with database.engine.connect() as connection:
        # From the pool: it is closed at the end, whatever happened, and what is attached goes with it.
        connection.detach()
        for place in (_IN, _OUT):
            connection.exec_driver_sql(f"ATTACH ':memory:' AS {place}")
        yield Exchange(connection)


@lru_cache(maxsize=8)
def _rows(columns: int) -> Table:
    """The table that rows are taken from: it says nothing of its columns, so that every value stays what it is."""
    names = ("rowid", *(f"c{at}" for at in range(columns)))
    return Table("outgoing_rows", MetaData(), *(Column(name) for name in names), schema=_OUT)


@lru_cache(maxsize=8)
def _empty(columns: int) -> bytes:
    with closing(sqlite3.connect(":memory:")) as raw:
        raw.execute(f"PRAGMA page_size = {PAGE}")
        raw.execute(f"CREATE TABLE outgoing_rows ({', '.join(f'c{at}' for at in range(columns))})")
        return raw.serialize()
