"""Columns that no model can learn from, told before a training starts.

Law: a column is refused by its name, with what is wrong and what to do; what is merely useless is left to the cautions.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_service.arrays import Floats
from shared.errors import Detail, InvalidInput
from shared.schema.features import Schema

#: A table of fewer rows may well have as many values as rows.
LEAST_ROWS = 100
#: A category with a value of its own on so many of the rows names the row.
ID_SHARE = 0.9
MOST_FEATURES = 500


def demand_sound(schema: Schema, features: pa.Table) -> None:
    """Refuse ids that pose as categories, and tables without a single usable column.

    Parameters
    ----------
    features
        As `feature_matrix.typed_columns` gives them.

    Raises
    ------
    InvalidInput
        With one detail per column.
    """
    if len(schema.features) > MOST_FEATURES:
        raise InvalidInput(f"{len(schema.features)} features; at most {MOST_FEATURES} can be trained on.")
    details = [detail for name in schema.categories if (detail := _id(name, features[name])) is not None]
    if details:
        raise InvalidInput(f"{details[0]['field']}: {details[0]['message']}", details=details)
    if not any(_varies(features[name]) for name in schema.feature_names):
        raise InvalidInput("Every feature has one single value or none: there is nothing to learn from.")


def _id(name: str, column: pa.ChunkedArray) -> Detail | None:
    given = len(column) - column.null_count
    values = pc.count_distinct(column, mode="only_valid").as_py()
    if given < LEAST_ROWS or values < ID_SHARE * given:
        return None
    message = (
        f"{values:,} different values on {given:,} rows: this is a name or an id rather than a category. "
        "Take it out of the schema's features, or make it the schema's id."
    )
    return {"field": name, "message": message}


def _varies(column: pa.ChunkedArray) -> bool:
    return pc.count_distinct(column, mode="all").as_py() > 1


def looks_like_an_id(column: Floats) -> bool:
    """A whole number, another one on every row."""
    known = column[~np.isnan(column)]
    whole = len(known) >= LEAST_ROWS and bool((known == np.floor(known)).all())
    return whole and len(np.unique(known)) == len(known)
