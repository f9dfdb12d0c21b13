"""Columns to the model's matrix: the one way in, for training and for scoring.

Law: a value means the same in training and in scoring because the same function read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_service.arrays import Floats
from shared.contracts.api import Cell
from shared.errors import Detail, InvalidInput
from shared.schema.features import Schema
from shared.tables.cells import LARGEST, normal_form

Categories = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Matrix:
    """What the model reads.

    Attributes
    ----------
    values
        Shape (rows, features), in the schema's order; a category is its position in the model's own list, missing
        is NaN.
    unknown
        Feature to the count of values that the model has never seen; they stand as missing. Only counts above 0.
    """

    values: Floats
    unknown: dict[str, int]


def typed_columns(schema: Schema, table: pa.Table) -> pa.Table:
    """Pick the schema's features out of a table, numbers as float64 and categories as text.

    Columns that are no feature are left out.

    Raises
    ------
    InvalidInput
        With one detail for each column that is missing, there twice, of a wrong type, out of range, or that lacks
        values although its feature says `missing = false`.
    """
    details: list[Detail] = []
    columns: dict[str, pa.ChunkedArray] = {}
    for name, feature in schema.features.items():
        found = table.schema.get_all_field_indices(name)
        if len(found) != 1:
            wrong = "This column is missing." if not found else "This column is there more than once."
            details.append({"field": name, "message": wrong})
            continue
        column, problem = _typed(table.column(found[0]), feature.kind)
        problem = problem or _problem(column, feature.kind, may_be_missing=feature.missing)
        if problem:
            details.append({"field": name, **problem})
        columns[name] = column
    if details:
        raise InvalidInput(f"{details[0]['field']}: {details[0]['message']}", details=details)
    return pa.table(columns)


def _typed(column: pa.ChunkedArray, kind: str) -> tuple[pa.ChunkedArray, Detail | None]:
    # A dictionary is only a way of storing; what counts is what it stores.
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
    return column, {"message": f"A {kind} was expected, this column is of type {inner}."}


def _problem(column: pa.ChunkedArray, kind: str, *, may_be_missing: bool) -> Detail | None:
    if kind == "number":
        values = column.to_numpy()
        # xgboost keeps values as 32-bit floats: anything larger would become infinite there.
        beyond = np.flatnonzero(np.abs(values) > LARGEST)
        if beyond.size:
            return {"row": int(beyond[0]), "message": "Infinite or too large for the model; send a finite number."}
        gaps = np.flatnonzero(np.isnan(values))
    else:
        gaps = np.flatnonzero(pc.is_null(column).to_numpy())
    if gaps.size and not may_be_missing:
        return {"row": int(gaps[0]), "message": "A value is missing where the schema allows none."}
    return None


def columns_from_lists(schema: Schema, columns: Mapping[str, Sequence[Cell]]) -> pa.Table:
    """Columns that came as JSON lists, as a typed table.

    Numbers, true and false are numbers. A category is taken as a file's cell would be: its text in normal form
    (`shared.tables.cells`), blank is missing. Null is missing.

    Raises
    ------
    InvalidInput
        Naming each column that is missing, unknown, of another length than the first, or holds a wrong value.
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
            details.append({"field": f"columns.{name}", "message": f"{len(cells)} values where others have {rows}."})
        else:
            arrays[name], wrong = _array(cells, feature.kind)
            if wrong is not None:
                details.append({"field": f"columns.{name}", "row": wrong, "message": f"A {feature.kind} was expected."})
    if details:
        raise InvalidInput(f"{details[0]['field']}: {details[0]['message']}", details=details)
    return typed_columns(schema, pa.table(arrays))


def _array(cells: Sequence[Cell], kind: str) -> tuple[pa.Array, int | None]:
    if kind == "category":
        text = pa.array([None if cell is None else str(cell) for cell in cells], pa.string())
        text = normal_form(text)
        return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text), None
    wrong = next((i for i, cell in enumerate(cells) if isinstance(cell, str)), None)
    if wrong is not None:
        return pa.nulls(len(cells)), wrong
    return pa.array([None if cell is None else float(cell) for cell in cells], pa.float64()), None


class PlainCells:
    """JSON lists to the matrix at once, where nothing about them has to be thought of; most single scores are so.

    Parameters
    ----------
    schema, categories
        The model's own.
    """

    def __init__(self, schema: Schema, categories: Categories) -> None:
        self._may_be_missing = {name: feature.missing for name, feature in schema.features.items()}
        self._codes: dict[str, dict[Cell, int]] = {}
        for name in schema.categories:
            texts = pa.array(categories[name], pa.string())
            # Another way of writing a value is not plain, even where it is a value of the model's.
            known = pc.equal(normal_form(texts), texts).to_pylist()
            self._codes[name] = {text: k for k, text in enumerate(categories[name]) if known[k] and text}

    def read(self, columns: Mapping[str, Sequence[Cell]]) -> Matrix | None:
        """What `to_matrix` makes of `columns_from_lists`; None where only those can tell what is meant, or wrong."""
        if columns.keys() != self._may_be_missing.keys() or len({len(cells) for cells in columns.values()}) != 1:
            return None
        values: list[list[float | None]] = []
        for name, may_be_missing in self._may_be_missing.items():
            cells = columns[name]
            if None in cells and not may_be_missing:
                return None
            codes = self._codes.get(name)
            read = _plain_numbers(cells) if codes is None else _plain_codes(cells, codes)
            if read is None:
                return None
            values.append(read)
        return Matrix(np.array(values, dtype=np.float64).T.copy(), {})


def _plain_numbers(cells: Sequence[Cell]) -> list[float | None] | None:
    for cell in cells:
        if cell is not None and (isinstance(cell, str) or not abs(cell) <= LARGEST):
            return None
    return list(cells)  # type: ignore[arg-type]


def _plain_codes(cells: Sequence[Cell], codes: Mapping[Cell, int]) -> list[float | None] | None:
    if not all(cell is None or (isinstance(cell, str) and cell in codes) for cell in cells):
        return None
    return [None if cell is None else codes[cell] for cell in cells]


def learn_categories(schema: Schema, columns: pa.Table, *, most: int | None = None) -> dict[str, list[str]]:
    """The values of each category, sorted: what a model trained on these rows knows.

    Parameters
    ----------
    most
        Keep only so many, the commonest; of those that are as common, the first as text.
    """
    return {name: _levels(columns[name], most) for name in schema.categories}


def _levels(column: pa.ChunkedArray, most: int | None) -> list[str]:
    counted = pc.value_counts(column.combine_chunks().drop_null())
    pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
    commonest = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:most]
    return sorted(value for value, _ in commonest)


def to_matrix(schema: Schema, categories: Categories, columns: pa.Table) -> Matrix:
    """Typed columns as the model's matrix.

    Parameters
    ----------
    columns
        As `typed_columns` or `columns_from_lists` give them.
    """
    values = np.empty((columns.num_rows, len(schema.features)), dtype=np.float64)
    unknown: dict[str, int] = {}
    for position, (name, feature) in enumerate(schema.features.items()):
        column = columns[name]
        if feature.kind == "category":
            codes = pc.index_in(column, value_set=pa.array(categories[name], pa.string()))
            unseen = codes.null_count - column.null_count
            if unseen:
                unknown[name] = unseen
            column = codes.cast(pa.float64())
        values[:, position] = column.to_numpy()
    return Matrix(values, unknown)
