"""Snapshot: the features, labels, dates and keys of a training, read from an Arrow stream or from a file.

Law: a snapshot that can't be used is refused before training begins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from ml_service.arrays import Dates, Floats, Indices, Labels
from ml_service.data.feature_matrix import Matrix, learn_categories, to_matrix, typed_columns
from ml_service.data.later_outcomes import LaterOutcomes, later_outcomes_of_file, read_later_outcomes
from ml_service.data.thinning import thin
from shared.contracts import arrow
from shared.contracts.api import GRACE_DAYS, HORIZON_DAYS, TrainParams
from shared.errors import InvalidInput, invalid
from shared.schema.features import Schema, schema_from_dict
from shared.tables.read import CustomerTable, row_keys
from shared.validation import details_of

#: Number of rows in memory at a time while the checksum is computed.
HASHED_ROWS = 25_000


@dataclass(frozen=True)
class Snapshot:
    """Rows to train and test on.

    Attributes
    ----------
    schema : Schema
    features : pyarrow.Table, n_rows rows
        The typed columns that `feature_matrix.typed_columns` returns.
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    as_of : ndarray of datetime64[D], shape (n_rows,), or None
        Date of each row; None without dates.
    row_keys : pyarrow array of int64, length n_rows
        Customer of each row, null where it has no key.
    true_probability : ndarray of float64, shape (n_rows,), or None
        Only for simulated rows: for the ceiling in the report, never a feature.
    grace_days : int, default=30
        Days after a row's window until its label is known.
    later : LaterOutcomes or None
        Outcomes of the rows after the days of the label; None where nothing is known.
    """

    schema: Schema
    features: pa.Table
    label: Labels
    as_of: Dates | None
    row_keys: pa.Array
    true_probability: Floats | None = None
    grace_days: int = GRACE_DAYS
    later: LaterOutcomes | None = None

    def take(self, rows: Indices) -> Snapshot:
        """The rows at these positions."""
        return replace(
            self,
            features=self.features.take(pa.array(rows)),
            label=self.label[rows],
            as_of=None if self.as_of is None else self.as_of[rows],
            row_keys=self.row_keys.take(pa.array(rows)),
            true_probability=None if self.true_probability is None else self.true_probability[rows],
            later=None if self.later is None else self.later.take(rows),
        )

    def usable_rows(self, seed: int) -> Indices:
        """Positions of the rows to use: of each customer with a key, those that lie 27 days apart or more (`thin`)."""
        if self.as_of is None:
            return np.arange(len(self.label))
        has_key = self.row_keys.is_valid().to_numpy(zero_copy_only=False)
        keyed = np.flatnonzero(has_key)
        kept = ~has_key
        kept[keyed[thin(np.asarray(self.row_keys.drop_null(), dtype=np.int64), self.as_of[keyed], seed)]] = True
        return np.flatnonzero(kept)

    @property
    def horizon_days(self) -> int | None:
        """Days within which the leavers left; None if the table has no dates and its schema does not say it."""
        return self.schema.horizon_days if self.as_of is None else HORIZON_DAYS

    @property
    def natural_rate(self) -> float | None:
        """Churn rate of all customers, if the table is a sample that says it; with dates, the table's own rate is."""
        return self.schema.natural_rate if self.as_of is None else None

    def without(self, names: Collection[str]) -> Snapshot:
        """Return the snapshot without some of its features. Raises InvalidInput if that can't be."""
        schema = self.schema.without(names)
        return replace(self, schema=schema, features=self.features.select(list(schema.feature_names)))

    def matrix(self) -> tuple[Matrix, dict[str, list[str]]]:
        """The matrix of all rows, and the values of each category."""
        categories = learn_categories(self.schema, self.features)
        return to_matrix(self.schema, categories, self.features), categories

    def checksum(self) -> str:
        """SHA-256 of all values; it does not depend on the format they were read from."""
        categories = learn_categories(self.schema, self.features)
        digest = hashlib.sha256(self.schema.checksum().encode())
        digest.update(orjson.dumps(categories))
        digest.update(self.label.tobytes())
        digest.update(b"" if self.as_of is None else self.as_of.astype(np.int64).tobytes())
        digest.update(b"" if self.later is None else self.later.as_bytes())
        digest.update(orjson.dumps(self.row_keys.null_count) + np.asarray(self.row_keys.fill_null(0)).tobytes())
        for start in range(0, len(self.label), HASHED_ROWS):
            part = to_matrix(self.schema, categories, self.features.slice(start, HASHED_ROWS)).values
            # NaNs can differ in their bits, so each is replaced by the same NaN.
            digest.update(np.nan_to_num(part, nan=np.nan).tobytes())
        return digest.hexdigest()


def read_params(table: pa.Table) -> tuple[TrainParams, Schema]:
    """Read the parameters and the schema from the metadata of a training stream.

    Raises
    ------
    MalformedRequest
        If there is no metadata.
    InvalidInput, InvalidSchema
        If a field is wrong.
    """
    try:
        params = TrainParams.model_validate(arrow.metadata(table))
    except ValidationError as error:
        raise InvalidInput.of(details_of(error), lead="The training's parameters can't be used: ") from None
    return params, schema_from_dict(params.table_schema)


def read_snapshot(table: pa.Table, schema: Schema) -> Snapshot:
    """Read the columns of a training stream.

    Parameters
    ----------
    table : pyarrow.Table
        With the columns of `shared.contracts.arrow.train_schema`.
    schema : Schema

    Returns
    -------
    snapshot : Snapshot

    Raises
    ------
    InvalidInput
        If a column is missing or wrong; the message names it.
    """
    label = _column(table, arrow.LABEL, pa.int8())
    if label is None or not set(pc.unique(label).to_pylist()) <= {0, 1}:
        raise invalid(arrow.LABEL, "A label of 0 or 1 is needed on every row.")
    as_of = _column(table, arrow.AS_OF, pa.date32())
    if as_of is not None and as_of.null_count == len(table):
        as_of = None
    if as_of is not None and as_of.null_count:
        raise invalid(arrow.AS_OF, "A date is needed on every row or on none.")
    keys = _column(table, arrow.ROW_KEY, pa.int64())
    labels = np.asarray(label, dtype=np.int8)
    return Snapshot(
        schema=schema,
        features=typed_columns(schema, table),
        label=labels,
        as_of=None if as_of is None else np.asarray(as_of, dtype="datetime64[D]"),
        row_keys=pa.nulls(len(table), pa.int64()) if keys is None else keys,
        later=None if as_of is None else read_later_outcomes(lambda name: _column(table, name, pa.int8()), labels),
    )


def row_keys_of(table: pa.Table) -> pa.Array | None:
    """Read the row keys of a table; None if it has no such column.

    Raises
    ------
    InvalidInput
        If they are not whole numbers.
    """
    return _column(table, arrow.ROW_KEY, pa.int64())


def _column(table: pa.Table, name: str, target: pa.DataType) -> pa.Array | None:
    positions = table.schema.get_all_field_indices(name)
    if not positions:
        return None
    if len(positions) > 1:
        raise invalid(name, "This column occurs more than once.")
    column = table.column(positions[0])
    # A cast would accept the text "1" and truncate 0.7; both are refused.
    column_type = column.type
    fits = (
        pa.types.is_integer(column_type)
        or pa.types.is_null(column_type)
        or (pa.types.is_boolean(column_type) and name == arrow.LABEL)
    )
    if pa.types.is_date(target):
        fits = pa.types.is_date(column_type) or pa.types.is_null(column_type)
    try:
        if fits:
            return column.cast(target).combine_chunks()
    except pa.ArrowException:
        raise invalid(name, f"A value does not fit into {target}.") from None
    raise invalid(name, f"{target} was expected, but this column is of type {column_type}.")


def dates_of(table: CustomerTable) -> Dates | None:
    """The date of each row of a table that was read from a file, NaT where it has none; None without dates."""
    return None if table.as_of is None else table.as_of.to_numpy(zero_copy_only=False).astype("datetime64[D]")


def snapshot_of(table: CustomerTable) -> Snapshot:
    """Convert a table that was read from a file to a snapshot.

    Parameters
    ----------
    table : CustomerTable

    Returns
    -------
    snapshot : Snapshot

    Raises
    ------
    InvalidInput
        If a row of the table has no label.
    """
    if table.label is None or table.label.null_count:
        raise InvalidInput("The file doesn't show which customers left.")
    rows = len(table.label)
    # Without ids, the table holds row numbers instead, which are not keys.
    keys = pa.array(row_keys(table.ids)) if table.schema.id is not None else pa.nulls(rows, pa.int64())
    as_of = dates_of(table)
    label = np.asarray(table.label.to_numpy(zero_copy_only=False), dtype=np.int8)
    later = later_outcomes_of_file(table, np.asarray(keys.fill_null(0)), as_of, label)
    return Snapshot(table.schema, table.features, label, as_of, keys, later=later)
