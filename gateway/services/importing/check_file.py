"""Checks every row of a file: valid rows are staged, cells that can't be used are recorded.

Law: the database is not written here; accepted and rejected rows add up to the rows of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pyarrow as pa

from database.importing.staging import ROLES, StagedReject, StagedRows, Staging
from shared.errors import Detail, InvalidTable, invalid
from shared.schema.features import Schema
from shared.tables import messages
from shared.tables.batch_checks import FEATURE, Batch, Reject, TableCheck, located
from shared.tables.open import OpenTable
from shared.tables.value_formats import Recognised

SHOWN = 100
Report = Callable[[int], None]


@dataclass(frozen=True)
class CheckedFile:
    """The result of checking a file.

    Attributes
    ----------
    several
        Whether a customer has several rows.
    rejects
        The first cells that can't be used, as `{row, field, value, message}`; `row` is the line in a CSV file, the row
        in a Parquet file.
    """

    staging: Staging
    total: int
    accepted: int
    rejected: int
    several: bool
    first_date: str | None
    last_date: str | None
    notes: list[str]
    encoding: str | None
    delimiter: str | None
    formats: Recognised
    rejects: list[Detail]

    @property
    def recognised(self) -> dict[str, object]:
        """Return what the report says of the file's formats."""
        return {"encoding": self.encoding, "delimiter": self.delimiter, **self.formats.as_dict()}

    def with_late(self, table: OpenTable, rejects: Sequence[StagedReject]) -> CheckedFile:
        """Return the result after further rows were found to be unusable."""
        with self.staging.open() as rows:
            _reject_rows(rows, rejects)
            accepted, first, last = rows.dates()
            rejected = rows.rejected_records()
            assert accepted + rejected == self.total
            shown = _details(table, rows) if rejected else []
        return replace(self, accepted=accepted, rejected=rejected, first_date=first, last_date=last, rejects=shown)


def check_file(
    table: OpenTable, staging: Staging, *, as_of: str, today: date, report: Report = lambda rows: None
) -> CheckedFile:
    """Check every row of a file, and stage the valid ones.

    Parameters
    ----------
    staging
        Stores the valid rows, as its schema describes them.
    as_of
        The date of the rows if the file has none.
    report
        Called with the number of rows checked so far.
    """
    schema = staging.schema
    check = TableCheck(table, schema, today)
    check.read(lambda batches: _stage_rows(batches, staging, as_of, report))
    with staging.open() as rows:
        _reject_rows(rows, check.repeated(rows.identities))
        accepted, first, last = rows.dates()
        rejected = rows.rejected_records()
        assert accepted + rejected == check.total
        notes = check.notes(rows.identities)
        shown = _details(table, rows) if rejected else []
    return CheckedFile(
        staging, check.total, accepted, rejected, check.several, first, last, notes,
        table.encoding, table.delimiter, check.recognised, shown,
    )  # fmt: skip


def _stage_rows(batches: Iterator[Batch], staging: Staging, as_of: str, report: Report) -> None:
    done = 0
    first = next(batches, None)
    roles = [role for role in ROLES if first is not None and role in first.columns]
    staging.begin(roles)
    with staging.open() as rows:
        while first is not None:
            if first.rejects:
                rows.reject(first.rejects)
            if len(first.records):
                rows.add(_values(first, staging.schema, roles, as_of))
            done += len(first.records)
            report(done)
            first = next(batches, None)


def _values(batch: Batch, schema: Schema, roles: Sequence[str], as_of: str) -> list[Sequence[Any]]:
    """Return Python values to bind, column by column, in the order of the staged columns."""
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


def _reject_rows(rows: StagedRows, rejects: Sequence[StagedReject]) -> None:
    """Unstage rows that were found to be unusable, and record why."""
    if rejects:
        rows.drop([reject[0] for reject in rejects])
        rows.reject(rejects)


def _details(table: OpenTable, rows: StagedRows) -> list[Detail]:
    return located(table, [Reject(*row) for row in rows.rejects(SHOWN)])


def refusal(table: OpenTable, checked: CheckedFile, where: str) -> InvalidTable:
    """Return the error that refuses an import, with the first rejects and where the file of all rejects is."""
    wrong = messages.rows_rejected(checked.rejected, checked.total, table.place_name, checked.rejects[0])
    return InvalidTable(wrong + messages.nothing_imported(where), details=checked.rejects)


def refuse_future(field: str, day: date | None, today: date) -> None:
    """Raise InvalidInput if an option of an import names a day that lies in the future."""
    if day is not None and day > today:
        raise invalid(field, f"{day} lies in the future (today is {today}).")
