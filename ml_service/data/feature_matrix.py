"""Converts columns to the model's matrix, in training and in scoring.

Law: the same functions read the values in training and in scoring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_service.arrays import Floats, Indices
from shared.contracts.api import Cell
from shared.errors import Detail, InvalidInput
from shared.schema.features import Schema
from shared.tables.cells import LARGEST, normal_form

Categories = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class UnknownCells:
    """The cells of one category whose values the model doesn't know.

    Attributes
    ----------
    rows : ndarray of intp, shape (n_cells,)
    values : pyarrow.Array of string, length n_cells
    """

    rows: Indices
    values: pa.Array


@dataclass(frozen=True)
class Matrix:
    """The input of the model.

    Attributes
    ----------
    values : ndarray of float64, shape (n_rows, n_features)
        In the order of the schema; a category value is its position in the model's list, a missing value is NaN.
    unknown : dict of str to UnknownCells
        Values not seen in training, by feature; these values count as missing.
    """

    values: Floats
    unknown: dict[str, UnknownCells]


def typed_columns(schema: Schema, table: pa.Table) -> pa.Table:
    """Select the features of a schema from a table, numbers as float64 and categories as text.

    Parameters
    ----------
    schema : Schema
    table : pyarrow.Table
        Other columns are ignored.

    Returns
    -------
    features : pyarrow.Table
        In the order of the schema.

    Raises
    ------
    InvalidInput
        If a column is missing, occurs twice, has a wrong type or a number out of range, or lacks values although the
        schema has `missing = false`; with one detail per column.
    """
    details: list[Detail] = []
    columns: dict[str, pa.ChunkedArray] = {}
    for name, feature in schema.features.items():
        positions = table.schema.get_all_field_indices(name)
        if len(positions) != 1:
            wrong = "This column is missing." if not positions else "This column occurs more than once."
            details.append({"field": name, "message": wrong})
            continue
        column, problem = _typed(table.column(positions[0]), feature.kind)
        problem = problem or _problem(column, feature.kind, may_be_missing=feature.missing)
        if problem:
            details.append({"field": name, **problem})
        columns[name] = column
    if details:
        raise InvalidInput.of(details)
    return pa.table(columns)


def _typed(column: pa.ChunkedArray, kind: str) -> tuple[pa.ChunkedArray, Detail | None]:
    # A dictionary-encoded column counts as a column of its values' type.
    inner = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    number = pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_boolean(inner)
    number = number or pa.types.is_decimal(inner) or pa.types.is_null(inner)
    text = pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_string_view(inner)
    try:
        if kind == "number" and number:
            return column.cast(inner).cast(pa.float64(), safe=False), None
        if kind == "category" and (number or text):
            return column.cast(pa.string()), None
    except pa.ArrowException:
        return column, {"message": f"Values of type {inner} can't be read as a {kind}."}
    return column, {"message": f"A {kind} was expected, but this column is of type {inner}."}


def _problem(column: pa.ChunkedArray, kind: str, *, may_be_missing: bool) -> Detail | None:
    if kind == "number":
        values = column.to_numpy()
        # xgboost stores values as 32-bit floats: a larger value would become infinite.
        beyond = np.flatnonzero(np.abs(values) > LARGEST)
        if beyond.size:
            return {
                "row": int(beyond[0]),
                "message": "Infinite or too large for the model; send a finite number.",
            }
        missing = np.flatnonzero(np.isnan(values))
    else:
        missing = np.flatnonzero(pc.is_null(column).to_numpy())
    if missing.size and not may_be_missing:
        return {"row": int(missing[0]), "message": "A value is missing, but the schema says `missing = false`."}
    return None


def columns_from_lists(schema: Schema, columns: Mapping[str, Sequence[Cell]]) -> pa.Table:
    """Convert columns of JSON values to a typed table.

    True and false are no numbers. A category value is converted to the normal form of a file's cell
    (`shared.tables.cells`); an empty text and null are missing.

    Parameters
    ----------
    schema : Schema
    columns : mapping of str to sequence of float, int, str, bool or None
        One sequence per feature, all of the same length.

    Returns
    -------
    features : pyarrow.Table
        As `typed_columns` returns it.

    Raises
    ------
    InvalidInput
        If a column is missing, unknown, of another length than the first, or holds a wrong value.
    """
    details: list[Detail] = [
        {"field": f"columns.{name}", "message": "The model has no such feature."}
        for name in columns
        if name not in schema.features
    ]
    rows = len(next(iter(columns.values()), ()))
    arrays: dict[str, pa.Array] = {}
    for name, feature in schema.features.items():
        cells = columns.get(name)
        if cells is None:
            details.append({"field": f"columns.{name}", "message": "This column is missing."})
        elif len(cells) != rows:
            message = f"{len(cells)} values, but the first column has {rows}."
            details.append({"field": f"columns.{name}", "message": message})
        else:
            arrays[name], wrong = _array(cells, feature.kind)
            if wrong is not None:
                details.append({"field": f"columns.{name}", "row": wrong, "message": f"A {feature.kind} was expected."})
    if details:
        raise InvalidInput.of(details)
    return typed_columns(schema, pa.table(arrays))


def _array(cells: Sequence[Cell], kind: str) -> tuple[pa.Array, int | None]:
    if kind == "category":
        text = pa.array([None if cell is None else str(cell) for cell in cells], pa.string())
        text = normal_form(text)
        return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text), None
    wrong = next((i for i, cell in enumerate(cells) if isinstance(cell, str | bool)), None)
    if wrong is not None:
        return pa.nulls(len(cells)), wrong
    return pa.array([None if cell is None else float(cell) for cell in cells], pa.float64()), None


def learn_categories(schema: Schema, columns: pa.Table, *, most: int | None = None) -> dict[str, list[str]]:
    """List the values of each category.

    Parameters
    ----------
    schema : Schema
    columns : pyarrow.Table
        Typed columns of the training rows.
    most : int, optional
        Keep only the most frequent values; of equally frequent ones, the first in alphabetical order.

    Returns
    -------
    categories : dict of str to list of str
        Sorted.
    """
    return {name: _levels(columns[name], most) for name in schema.categories}


def _levels(column: pa.ChunkedArray, most: int | None) -> list[str]:
    counts = pc.value_counts(column.combine_chunks().drop_null())
    pairs = zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)
    commonest = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:most]
    return sorted(value for value, _ in commonest)


def to_matrix(schema: Schema, categories: Categories, columns: pa.Table) -> Matrix:
    """Convert typed columns to the model's matrix.

    Parameters
    ----------
    schema : Schema
    categories : mapping of str to sequence of str
        The values of each category in the model.
    columns : pyarrow.Table, n_rows rows
        As `typed_columns` or `columns_from_lists` returned it.

    Returns
    -------
    matrix : Matrix
    """
    values = np.empty((columns.num_rows, len(schema.features)), dtype=np.float64)
    unknown: dict[str, UnknownCells] = {}
    for position, (name, feature) in enumerate(schema.features.items()):
        column = columns[name]
        if feature.kind == "category":
            codes = _codes(column, categories[name])
            if (cells := _unknown_cells(column, codes)) is not None:
                unknown[name] = cells
            column = codes.cast(pa.float64())
        values[:, position] = column.to_numpy()
    return Matrix(values, unknown)


def unknown_cells(column: pa.ChunkedArray, levels: Sequence[str]) -> UnknownCells | None:
    """Find the cells of a category whose values the model doesn't know.

    Parameters
    ----------
    column : pyarrow.ChunkedArray of string
    levels : sequence of str
        The values that the model knows.

    Returns
    -------
    cells : UnknownCells or None
        None if it knows them all.
    """
    return _unknown_cells(column, _codes(column, levels))


def _codes(column: pa.ChunkedArray, levels: Sequence[str]) -> pa.ChunkedArray:
    return pc.index_in(column, value_set=pa.array(levels, pa.string()))


def _unknown_cells(column: pa.ChunkedArray, codes: pa.ChunkedArray) -> UnknownCells | None:
    if codes.null_count == column.null_count:
        return None
    are_unknown = pc.and_(pc.is_null(codes), pc.is_valid(column))
    return UnknownCells(np.flatnonzero(are_unknown.to_numpy()), column.filter(are_unknown).combine_chunks())
