"""Reads JSON lists directly into the model's matrix, where no cell needs a conversion.

Law: whatever is read here, `feature_matrix.columns_from_lists` would read the same to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_service.data.feature_matrix import Categories, Matrix
from shared.contracts.api import Cell
from shared.schema.features import Schema
from shared.tables.cells import LARGEST, normal_form


class PlainCells:
    """Converts JSON lists directly to the matrix if no cell needs a conversion, as in most single-row requests.

    Parameters
    ----------
    schema, categories
        Those of the model.
    """

    def __init__(self, schema: Schema, categories: Categories) -> None:
        self._may_be_missing = {name: feature.missing for name, feature in schema.features.items()}
        self._codes: dict[str, dict[Cell, int]] = {}
        for name in schema.categories:
            texts = pa.array(categories[name], pa.string())
            # `columns_from_lists` converts a value that is not in normal form.
            known = pc.equal(normal_form(texts), texts).to_pylist()
            self._codes[name] = {text: k for k, text in enumerate(categories[name]) if known[k] and text}

    def read(self, columns: Mapping[str, Sequence[Cell]]) -> Matrix | None:
        """The matrix of columns that need no conversion; None if `columns_from_lists` has to convert or refuse them."""
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
        if cell is not None and (isinstance(cell, str | bool) or not abs(cell) <= LARGEST):
            return None
    return list(cells)  # type: ignore[arg-type]


def _plain_codes(cells: Sequence[Cell], codes: Mapping[Cell, int]) -> list[float | None] | None:
    if not all(cell is None or (isinstance(cell, str) and cell in codes) for cell in cells):
        return None
    return [None if cell is None else codes[cell] for cell in cells]
