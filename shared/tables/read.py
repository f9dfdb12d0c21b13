"""Reads a whole customer table by collecting its checked batches.

Law: every returned cell fits the schema, or nothing is returned and the bad cells are named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.clock import utc_now
from shared.contracts.arrow import feature_fields
from shared.errors import InvalidTable
from shared.schema.features import Schema
from shared.tables import messages
from shared.tables.batch_checks import FEATURE, Batch, LabelUse, Reject, TableCheck, located
from shared.tables.open import OpenTable, open_table


@dataclass(frozen=True)
class CustomerTable:
    """A checked table: one entry per row, in the file's order.

    Attributes
    ----------
    schema
        The schema that the table was checked against.
    features
        Exactly the schema's features in their order: number as float64, category as string; null means missing.
    ids
        Text; "1", "2", … where the schema has no id.
    email
        Text, where the schema names the column and the file has it.
    label
        int8, 1 for churned, null where a row has none; None where the file has none or it is ignored.
    as_of
        date32, where the schema names it.
    subscription
        Column by role, for the roles in the file: start and end date32, price float64, the others text.
    notes
        Formats that were recognised and columns that were left out, a sentence each.
    sha256
        SHA-256 of the file's bytes.
    """

    schema: Schema
    features: pa.Table
    ids: pa.Array
    email: pa.Array | None
    label: pa.Array | None
    as_of: pa.Array | None
    subscription: dict[str, pa.Array]
    notes: tuple[str, ...]
    sha256: str


def read_table(
    path: Path | str,
    schema: Schema,
    *,
    label: LabelUse = "optional",
    max_problems: int = 100,
    today: date | None = None,
) -> CustomerTable:
    """Read a CSV or Parquet file of customers.

    Parameters
    ----------
    path
        The file. Its bytes decide what it is, not its name.
    schema
        The meaning of its columns.
    label
        The label's column is required, optional, or not read. Where it is required, rows without a label are left out.
    max_problems
        Most unusable cells to list; all rows are counted.
    today
        Only an end may be later; today if absent.

    Raises
    ------
    InvalidTable
        With a detail `{row, field, value, message}` for each unusable cell, and `{row, value, message}` for a line with
        too many or too few cells; `row` is the line of a CSV file, whose header is line 1, or the row of a Parquet
        file, counted from 1.
    """
    with closing(open_table(path)) as table:
        check = TableCheck(table, schema, today or utc_now().date(), label=label)
        rows = check.read(lambda batches: _Rows(batches, max_problems))
        rows.reject(check.repeated(rows.identities))
        if rows.rejects:
            raise _refusal(check, rows)
        return rows.table(check)


@dataclass(frozen=True)
class Rows:
    """The rows of a file that is no table of customers.

    Attributes
    ----------
    records
        Record number of each row (the header is 1), ascending.
    columns
        As those of `shared.tables.batch_checks.Batch`.
    """

    records: np.ndarray
    columns: dict[str, pa.Array]
    notes: tuple[str, ...]


def read_rows(table: OpenTable, schema: Schema, today: date, *, most: int, max_problems: int = 100) -> Rows:
    """Read all rows of an open file; an id, and an id and date, can be in several.

    Parameters
    ----------
    most
        Rows that the file may have: of a longer one no more are read.

    Raises
    ------
    InvalidTable
    """
    check = TableCheck(table, schema, today, label="ignored")
    rows = check.read(lambda batches: _Rows(_bounded(batches, most), max_problems))
    if rows.rejects:
        raise _refusal(check, rows)
    return Rows(rows.records, rows.columns, tuple(check.notes(rows.identities)))


def _bounded(batches: Iterator[Batch], most: int) -> Iterator[Batch]:
    rows = 0
    for batch in batches:
        rows += len(batch.records)
        if rows > most:
            raise InvalidTable(messages.too_many_rows(most))
        yield batch


def _refusal(check: TableCheck, rows: _Rows) -> InvalidTable:
    details = located(check.table, rows.rejects)
    message = messages.rows_rejected(rows.rejected, check.total, check.table.place_name, details[0])
    return InvalidTable(message + messages.first_listed(len(details), rows.reasons), details=details)


class _Rows:
    """The rows of all batches, and the first unusable cells."""

    def __init__(self, batches: Iterable[Batch], max_rejects: int) -> None:
        self.rejected = self.reasons = 0
        self.rejects: list[Reject] = []
        self._max_rejects = max(max_rejects, 1)
        records: list[np.ndarray] = []
        columns: dict[str, list[pa.Array]] = {}
        for batch in batches:
            self._keep(batch.rejects)
            records.append(batch.records)
            for name, column in batch.columns.items():
                columns.setdefault(name, []).append(column)
        self.records = np.concatenate(records)
        self.columns = {name: pa.concat_arrays(columns.pop(name)) for name in list(columns)}

    def _keep(self, rejects: Sequence[Reject]) -> None:
        self.reasons += len(rejects)
        self.rejected += len({reject.record for reject in rejects})
        self.rejects = sorted((*self.rejects, *rejects), key=lambda reject: reject.record)[: self._max_rejects]

    def reject(self, rejects: Sequence[Reject]) -> None:
        """Reject rows accepted earlier."""
        self._keep(rejects)

    def identities(self, records: Sequence[int]) -> dict[int, tuple[str, str | None]]:
        """Record number to id and date."""
        places = pa.array(np.searchsorted(self.records, np.asarray(records, dtype=np.int64)))
        ids = self.columns["user_id"].take(places).to_pylist() if len(places) else []
        as_of = self.columns.get("as_of")
        days = [None] * len(ids) if as_of is None else as_of.take(places).cast(pa.string()).to_pylist()
        return dict(zip(records, zip(ids, days, strict=True), strict=True))

    def table(self, check: TableCheck) -> CustomerTable:
        """The rows, none of which was rejected."""
        schema, columns = check.schema, self.columns
        if check.label == "required":
            columns = _labelled(columns, schema.label or "")
        features = [columns.pop(FEATURE + name) for name in schema.feature_names]
        label = None if check.label_is_blank else columns.get("label")
        roles = schema.subscription.columns()
        return CustomerTable(
            schema=schema,
            features=pa.table(features, schema=pa.schema(feature_fields(schema))),
            ids=columns["user_id"],
            email=columns.get("email"),
            label=label,
            as_of=columns.get("as_of"),
            subscription={role: columns[role] for role in roles if role in columns},
            notes=tuple(check.notes(self.identities)),
            sha256=check.table.sha256,
        )


def _labelled(columns: dict[str, pa.Array], name: str) -> dict[str, pa.Array]:
    labelled = columns["label"].is_valid()
    if not pc.any(labelled).as_py():
        raise InvalidTable(messages.no_label_given(name))
    return {role: column.filter(labelled) for role, column in columns.items()}


def row_keys(ids: pa.Array) -> np.ndarray:
    """Keys sent in place of ids; equal ids have equal keys.

    Returns
    -------
    ndarray of int64
        The 64-bit BLAKE2b digest of each id's UTF-8 text, little-endian.
    """
    digests = b"".join(blake2b(name.encode(), digest_size=8).digest() for name in ids.to_pylist())
    return np.frombuffer(digests, dtype="<i8").astype(np.int64)
