"""Columns of numbers into a table: opened as a database in memory and copied inside SQLite, in short transactions.

Binding every number by itself would take longer than the rest of a scoring run.
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
#: Looks at the rows of one transaction before it ends: those of these positions.
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
        """Insert rows under a run, as many in one transaction as the pace allows.

        Parameters
        ----------
        columns
            By column name: float64, bool or signed integers of shape (rows,), NaN for NULL.
        check
            Raises where rows of a transaction can't stay; that transaction is then rolled back.
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
    """An inserter with a connection of its own, which is closed at the end."""
    with engine.connect() as connection:
        # Taken out of the pool: what is attached goes with it, whatever happens.
        connection.detach()
        connection.exec_driver_sql(f"ATTACH ':memory:' AS {_ATTACHED}")
        yield ColumnInserter(connection)
