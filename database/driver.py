"""Bulk rows through the driver itself: the one way many rows are written.

Law: rows come as tuples in the order of `columns`, or as columns; every value is bound, never pasted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, Table

#: More rows make statements that SQLite reads longer than they save; more values it refuses.
ROWS_PER_STATEMENT, VALUES_PER_STATEMENT = 250, 30_000
AnyRow = Row[*tuple[Any, ...]]


def insert_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows in one executemany.

    Parameters
    ----------
    columns
        Names of `table`'s columns, in the order of each row's values.
    rows
        Nothing is written for an empty sequence.
    """
    if not rows:
        return
    quote = connection.dialect.identifier_preparer.quote
    names = ", ".join(quote(table.c[name].name) for name in columns)
    marks = ", ".join("?" for _ in columns)
    connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", [tuple(r) for r in rows])


def insert_columns(
    connection: Connection, table: Table, same: Mapping[str, Any], columns: Mapping[str, Sequence[Any]]
) -> None:
    """Insert rows that come as columns, many by one statement; no row is ever a Python object.

    Parameters
    ----------
    same
        Values that all rows share, by column.
    columns
        The other columns, all of one length.
    """
    rows, names = len(next(iter(columns.values()))), (*same, *columns)
    width = len(names)
    flat: list[Any] = [None] * (rows * width)
    # Shared values are bound again for every row: numbered marks, which could share them, are deprecated by the driver.
    for at, values in enumerate([*([value] * rows for value in same.values()), *columns.values()]):
        flat[at::width] = values
    most = min(ROWS_PER_STATEMENT, VALUES_PER_STATEMENT // width)
    with closing(connection.connection.cursor()) as cursor:
        for start in range(0, rows, most):
            count = min(most, rows - start)
            part = flat[start * width : (start + count) * width]
            cursor.execute(_many_values(table.name, names, count), part)


@lru_cache(maxsize=32)
def _many_values(table: str, names: tuple[str, ...], rows: int) -> str:
    row = f"({', '.join('?' * len(names))})"
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join([row] * rows)}"


def insert_dicts(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that name their columns; each has the keys of the first, in its order."""
    if rows:
        insert_rows(connection, table, tuple(rows[0]), [tuple(row.values()) for row in rows])
