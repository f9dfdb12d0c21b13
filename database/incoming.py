"""Many rows on their way into the database: handed over as columns, copied inside SQLite in short transactions.

Law: what is handed over is seen by this connection only and goes with it; what is copied is checked like any other row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from typing_extensions import Buffer

from database.session import Database, transaction

_PLACE = "incoming"


class Incoming:
    """A connection that has columns beside the database, as table `incoming_rows`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def hand_over(self, image: Buffer) -> None:
        """Take the columns of `database.images.image` in the place of those before."""
        raw = self._connection.connection.driver_connection
        raw.deserialize(image, name=_PLACE)  # type: ignore[union-attr]

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One write transaction, as `Database.write`."""
        with transaction(self._connection, "BEGIN IMMEDIATE"):
            yield self._connection


@contextmanager
def beside(database: Database) -> Iterator[Incoming]:
    """A place for columns beside the database, for as long as the block lasts."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql(f"ATTACH ':memory:' AS {_PLACE}")
        try:
            yield Incoming(connection)
        finally:
            connection.exec_driver_sql(f"DETACH {_PLACE}")
