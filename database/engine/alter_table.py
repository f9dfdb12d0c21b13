"""Adds columns to, and drops columns from, a table in use.

Law: a column that exists is not added again.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Connection, Table, inspect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateColumn, ExecutableDDLElement


class _AddColumn(ExecutableDDLElement):
    def __init__(self, table: Table, column: Column[Any]) -> None:
        self.table, self.column = table, column


class _DropColumn(ExecutableDDLElement):
    def __init__(self, table: Table, name: str) -> None:
        self.table, self.name = table, name


@compiles(_AddColumn)
def _add(element: _AddColumn, compiler: Any, **how: Any) -> str:
    definition = compiler.process(CreateColumn(element.column), **how)
    return f"ALTER TABLE {compiler.preparer.format_table(element.table)} ADD COLUMN {definition}"


@compiles(_DropColumn)
def _drop(element: _DropColumn, compiler: Any, **how: Any) -> str:
    name = compiler.preparer.quote(element.name)
    return f"ALTER TABLE {compiler.preparer.format_table(element.table)} DROP COLUMN {name}"


def add_missing_columns(connection: Connection, table: Table) -> None:
    """Add the columns of `table` that are missing in the database."""
    present = {column["name"] for column in inspect(connection).get_columns(table.name)}
    for column in table.columns:
        if column.name not in present:
            connection.execute(_AddColumn(table, column))


def drop_column(connection: Connection, table: Table, name: str) -> None:
    """Drop a column with its values."""
    connection.execute(_DropColumn(table, name))
