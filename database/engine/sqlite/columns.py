"""Inserts columns of numbers: opens them as an in-memory database and copies them inside SQLite, in short transactions.

Binding every number separately would take longer than the rest of a scoring run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt
from sqlalchemy import Connection, Engine, Table, text

from database.engine.batch_sizing import AdaptiveBatchSize
from database.engine.sqlite.column_image import FIRST_ROW, TABLE, image
from database.engine.sqlite.transactions import WRITE, transaction

Array = npt.NDArray[Any]
#: Checks the rows of one transaction, given their positions, before it commits.
Check = Callable[[Connection, slice], None]
_ATTACHED = "incoming"


class ColumnInserter:
    """Inserts columns into tables of one database; made by `column_inserter`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(
        self,
        table: Table,
        columns: Mapping[str, Array],
        *,
        run_id: int,
        pace: AdaptiveBatchSize,
        check: Check | None = None,
    ) -> None:
        """Insert rows under a run; `pace` sets the number of rows per transaction.

        Parameters
        ----------
        columns
            By column name: float64, bool or signed integers of shape (rows,), NaN for NULL.
        check
            Raises if rows of a transaction are not allowed; that transaction is then rolled back.
        """
        rows = len(next(iter(columns.values())))
        if not rows:
            return
        self._connection.connection.dbapi_connection.deserialize(image(columns), name=_ATTACHED)  # type: ignore[union-attr]
        names = ", ".join(columns)
        copy = text(
            f"INSERT INTO {table.name} (run_id, {names}) SELECT :run_id, {names} FROM {_ATTACHED}.{TABLE} "
            "WHERE rowid BETWEEN :first AND :last"
        )
        at = 0
        while at < rows:
            until = min(at + pace.size, rows)
            with pace.timed(transaction(self._connection, WRITE)):
                given = {"run_id": run_id, "first": FIRST_ROW + at, "last": FIRST_ROW + until - 1}
                self._connection.execute(copy, given)
                if check is not None:
                    check(self._connection, slice(at, until))
            at = until


@contextmanager
def column_inserter(engine: Engine) -> Iterator[ColumnInserter]:
    """Give an inserter with its own connection, which is closed at the end."""
    with engine.connect() as connection:
        # Detached from the pool, so that the attached database never returns to it.
        connection.detach()
        connection.exec_driver_sql(f"ATTACH ':memory:' AS {_ATTACHED}")
        yield ColumnInserter(connection)
