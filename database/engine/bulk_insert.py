"""Inserts many rows of Python objects, through the driver itself.

Law: rows come as tuples in the order of `columns`; every value is bound, never pasted. (NumPy columns are
inserted by `database.engine.sqlite.columns`.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table

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


def insert_dicts(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows given as dicts; all have the keys of the first row, in the same order."""
    if rows:
        insert_rows(connection, table, tuple(rows[0]), [tuple(row.values()) for row in rows])
