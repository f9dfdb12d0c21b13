"""A file checked from end to end: rows that fit are staged, cells that do not are noted.

Law: the database is not written here; accepted and rejected rows add up to the rows of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from database.importing.staging import ROLES, Reject, StagedRows, Staging, role_column
from shared.errors import Detail, InvalidTable
from shared.schema.features import Schema
from shared.tables.batch_checks import FEATURE, Batch, StartAgain, TableCheck
from shared.tables.open_table import OpenTable
from shared.tables.text_hashes import repeated, text_hashes

SHOWN = 100
#: More are not looked at one by one: the column is no id.
MOST_REPEATED = 100_000
REPEATED = "{rows:,} rows share the value of {id!r} with another row: is it the id? Nothing was imported."
_DAY_STEP = np.uint64(0x9E3779B97F4A7C55)
Report = Callable[[int], None]


@dataclass(frozen=True)
class CheckedFile:
    """The result of checking a file.

    Attributes
    ----------
    several
        Whether a customer has several rows.
    rejects
        The first cells that can't be used, as `{row, field, value, message}`; `row` is the line of a CSV, the row of a
        Parquet file.
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

    def with_late(self, table: OpenTable, rejects: list[Reject]) -> CheckedFile:
        """The same after further rows turned out to be unusable."""
        with self.staging.open() as rows:
            _reject_rows(rows, rejects)
            accepted, first, last = rows.dates()
            rejected = rows.rejected_records()
            assert accepted + rejected == self.total
            shown = _details(table, rows) if rejected else []
        return replace(self, accepted=accepted, rejected=rejected, first_date=first, last_date=last, rejects=shown)


class _Seen:
    """Hashes of ids and dates, to find repeated ones in a file of any length."""

    def __init__(self) -> None:
        self.records: list[np.ndarray] = []
        self.people: list[np.ndarray] = []
        self.folded: list[np.ndarray] = []
        self.rows: list[np.ndarray] = []

    def add(self, batch: Batch) -> None:
        ids = batch.columns["user_id"]
        people = text_hashes(ids)
        folded = pc.utf8_lower(ids)
        self.records.append(batch.records)
        self.people.append(people)
        self.folded.append(people if folded.equals(ids) else text_hashes(folded))
        if "as_of" in batch.columns:
            days = np.asarray(batch.columns["as_of"].cast(pa.int32()), dtype=np.int64).astype(np.uint64)
            people = people + (days + np.uint64(1)) * _DAY_STEP
        self.rows.append(people)

    def joined(self, parts: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)


def check_file(
    table: OpenTable, staging: Staging, *, as_of: str, today: date, report: Report = lambda rows: None
) -> CheckedFile:
    """Check every row of a file, and stage those that fit.

    Parameters
    ----------
    staging
        Takes the rows, as its schema describes them.
    as_of
        Dates the rows where the file does not.
    report
        Called with the rows done so far.
    """
    schema = staging.schema
    check = TableCheck(table, schema, today)
    while True:
        try:
            seen = _stage_rows(check, staging, as_of, report)
            break
        except StartAgain:
            continue
    with staging.open() as rows:
        _reject_repeated(table, schema, rows, seen)
        if staging.has("label") and not check.label_is_blank:
            unlabelled = rows.lacking(role_column("label"))
            _reject_rows(rows, [(n, schema.label, None, "the label is missing") for n in unlabelled])
        accepted, first, last = rows.dates()
        rejected = rows.rejected_records()
        assert accepted + rejected == check.total
        notes = [*check.closing_notes(), *_only_case(rows, seen)]
        shown = _details(table, rows) if rejected else []
    people = seen.joined(seen.people)
    return CheckedFile(
        staging, check.total, accepted, rejected, len(np.unique(people)) < len(people), first, last, notes,
        {"encoding": table.encoding, "delimiter": table.delimiter, **check.recognised.as_dict()}, shown,
    )  # fmt: skip


def _stage_rows(check: TableCheck, staging: Staging, as_of: str, report: Report) -> _Seen:
    seen = _Seen()
    done = 0
    batches = check.batches()
    first = next(batches, None)
    roles = [role for role in ROLES if first is not None and role in first.columns]
    staging.begin(roles)
    with staging.open() as rows:
        while first is not None:
            if first.rejects:
                rows.reject((r.record, r.field, r.value, r.expected) for r in first.rejects)
            if len(first.records):
                seen.add(first)
                rows.add(_values(first, staging.schema, roles, as_of))
            done += len(first.records)
            report(done)
            first = next(batches, None)
    return seen


def _values(batch: Batch, schema: Schema, roles: Sequence[str], as_of: str) -> list[Sequence[Any]]:
    """Python values to bind, column by column, in the order of the staged columns."""
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


def _reject_rows(rows: StagedRows, rejects: list[Reject]) -> None:
    """Unstage rows that were found to be unusable, and note why."""
    if rejects:
        rows.drop([reject[0] for reject in rejects])
        rows.reject(rejects)


def _reject_repeated(table: OpenTable, schema: Schema, rows: StagedRows, seen: _Seen) -> None:
    """Reject rows that repeat an id with the same date; the first stays."""
    records = seen.joined(seen.records)
    suspects = records[repeated(seen.joined(seen.rows))].tolist()
    if not suspects:
        return
    if len(suspects) > MOST_REPEATED:
        raise InvalidTable(REPEATED.format(rows=len(suspects), id=schema.id))
    first: dict[tuple[str, str | None], int] = {}
    again: list[tuple[int, int, str]] = []
    for record, who in sorted(rows.identities(suspects).items()):
        if first.setdefault(who, record) != record:
            again.append((record, first[who], who[0]))
    places = table.lines_of(sorted({n for pair in again for n in pair[:2]}))
    same = "" if schema.as_of is None else " with the same date"
    _reject_rows(rows, [
        (n, schema.id, who[:80],
         f"the id {who[:80]!r} stands in {table.place_name} {places[earlier]} already{same}, keep one of them")
        for n, earlier, who in again
    ])  # fmt: skip


def _only_case(rows: StagedRows, seen: _Seen) -> Iterator[str]:
    """A note on ids that are the same but for case: they are different customers, and may be one person."""
    people, folded, records = seen.joined(seen.people), seen.joined(seen.folded), seen.joined(seen.records)
    different = len(np.unique(people)) - len(np.unique(folded))
    if different <= 0:
        return
    suspects = records[repeated(folded)].tolist()[:2000]
    names: dict[str, set[str]] = {}
    for name, _ in rows.identities(suspects).values():
        names.setdefault(name.lower(), set()).add(name)
    example = next((sorted(group)[:2] for group in names.values() if len(group) > 1), [])
    told = f", such as {' and '.join(map(repr, example))}" if example else ""
    yield f"{different:,} ids differ from another one only by case{told}: they are taken for different customers."


def _details(table: OpenTable, rows: StagedRows) -> list[Detail]:
    found = list(rows.rejects(SHOWN))
    places = table.lines_of(sorted({record for record, *_ in found}))
    return [_detail(places[record], field, value, expected) for record, field, value, expected in found]


def _detail(place: int, field: str | None, value: str | None, expected: str) -> Detail:
    detail: Detail = {"row": place, "message": expected}
    if field is not None:
        detail["field"] = field
    if value is not None:
        detail["value"] = value
    return detail


def refusal(table: OpenTable, checked: CheckedFile, where: str) -> InvalidTable:
    """The error that says why nothing was imported, with the first rejects and where all of them stand."""
    first = checked.rejects[0]
    rows = "1 row has" if checked.rejected == 1 else f"{checked.rejected:,} of {checked.total:,} rows have"
    field = f", {first['field']}" if "field" in first else ""
    return InvalidTable(
        f"{rows} to be put right before the table can be used: {table.place_name} {first['row']}{field}: "
        f"{first['message']}. Nothing was imported. All rejected rows with their reasons: {where}",
        details=checked.rejects,
    )
