"""A file checked from end to end into a scratch file: rows that fit, and cells that do not.

Law: the database is not written here; accepted and rejected rows add up to the rows of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from database.importing.staging import ROLES, Scratch, Staging
from shared.errors import Detail, InvalidTable
from shared.schema.features import Schema
from shared.tables import messages
from shared.tables.batch_checks import FEATURE, Batch, Reject, TableCheck, located
from shared.tables.open import OpenTable

SHOWN = 100
Report = Callable[[int], None]


@dataclass(frozen=True)
class Staged:
    """The result of checking a file.

    Attributes
    ----------
    several
        Whether a customer has several rows.
    rejects
        The first of them, as `{row, field, value, message}`; `row` is the line of a CSV, the row of a Parquet file.
    """

    staging: Staging
    total: int
    accepted: int
    rejected: int
    several: bool
    first_date: str | None
    last_date: str | None
    notes: list[str]
    recognised: dict[str, object]
    rejects: list[Detail]

    def with_late(
        self, table: OpenTable, raw: Scratch, rejects: list[tuple[int, str | None, str | None, str]]
    ) -> Staged:
        """The same after further rows turned out to be no good."""
        _late(self.staging, raw, rejects)
        accepted, first, last = self.staging.dates(raw)
        rejected = self.staging.rejected_records(raw)
        assert accepted + rejected == self.total
        shown = _details(table, self.staging, raw) if rejected else []
        return replace(self, accepted=accepted, rejected=rejected, first_date=first, last_date=last, rejects=shown)


def stage(
    table: OpenTable, schema: Schema, scratch: Path, *, as_of: str, today: date, report: Report = lambda rows: None
) -> Staged:
    """Check a file into a scratch file.

    Parameters
    ----------
    as_of
        Dates the rows where the file does not.
    report
        Called with the rows done so far.
    """
    check = TableCheck(table, schema, today)
    staging = check.read(lambda batches: _fill(batches, schema, scratch, as_of, report))
    with staging.open() as raw:
        identities = partial(staging.identities, raw)
        _late(staging, raw, check.repeated(identities))
        if "label" in staging.roles:
            _late(staging, raw, check.unlabelled(staging.unlabelled(raw)))
        accepted, first, last = staging.dates(raw)
        rejected = staging.rejected_records(raw)
        assert accepted + rejected == check.total
        notes = check.notes(identities)
        shown = _details(table, staging, raw) if rejected else []
    return Staged(
        staging, check.total, accepted, rejected, check.several, first, last, notes,
        {"encoding": table.encoding, "delimiter": table.delimiter, **check.recognised.as_dict()}, shown,
    )  # fmt: skip


def _fill(batches: Iterator[Batch], schema: Schema, scratch: Path, as_of: str, report: Report) -> Staging:
    done = 0
    first = next(batches, None)
    roles = [role for role in ROLES if first is not None and role in first.columns]
    staging = Staging(scratch, schema, roles)
    staging.create()
    with staging.open() as raw:
        while first is not None:
            if first.rejects:
                staging.reject(raw, first.rejects)
            if len(first.records):
                staging.add(raw, _values(first, schema, roles, as_of))
            done += len(first.records)
            report(done)
            first = next(batches, None)
    return staging


def _values(batch: Batch, schema: Schema, roles: Sequence[str], as_of: str) -> list[Sequence[Any]]:
    """Python values to bind, column by column, in the order of `Staging.columns`."""
    columns = batch.columns
    values: list[Sequence[Any]] = [batch.records.tolist(), columns["user_id"].to_pylist()]
    values.append(_list(columns["as_of"]) if "as_of" in columns else [as_of] * len(batch.records))
    values += [_list(columns[role]) for role in roles]
    for name, feature in schema.features.items():
        column = columns[FEATURE + name]
        values.append(_list(column.cast(pa.int64(), safe=False) if feature.whole else column))
    return values


def _list(column: pa.Array) -> list[Any]:
    return list((column.cast(pa.string()) if pa.types.is_date(column.type) else column).to_pylist())


def _late(staging: Staging, raw: Scratch, rejects: Sequence[tuple[int, str | None, str | None, str]]) -> None:
    if rejects:
        staging.drop(raw, [reject[0] for reject in rejects])
        staging.reject(raw, rejects)


def _details(table: OpenTable, staging: Staging, raw: Scratch) -> list[Detail]:
    return located(table, [Reject(*row) for row in staging.rejects(raw, SHOWN)])


def refusal(table: OpenTable, staged: Staged, where: str) -> InvalidTable:
    """The refusal of an import, with the first rejects and the place of the file that holds all of them."""
    wrong = messages.rows_rejected(staged.rejected, staged.total, table.place_name, staged.rejects[0])
    return InvalidTable(wrong + messages.nothing_imported(where), details=staged.rejects)
