"""Columns and rows of an export: the SQL of each column, and one open cursor that is read in chunks.

Law: memory does not grow with the number of rows, and all rows are of one snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, Table, case, select

from database.customers import contacting
from database.customers.filters import at_level, probability_in
from database.engine.bulk_insert import AnyRow
from database.tables import tables
from shared.contracts.api import REASON_NUMBERS
from shared.risk import LEVELS
from shared.schema.features import Schema

ledger, runs = tables.ledger, tables.scoring_runs
CHUNK = 2_000
Kind = Literal["text", "whole", "number", "date"]


@dataclass(frozen=True)
class Column:
    """One column of an export."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class Selection:
    """The columns of an export, and its rows, which are read during iteration."""

    columns: tuple[Column, ...]
    rows: Iterator[Sequence[Any]]


@dataclass(frozen=True)
class ExportColumn:
    """A column, the SQL of its value, and the conversion of the value that is read, if it needs one."""

    column: Column
    value: ColumnElement[Any]
    read: Callable[[Any], Any] | None = None


def contact_column(connection: Connection, customer_id: ColumnElement[int]) -> ExportColumn:
    """The column that marks who may not be contacted, and why."""
    return ExportColumn(Column("contact", "text"), contacting.status(connection, customer_id))


def score_columns(connection: Connection, schema: Schema, scores: Table) -> Iterator[ExportColumn]:
    """Yield the columns of the present score: probability, level, confidence, model and reasons."""
    probability = probability_in(scores)
    level = case(*((at_level(probability, each), each) for each in LEVELS))
    finished = finished_runs(connection)
    versions = {run_id: run.version for run_id, run in finished.items()}
    moments = {run_id: run.started_at for run_id, run in finished.items()}
    yield ExportColumn(Column("churn_probability", "number"), probability)
    yield ExportColumn(Column("risk_level", "text"), level)
    yield ExportColumn(Column("confidence", "number"), ledger.c.confidence)
    yield ExportColumn(Column("model_version", "text"), ledger.c.run_id, versions.get)
    yield ExportColumn(Column("prediction_date", "text"), ledger.c.run_id, moments.get)
    for k in REASON_NUMBERS:
        yield ExportColumn(Column(f"reason_{k}", "text"), ledger.c[f"reason_{k}"], _feature_name(schema))
        yield ExportColumn(Column(f"points_{k}", "number"), ledger.c[f"points_{k}"])


def _feature_name(schema: Schema) -> Callable[[Any], str | None]:
    names = schema.feature_names
    return lambda position: names[position] if position is not None and 0 <= position < len(names) else None


def finished_runs(connection: Connection) -> dict[int, AnyRow]:
    """Return finished runs by id, with the version of their model."""
    query = (
        select(runs, tables.models.c.version)
        .join(tables.models, tables.models.c.id == runs.c.model_id)
        .where(tables.is_finished)
    )
    return {row.id: row for row in connection.execute(query)}


def selection(connection: Connection, made: Sequence[ExportColumn], query: Select[Any]) -> Selection:
    return Selection(tuple(each.column for each in made), read_rows(connection, made, query))


def read_rows(connection: Connection, made: Sequence[ExportColumn], query: Select[Any]) -> Iterator[Sequence[Any]]:
    """Yield rows of one open cursor, fetched `CHUNK` at a time."""
    readers = [(k, each.read) for k, each in enumerate(made) if each.read is not None]
    found = connection.execution_options(stream_results=True).execute(query)
    try:
        for chunk in found.partitions(CHUNK):
            for row in chunk:
                cells = list(row)
                for k, read in readers:
                    cells[k] = read(cells[k])
                yield cells
    finally:
        found.close()
