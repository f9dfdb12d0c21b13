"""Tables in memory, pandas DataFrames and arrays, are read as customer files are.

Law: a table in memory and the same table in a file lead to the same schema and the same rows, because both are read
from a file by the same functions.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from ml_service.model.predictions import Explanation
from shared.errors import InvalidSchema
from shared.proposal.schema_inference import infer_schema
from shared.schema.features import Schema, schema_from_dict
from shared.tables import cells
from shared.tables.columns import plain

ROW_GROUP = 65_536
#: Cells that a file could hold. A list or a dict could not.
_PLAIN = (str, bool, np.bool_, Real, Decimal, date, pd.Interval, pd.Period)


def named_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with x0, x1, … in place of names that are no text, as scikit-learn names columns."""
    names = [name if isinstance(name, str) else f"x{place}" for place, name in enumerate(frame.columns)]
    return frame.set_axis(names, axis="columns")


@contextmanager
def as_file(frame: pd.DataFrame) -> Iterator[Path]:
    """A Parquet file with the columns of a frame, for as long as the block lasts.

    Raises
    ------
    TypeError
        If a cell is neither a text nor a number, a truth value or a date.
    """
    names = [str(name) for name in frame.columns]
    columns = [arrow_column(frame.iloc[:, place], name) for place, name in enumerate(names)]
    with tempfile.TemporaryDirectory(prefix="retainstream-") as folder:
        path = Path(folder) / "table.parquet"
        table = pa.Table.from_arrays(columns, names=names)
        pyarrow.parquet.write_table(table, path, row_group_size=ROW_GROUP, compression="none")
        yield path


def arrow_column(values: pd.Series[Any], name: str) -> pa.Array:
    """A column of a frame in Arrow; a column of several types becomes text, as a CSV file would hold it.

    Raises
    ------
    TypeError
        If a cell is neither a text nor a number, a truth value or a date.
    """
    try:
        column = plain(pa.array(values, from_pandas=True))
    except pa.ArrowException:
        return _as_text(values, name)
    if pa.types.is_nested(column.type) or isinstance(column.type, pa.BaseExtensionType):
        return _as_text(values, name)
    if pa.types.is_decimal(column.type):
        return column.cast(pa.string())  # read as a number from its digits: a cast to float is off in the last bit
    return column.cast(pa.float64()) if pa.types.is_float16(column.type) else column


def _as_text(values: pd.Series[Any], name: str) -> pa.Array:
    texts: list[str | None] = []
    for value, missing in zip(values, values.isna(), strict=True):
        if not missing and not isinstance(value, _PLAIN):
            kind = type(value).__name__
            raise TypeError(f"Column {name!r}: argument must be a string or a number, not a {kind}: {value!r:.40}")
        texts.append(None if missing else str(value))
    return pa.array(texts, pa.string())


def _texts_of(values: Sequence[Any]) -> list[str]:
    """Values of a label as a schema writes them: 1.0 is "1", True is "true"."""
    return [str(text) for text in cells.categories(pa.array(values), "", cells.CellProblems(1)).to_pylist()]


@dataclass(frozen=True)
class Meaning:
    """The meaning of a table's columns, and each guess that led to it as a sentence."""

    schema: Schema
    notes: tuple[str, ...] = ()


def meaning(path: Path, given: Schema | None, label: str, positive: Sequence[Any] | None) -> Meaning:
    """The schema of a table whose label is known: the given one, or a proposal.

    Parameters
    ----------
    path : Path
    given : Schema or None
    label : str
        The column that tells who left.
    positive : sequence or None
        Values of the label that mean that the customer left; as in the schema if None.

    Raises
    ------
    InvalidSchema
        If the label's values don't tell who left.
    InvalidTable
        If no column can be a feature.
    """
    if given is not None:
        return Meaning(_with_label(given, label, positive))
    proposal = infer_schema(path, name="python", label=label)
    schema = _with_label(proposal.schema, label, positive)
    means = " and ".join(map(repr, schema.positive))
    told = () if schema == proposal.schema else (f"As told, the label is {label!r}, and {means} means churned.",)
    return Meaning(schema, (*proposal.notes, *told))


def _with_label(schema: Schema, label: str, positive: Sequence[Any] | None) -> Schema:
    """The schema with this label; its column is then no feature."""
    if schema.label == label and positive is None:
        return schema
    if positive is None:
        raise InvalidSchema(f"The values of {label!r} don't tell who left: say which ones mean it, with `positive`.")
    content = schema.as_dict()
    content["features"].pop(label, None)
    content["ignore"] = [name for name in content.get("ignore", ()) if name != label]
    roles = content.get("subscription", {})
    content["subscription"] = {role: column for role, column in roles.items() if column != label}
    return schema_from_dict({**content, "label": label, "positive": _texts_of(positive)})


def reasons_frame(
    features: pa.Table, explained: Explanation, index: pd.Index[Any] | None, *, of_year: bool
) -> pd.DataFrame:
    """Scores and reasons as a frame, in the columns that `score` writes.

    Parameters
    ----------
    features : pyarrow.Table, n_rows rows
        The typed columns that were explained.
    explained : Explanation
    index : Index or None
        Index of the frame; 0, 1, … if None.
    of_year : bool
        Whether the model has a level for the time of year, whose points are then the last column.
    """
    names = np.array(features.column_names, dtype=object)
    values = np.empty((len(names), features.num_rows), dtype=object)
    for place, column in enumerate(features.columns):
        values[place] = column.to_pylist()
    rows = np.arange(features.num_rows)
    columns: dict[str, Any] = {
        "churn_probability": explained.scores.probability,
        "confidence": explained.scores.confidence,
    }
    for k, (order, points) in enumerate(zip(explained.points.order.T, explained.points.points.T, strict=True), start=1):
        columns |= {f"reason_{k}": names[order], f"points_{k}": points, f"value_{k}": values[order, rows]}
    if of_year:
        columns["time_of_year"] = explained.time_of_year
    return pd.DataFrame(columns, index=index)
