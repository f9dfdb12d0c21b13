"""A customer table checked batch by batch: rows that fit the schema, and cells that do not, with their places.

Law: a cell is judged by the same code as in a file read whole (`shared.tables.row_checks`); nothing is kept of earlier
batches but their hashes and counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.errors import InvalidTable
from shared.schema.features import Schema
from shared.tables import cells
from shared.tables.columns import FileColumns
from shared.tables.files import MAX_ROWS, TOO_MANY_ROWS
from shared.tables.open_table import OpenTable
from shared.tables.row_checks import ROW_COLUMN, Reading, nobody_churned
from shared.tables.value_formats import Recognised, recognise, unread_columns

EARLIEST = date(1900, 1, 1)
FEATURE = "feature "
HEADER_AGAIN = "this line repeats the header: remove it"


class StartAgain(Exception):
    """The file is written otherwise than it began: what was read so far was read wrongly."""


@dataclass(frozen=True)
class Reject:
    """One thing that can't be used: where, what stands there, what was expected. `field` is None for a whole line."""

    record: int
    field: str | None
    value: str | None
    expected: str


@dataclass(frozen=True)
class Batch:
    """Rows that fit.

    Attributes
    ----------
    records
        Record number of each row (the header is 1), ascending.
    columns
        `user_id`, and where the file has them `as_of`, `label`, `email` and the roles of the subscription; features
        under their names with `FEATURE` before.
    rejects
        Of the rows that are left out.
    """

    records: np.ndarray
    columns: Mapping[str, pa.Array]
    rejects: list[Reject]


class TableCheck:
    """One file being checked against one schema."""

    def __init__(self, table: OpenTable, schema: Schema, today: date) -> None:
        self.table, self.schema, self.today = table, schema, today
        self.recognised = Recognised()
        self.total = 0
        self.notes: list[str] = []
        self._surveyed = False
        self._label_seen: list[str | None] = []
        self._labelled = self._churned = 0
        self._spaces = 0

    def batches(self) -> Iterator[Batch]:
        """Every row once.

        Raises
        ------
        StartAgain
            Drop everything and call this again: numbers or dates turned out to be written in another way.
        InvalidTable
            Where columns are missing or the file breaks off.
        """
        self.total, self._labelled, self._churned, self._spaces, self._label_seen = 0, 0, 0, 0, []
        reader = self.table.batches(self._wanted())
        ragged = self.table.ragged
        done = 0
        for columns in reader:
            rows = len(next(iter(columns.values())))
            if done + rows + len(ragged) > MAX_ROWS:
                raise InvalidTable(TOO_MANY_ROWS)
            records = _records(done, rows, ragged)
            yield self._check(columns, records, done)
            done += rows
        self.total = done + len(ragged)
        width = len(self.table.names)
        lines = [Reject(n, None, text, f"{count} cells where the header has {width}") for n, count, text in ragged]
        if lines:
            yield Batch(np.zeros(0, dtype=np.int64), {}, lines)

    def _wanted(self) -> list[str]:
        known = _header_only(self.table)
        schema = self.schema
        Reading(known, schema, 1).require("optional")
        roles = (schema.id, schema.email, schema.label, schema.as_of, *schema.subscription.columns().values())
        names = [ROW_COLUMN, *(n for n in roles if n), *schema.feature_names]
        return [actual for name in dict.fromkeys(names) if (actual := known.actual(name)) is not None]

    def _check(self, columns: dict[str, pa.Array], records: np.ndarray, done: int) -> Batch:
        file = FileColumns(
            tuple(columns), tuple(columns.values()), (), "", self.table.delimiter, lambda index: int(records[index])
        )
        reading = Reading(file, self.schema, len(records), self.recognised)
        reading.numbers = records - 1
        found = self._columns(reading)
        problems = reading.problems
        if problems.count:
            self._survey(problems)
        if not done:
            self.notes = [*reading.notes, *reading.unused(self.table.names)]
        if not problems.count:
            return Batch(records, found, [])
        keep = np.ones(len(records), dtype=bool)
        keep[problems.rows()] = False
        good = pa.array(keep)
        rejects = [self._reject(file, records, *cell) for cell in problems.cells()]
        return Batch(records[keep], {name: column.filter(good) for name, column in found.items()}, rejects)

    def _columns(self, reading: Reading) -> dict[str, pa.Array]:
        schema = self.schema
        found: dict[str, pa.Array] = {"user_id": reading.ids()}
        as_of = reading.as_of()
        if as_of is not None and schema.as_of is not None:
            found["as_of"] = as_of
            self._possible(reading, schema.as_of, as_of, ahead=False)
        label = reading.given_label()
        if label is not None:
            found["label"] = label[0]
            self._labelled += len(label[0]) - label[0].null_count
            self._churned += pc.sum(label[0]).as_py() or 0
            self._label_seen = self._label_seen or list(label[1])
        features = reading.features()
        found |= {FEATURE + name: features.column(name).chunk(0) for name in schema.feature_names}
        email = reading.optional("email", schema.email, cells.identifiers)
        if email is not None:
            found["email"] = email
        return found | self._contract(reading)

    def _contract(self, reading: Reading) -> dict[str, pa.Array]:
        found = reading.subscription()
        names = self.schema.subscription
        for role, name in (("start", names.start), ("end", names.end)):
            if role in found and name is not None:
                self._possible(reading, name, found[role], ahead=role == "end")
        if "start" in found and "end" in found and names.end is not None:
            before = pc.less(found["end"], found["start"])
            reading.problems.add(names.end, before, lambda row: f"{found['end'][row]} lies before the start")
        return found

    def _possible(self, reading: Reading, name: str, days: pa.Array, *, ahead: bool) -> None:
        early = pc.less(days, pa.scalar(EARLIEST))
        reading.problems.add(name, early, lambda row: f"{days[row]} is no possible date, leave unknown dates blank")
        if not ahead:
            late = pc.greater(days, pa.scalar(self.today))
            reading.problems.add(name, late, lambda row: f"{days[row]} lies in the future (today is {self.today})")

    def _survey(self, problems: cells.Problems) -> None:
        """Once, when something can't be read: look at the whole file for how it is written."""
        about = set(unread_columns(self.schema))
        if self._surveyed or not any(field in about for _, field, _ in problems.cells()):
            return
        self._surveyed = True
        known = _header_only(self.table)
        actual = {own: name for name in about if (own := known.actual(name)) is not None}
        batches = ({actual[own]: column for own, column in part.items()} for part in self.table.batches(list(actual)))
        found = recognise(batches, self.schema, delimiter=self.table.delimiter)
        if found != self.recognised:
            self.recognised = found
            raise StartAgain

    def _reject(self, file: FileColumns, records: np.ndarray, row: int, field: str, message: str) -> Reject:
        actual = file.actual(field)
        value = None if actual is None else file.column(actual)[row].as_py()
        repeats = value is not None and actual is not None and str(value).strip() == actual.strip()
        shown = None if value is None else str(value)[: cells.SHOWN]
        return Reject(int(records[row]), field, shown, HEADER_AGAIN if repeats else message)

    @property
    def label_is_blank(self) -> bool:
        """Whether the file has a label column in which nothing stands."""
        return bool(self._label_seen) and not self._labelled

    def closing_notes(self) -> list[str]:
        """What was recognised or left out, one sentence each, after the last batch."""
        notes = [*self.table.notes, *self.recognised.notes(), *self.notes]
        if self.label_is_blank:
            notes.append(f"The column {self.schema.label!r} is blank, so it doesn't say who churned.")
        elif self._labelled and not self._churned:
            notes.append(nobody_churned(self.schema, self._label_seen))
        return notes


def _header_only(table: OpenTable) -> FileColumns:
    names = tuple(name for name in table.names if name.strip())
    nothing = pa.array([], pa.string())
    return FileColumns(names, (nothing,) * len(names), (), "", table.delimiter, lambda index: index)


def _records(done: int, rows: int, ragged: list[Any]) -> np.ndarray:
    """Record numbers of the rows after `done` ones, around those that were skipped for their width."""
    rows_before = np.arange(done, done + rows, dtype=np.int64)
    if not ragged:
        return rows_before + 2
    skipped = np.array([number for number, *_ in ragged], dtype=np.int64) - 2 - np.arange(len(ragged))
    return rows_before + 2 + np.searchsorted(skipped, rows_before, side="right")
