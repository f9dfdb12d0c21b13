"""Inserts rows, or updates the existing rows with the same key.

Law: one statement that SQLite and PostgreSQL both understand (INSERT .. ON CONFLICT).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Table
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.sql.base import ReadOnlyColumnCollection

#: The row to be inserted, by its columns.
Excluded = ReadOnlyColumnCollection[str, Any]
Changes = Callable[[Excluded], Mapping[str, Any]]


def upsert(
    table: Table,
    rows: Mapping[str, Any] | Sequence[Mapping[str, Any]] | Select[Any],
    *,
    key: Sequence[str],
    changes: Changes | None = None,
    only_if: Callable[[Excluded], ColumnElement[bool]] | None = None,
) -> Insert:
    """Return an INSERT that changes existing rows with the same key, or skips them without `changes`.

    Parameters
    ----------
    rows
        Values by column, or a SELECT whose columns have the table's names. The SELECT needs a WHERE: without one,
        SQLite parses ON CONFLICT as a join.
    key
        Columns of a primary key or a unique constraint.
    changes
        Given the row to be inserted, the columns to set.
    only_if
        Given the row to be inserted, the condition on which the existing row is changed.
    """
    statement = Insert(table)
    if isinstance(rows, Select):
        statement = statement.from_select([column.name for column in rows.selected_columns], rows)
    else:
        statement = statement.values(rows)
    if changes is None:
        return statement.on_conflict_do_nothing(index_elements=key)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=key, set_=dict(changes(new)), where=None if only_if is None else only_if(new)
    )
