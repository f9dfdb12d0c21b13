"""Bulk rows through the driver's own executemany: the one way many rows are written.

Law: rows come as tuples in the order of `columns`; every value is bound, never pasted.
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
    """Insert rows that name their columns; each has the keys of the first, in its order."""
    if rows:
        insert_rows(connection, table, tuple(rows[0]), [tuple(row.values()) for row in rows])


def upsert_dicts(connection: Connection, table: Table, key: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that name their columns, or overwrite those with the same `key`."""
    if rows:
        upsert_rows(connection, table, tuple(rows[0]), key, [tuple(row.values()) for row in rows])


def upsert_rows(
    connection: Connection, table: Table, columns: Sequence[str], key: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Insert rows, or overwrite those that have the same values in the `key` columns; `created_at` stays."""
    if not rows:
        return
    quote = connection.dialect.identifier_preparer.quote
    names = ", ".join(quote(table.c[name].name) for name in columns)
    marks = ", ".join("?" for _ in columns)
    changes = ", ".join(
        f"{quote(table.c[n].name)} = excluded.{quote(table.c[n].name)}"
        for n in columns
        if n not in (*key, "created_at")
    )
    clash = ", ".join(map(quote, key))
    sql = f"INSERT INTO {table.name} ({names}) VALUES ({marks}) ON CONFLICT ({clash}) DO UPDATE SET {changes}"
    connection.exec_driver_sql(sql, [tuple(r) for r in rows])
