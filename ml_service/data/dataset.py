"""A training snapshot: features, labels, dates and keys, from wherever they come.

Law: what is wrong with a snapshot is said before a training begins.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from ml_service.arrays import Dates, Floats, Labels
from ml_service.data.feature_matrix import Matrix, learn_categories, to_matrix, typed_columns
from shared.contracts import arrow
from shared.contracts.api import TrainParams
from shared.errors import Detail, InvalidInput
from shared.schema.features import Schema, schema_from_dict
from shared.tables.read import CustomerTable, row_keys

#: Rows whose values are in memory at a time while the checksum is made.
HASHED_ROWS = 25_000


@dataclass(frozen=True)
class Snapshot:
    """Rows to train and test on.

    Attributes
    ----------
    features
        As `feature_matrix.typed_columns` gives them.
    label
        Shape (rows,), 1 where the customer left.
    as_of
        datetime64[D], shape (rows,); None without dates.
    row_keys
        int64, shape (rows,), null where a row has no key.
    true_probability
        Shape (rows,), of simulated rows only: for the ceiling in the report, never a feature.
    """

    schema: Schema
    features: pa.Table
    label: Labels
    as_of: Dates | None
    row_keys: pa.Array
    true_probability: Floats | None = None

    @property
    def is_dated(self) -> bool:
        """More than one date: the test can lie after the training."""
        return self.as_of is not None and len(np.unique(self.as_of)) > 1

    def matrix(self) -> tuple[Matrix, dict[str, list[str]]]:
        """All rows with all their categories, for what is not the model: grouping and checksum."""
        categories = learn_categories(self.schema, self.features)
        return to_matrix(self.schema, categories, self.features), categories

    def checksum(self) -> str:
        """SHA-256 of all values, whatever file or stream they came in."""
        categories = learn_categories(self.schema, self.features)
        digest = hashlib.sha256(self.schema.checksum().encode())
        digest.update(orjson.dumps(categories))
        digest.update(self.label.tobytes())
        digest.update(b"" if self.as_of is None else self.as_of.astype(np.int64).tobytes())
        digest.update(orjson.dumps(self.row_keys.null_count) + np.asarray(self.row_keys.fill_null(0)).tobytes())
        for start in range(0, len(self.label), HASHED_ROWS):
            part = to_matrix(self.schema, categories, self.features.slice(start, HASHED_ROWS)).values
            # One NaN is not every NaN: their bits are made the same.
            digest.update(np.nan_to_num(part, nan=np.nan).tobytes())
        return digest.hexdigest()


def read_params(table: pa.Table) -> tuple[TrainParams, Schema]:
    """What travels beside the columns of a training stream.

    Raises
    ------
    MalformedRequest
        Without metadata.
    InvalidInput, InvalidSchema
        Where a field of it is wrong.
    """
    try:
        params = TrainParams.model_validate(arrow.metadata(table))
    except ValidationError as error:
        details: list[Detail] = [
            {"field": ".".join(str(part) for part in e["loc"]), "message": e["msg"]}
            for e in error.errors(include_url=False, include_input=False)
        ]
        raise InvalidInput(
            f"The training's parameters can't be used: {details[0]['message']}", details=details
        ) from None
    return params, schema_from_dict(params.table_schema)


def read_snapshot(table: pa.Table, schema: Schema) -> Snapshot:
    """The columns of a training stream.

    Raises
    ------
    InvalidInput
        Naming the column that is missing or wrong.
    """
    label = _column(table, arrow.LABEL, pa.int8())
    if label is None or not set(pc.unique(label).to_pylist()) <= {0, 1}:
        raise _wrong(arrow.LABEL, "A label of 0 or 1 is needed on every row.")
    as_of = _column(table, arrow.AS_OF, pa.date32())
    if as_of is not None and as_of.null_count == len(table):
        as_of = None
    if as_of is not None and as_of.null_count:
        raise _wrong(arrow.AS_OF, "A date is needed on every row or on none.")
    keys = _column(table, arrow.ROW_KEY, pa.int64())
    return Snapshot(
        schema=schema,
        features=typed_columns(schema, table),
        label=np.asarray(label, dtype=np.int8),
        as_of=None if as_of is None else np.asarray(as_of, dtype="datetime64[D]"),
        row_keys=pa.nulls(len(table), pa.int64()) if keys is None else keys,
    )


def row_keys_of(table: pa.Table) -> pa.Array | None:
    """The keys of a table's rows, None where it has no such column.

    Raises
    ------
    InvalidInput
        Where they are no whole numbers.
    """
    return _column(table, arrow.ROW_KEY, pa.int64())


def _column(table: pa.Table, name: str, kind: pa.DataType) -> pa.Array | None:
    found = table.schema.get_all_field_indices(name)
    if not found:
        return None
    if len(found) > 1:
        raise _wrong(name, "This column is there more than once.")
    column = table.column(found[0])
    # Text or fractions are refused, not guessed at: a cast would accept "1" and cut 0.7.
    given = column.type
    fits = pa.types.is_integer(given) or pa.types.is_null(given) or (pa.types.is_boolean(given) and name == arrow.LABEL)
    if pa.types.is_date(kind):
        fits = pa.types.is_date(given) or pa.types.is_null(given)
    try:
        if fits:
            return column.cast(kind).combine_chunks()
    except pa.ArrowException:
        raise _wrong(name, f"A value does not fit into {kind}.") from None
    raise _wrong(name, f"{kind} was expected, this column is of type {given}.")


def _wrong(name: str, message: str) -> InvalidInput:
    return InvalidInput(f"{name}: {message}", details=[{"field": name, "message": message}])


def snapshot_of(table: CustomerTable) -> Snapshot:
    """A checked file as a training snapshot.

    Raises
    ------
    InvalidInput
        Where it does not say who churned.
    """
    if table.label is None:
        raise InvalidInput("The file doesn't say who churned.")
    rows = len(table.label)
    # Row numbers stand in for ids where there are none; they are nobody's key.
    keys = pa.array(row_keys(table.ids)) if table.schema.id is not None else pa.nulls(rows, pa.int64())
    as_of = None if table.as_of is None else table.as_of.to_numpy(zero_copy_only=False).astype("datetime64[D]")
    return Snapshot(table.schema, table.features, table.label, as_of, keys)
