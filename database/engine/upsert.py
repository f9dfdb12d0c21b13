"""Rows that are inserted, or change those that are there already.

Law: one statement, in words that SQLite and PostgreSQL share (INSERT .. ON CONFLICT).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Table
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.sql.base import ReadOnlyColumnCollection

#: The row that was to be inserted, by its columns.
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
    """INSERT whose rows change those that have the same key; they stay as they are without `changes`.

    Parameters
    ----------
    rows
        Values by column; of a SELECT, its columns are named as those of the table. It needs a WHERE: without one,
        SQLite takes ON CONFLICT for a join.
    key
        Columns of a primary key or a unique constraint.
    changes
        Given the row that was to be inserted, the columns to set.
    only_if
        Given the same, which rows to change; others stay as they are.
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
