"""Checks of the columns before training: ids among the features, and tables without a usable column."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_service.arrays import Floats
from shared.errors import Detail, InvalidInput
from shared.schema.features import MAX_FEATURES, Schema

#: In a smaller table, as many values as rows can be a coincidence.
MIN_ROWS = 100
#: A category with this share of distinct values is an id.
ID_SHARE = 0.9


def check_columns(schema: Schema, features: pa.Table) -> None:
    """Refuse ids among the features, and tables without a usable column.

    Raises
    ------
    InvalidInput
        With one detail per column.
    """
    if len(schema.features) > MAX_FEATURES:
        raise InvalidInput(f"The schema has {len(schema.features)} features; at most {MAX_FEATURES} are allowed.")
    details = [detail for name in schema.categories if (detail := _id_problem(name, features[name])) is not None]
    if details:
        raise InvalidInput.of(details)
    if not any(_varies(features[name]) for name in schema.feature_names):
        raise InvalidInput("Every feature has a single value or none, so there is nothing to learn from.")


def _id_problem(name: str, column: pa.ChunkedArray) -> Detail | None:
    present = len(column) - column.null_count
    values = pc.count_distinct(column, mode="only_valid").as_py()
    if present < MIN_ROWS or values < ID_SHARE * present:
        return None
    message = (
        f"{values:,} different values in {present:,} rows: this is a name or an id rather than a category. "
        "Remove it from the schema's features, or make it the schema's id; once customers are imported, leave it "
        f"out of the model (`train --without {name}`)."
    )
    return {"field": name, "message": message}


def _varies(column: pa.ChunkedArray) -> bool:
    return pc.count_distinct(column, mode="all").as_py() > 1


def looks_like_an_id(column: Floats) -> bool:
    """Return whether every row has a different whole number."""
    known = column[~np.isnan(column)]
    are_whole = len(known) >= MIN_ROWS and bool((known == np.floor(known)).all())
    return are_whole and len(np.unique(known)) == len(known)
