"""Rows of the database as Arrow batches for the ML service.

Law: worker and commands only; the web process imports no Arrow.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from database.customers.later_outcomes import LaterOutcomes
from database.engine.bulk_read import Floats, Ints, Texts
from shared.contracts.arrow import predict_schema, train_schema
from shared.contracts.outlook import LATER_HORIZONS
from shared.schema.features import Schema


def by_column(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Turn rows, at least one, into columns.

    Column by column: `zip(*rows)` makes an iterator for every row and takes five times as long.
    """
    return [list(map(itemgetter(at), rows)) for at in range(len(rows[0]))]


def predict_batch(schema: Schema, ids: Ints, features: Sequence[Floats | Texts]) -> pa.RecordBatch:
    """Return rows to score: one column per feature in `features`, in the schema's order; NaN is a missing number."""
    form = predict_schema(schema)
    columns = [
        pa.array(each, type=pa.string()) if isinstance(each, list) else pa.array(each, from_pandas=True)
        for each in features
    ]
    return pa.RecordBatch.from_arrays([pa.array(ids), *columns], schema=form)


def train_batch(
    schema: Schema,
    ids: Sequence[int],
    as_of: date | None,
    labels: Sequence[int],
    features: Sequence[Sequence[Any]],
    later: LaterOutcomes | None = None,
    drawn: Collection[int] = (),
) -> pa.RecordBatch:
    """Return labelled rows of one date, or without a date; without `later` nothing is known after their 30 days.

    Parameters
    ----------
    drawn
        Customers whom campaigns drew to be contacted (`database.campaigns.arms.drawn_around`).
    """
    form = train_schema(schema)
    marks = [int(key in drawn) for key in ids]
    columns = [ids, [as_of] * len(ids), labels, *_later(ids, as_of, labels, later), marks, *features]
    arrays = [_array(values, field.type) for values, field in zip(columns, form, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=form)


def _later(
    ids: Sequence[int], as_of: date | None, labels: Sequence[int], later: LaterOutcomes | None
) -> list[list[int | None]]:
    if later is None or as_of is None:
        return [[None] * len(ids)] * (len(LATER_HORIZONS) + 1)
    day = as_of.isoformat()
    within = [later.left_within(day, ids, labels, days) for days in LATER_HORIZONS]
    return [*within, later.left_involuntarily(day, ids, labels)]


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    # NumPy reads a list of numbers four times as fast as Arrow; it reads None as NaN, which no database column holds.
    if pa.types.is_float64(kind):
        return pa.array(np.array(values, dtype=np.float64), from_pandas=True)
    return pa.array(values, type=kind)
