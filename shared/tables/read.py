"""A customer table file, read and checked against its schema.

Law: what leaves here fits the schema in every cell, or nothing leaves and the places to correct are named.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from shared.schema.features import Schema
from shared.tables import cells
from shared.tables.files import read_columns
from shared.tables.row_checks import Reading
from shared.tables.value_formats import recognise, unread_columns


@dataclass(frozen=True)
class CustomerTable:
    """A checked table: one entry per row, in the file's order.

    Attributes
    ----------
    schema
        What the table was checked against.
    features
        Exactly the schema's features in their order: number as float64, category as string; null means missing.
    ids
        Text; "1", "2", … where the schema has no id.
    email
        Text, where the schema names the column and the file has it.
    label
        int8, 1 for churned; None where absent or ignored.
    as_of
        date32, where the schema names it.
    subscription
        Role to column, of the roles the file has: start and end date32, price float64, the others text.
    notes
        What was recognised or left out, one sentence each.
    sha256
        Of the file's bytes.
    """

    schema: Schema
    features: pa.Table
    ids: pa.Array
    email: pa.Array | None
    label: np.ndarray | None
    as_of: pa.Array | None
    subscription: dict[str, pa.Array]
    notes: tuple[str, ...]
    sha256: str


def read_table(
    path: Path | str,
    schema: Schema,
    *,
    label: Literal["required", "optional", "ignored"] = "optional",
    max_problems: int = 100,
) -> CustomerTable:
    """Read a CSV or Parquet file of customers.

    Parameters
    ----------
    path
        The file. Its bytes decide what it is, not its name.
    schema
        What its columns mean.
    label
        Whether the outcome has to be there, may be, or is not looked at.
    max_problems
        How many unusable cells are listed; all are counted.

    Raises
    ------
    InvalidTable
        With a detail `{row, field, message}` for each unusable cell; `row` is the line of a CSV file, whose header
        is line 1, and the row of a Parquet file, counted from 1.
    """
    file = read_columns(path)
    reading, table = _read(Reading(file, schema, max_problems), label)
    if reading.problems.count:
        found = recognise([reading.by_name(unread_columns(schema))], schema, delimiter=file.delimiter)
        if found != reading.recognised:
            reading, table = _read(Reading(file, schema, max_problems, found), label)
    reading.problems.refuse()
    return table


def _read(reading: Reading, label: str) -> tuple[Reading, CustomerTable]:
    reading.require(label)
    ids, as_of = reading.keys()
    features = reading.features()
    outcome = reading.label(label == "required") if label != "ignored" else None
    subscription = reading.subscription()
    email = reading.optional("email", reading.schema.email, cells.identifiers)
    file = reading.file
    notes = (*file.notes, *reading.recognised.notes(), *reading.notes, *reading.unused(file.names))
    return reading, CustomerTable(
        reading.schema, features, ids, email, outcome, as_of, subscription, notes, file.sha256
    )


def row_keys(ids: pa.Array) -> np.ndarray:
    """Keys that travel in place of ids: the same id has the same key anywhere.

    Returns
    -------
    ndarray of int64
        The 64-bit BLAKE2b digest of each id's UTF-8 text, little-endian.
    """
    digests = b"".join(blake2b(name.encode(), digest_size=8).digest() for name in ids.to_pylist())
    return np.frombuffer(digests, dtype="<i8").astype(np.int64)
