"""A customer table is checked batch by batch: rows that fit the schema, and cells that do not, with their places.

Law: nothing is kept of earlier batches but their hashes and counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.errors import Detail, InvalidTable
from shared.schema.features import Schema
from shared.tables import cells, file_notes, messages
from shared.tables.columns import MAX_ROWS, FileColumns, refuse_columns
from shared.tables.open import OpenTable, records_of
from shared.tables.repeated_ids import Identities, IdHashes
from shared.tables.row_checks import ROW_COLUMN, SHOWN_LABELS, Reading, without_blank_rows
from shared.tables.value_formats import Recognised, recognise, unread_columns

EARLIEST = date(1900, 1, 1)
FEATURE = "feature "
SHOWN_LINES = 2
LabelUse = Literal["required", "optional", "ignored"]
Result = TypeVar("Result")


class _StartAgain(Exception):
    """The file is written otherwise than it began: what was read so far was read wrongly."""


class Reject(NamedTuple):
    """A rejected cell, or line (`field` is None): its place, its text, and why it can't be used."""

    record: int
    field: str | None
    value: str | None
    expected: str

    def detail(self, place: int) -> Detail:
        """The reject as a detail of an error; `place` is the line of a CSV, or the row of a Parquet file."""
        detail: Detail = {"row": place, "message": self.expected}
        if self.field is not None:
            detail["field"] = self.field
        if self.value is not None:
            detail["value"] = self.value
        return detail


@dataclass(frozen=True)
class Batch:
    """Rows that fit, and the reasons why others do not.

    Attributes
    ----------
    records
        Record number of each row (the header is 1), ascending.
    columns
        `user_id`, and where the file has them `as_of`, `label`, `email` and the roles of the subscription; features
        under their names with `FEATURE` before.
    rejects
        The cells that can't be used, of the rows that are left out.
    """

    records: np.ndarray
    columns: Mapping[str, pa.Array]
    rejects: list[Reject]


class TableCheck:
    """One file being checked against one schema.

    Parameters
    ----------
    today
        No date but an end lies after it.
    label
        The label's column is required, optional, or not read.
    """

    def __init__(self, table: OpenTable, schema: Schema, today: date, *, label: LabelUse = "optional") -> None:
        self.table, self.schema, self.today, self.label = table, schema, today, label
        self.recognised = Recognised()
        self._surveyed = False
        self._begin()

    def _begin(self) -> None:
        self.total = 0
        self._notes: list[str] = []
        self._missing_words: dict[str, Counter[str]] = {}
        self._label_seen: list[str | None] = []
        self._contradicting: list[int] = []
        self._blank: list[int] = []
        self._labelled = self._unlabelled = self._churned = 0
        self._ids = IdHashes()

    def read(self, consume: Callable[[Iterator[Batch]], Result]) -> Result:
        """The result of `consume`, which gets every row once.

        It is called again, to drop what it has and begin anew, where numbers or dates turn out to be written in another
        way than the file began.

        Raises
        ------
        InvalidTable
            Where columns are missing or the file breaks off.
        """
        while True:
            try:
                return consume(self._batches())
            except _StartAgain:
                continue

    def _batches(self) -> Iterator[Batch]:
        self._begin()
        reader = self.table.batches(self._wanted())
        ragged = self.table.ragged
        done = 0
        for columns in reader:
            rows = len(next(iter(columns.values())))
            if done + rows + len(ragged) > MAX_ROWS:
                raise InvalidTable(messages.too_many_rows(MAX_ROWS))
            records = records_of(done, rows, ragged)
            if self.schema.id is not None or self.label != "ignored":  # else a blank row may be a customer to score
                columns, records, blank = without_blank_rows(columns, records)
                self._blank += blank
            batch = self._check(columns, records, first=not done)
            self._ids.add(batch.records, batch.columns["user_id"], batch.columns.get("as_of"))
            yield batch
            done += rows
        self.total = done - len(self._blank) + len(ragged)
        if not self.total:
            raise InvalidTable(messages.NO_ROWS)
        width = len(self.table.names)
        lines = [Reject(row.record, None, row.text, messages.ragged(row.cells, width)) for row in ragged]
        if lines:
            yield Batch(np.zeros(0, dtype=np.int64), {}, lines)

    def _wanted(self) -> list[str]:
        known = self.table.header()
        schema = self.schema
        Reading(known, schema, np.zeros(0, dtype=np.int64)).require(label=self.label == "required")
        label = None if self.label == "ignored" else schema.label
        roles = (schema.id, schema.email, label, schema.as_of, *schema.subscription.columns().values())
        names = [ROW_COLUMN, *(n for n in roles if n), *schema.feature_names]
        return [actual for name in dict.fromkeys(names) if (actual := known.actual(name)) is not None]

    def _check(self, columns: dict[str, pa.Array], records: np.ndarray, *, first: bool) -> Batch:
        file = FileColumns(tuple(columns), tuple(columns.values()), self.table.delimiter)
        reading = Reading(file, self.schema, records, self.recognised)
        reading.header_again()
        checked = self._columns(reading)
        problems = reading.problems
        refuse_columns(problems.wrong_columns.items())
        if problems.count:
            self._survey(problems)
        against = reading.contradictions(checked, self.today)
        if against is not None:
            self._contradicting += records[np.asarray(against.fill_null(False))].tolist()
        for name, words in problems.missing_words.items():
            self._missing_words.setdefault(name, Counter()).update(words)
        if first:
            self._notes = [*reading.notes, *reading.unused(self.table.names)]
        if not problems.count:
            return Batch(records, checked, [])
        keep = np.ones(len(records), dtype=bool)
        keep[problems.rows()] = False
        good = pa.array(keep)
        rejects = [self._reject(file, records, *cell) for cell in problems.cells()]
        return Batch(records[keep], {name: column.filter(good) for name, column in checked.items()}, rejects)

    def _columns(self, reading: Reading) -> dict[str, pa.Array]:
        schema = self.schema
        columns: dict[str, pa.Array] = {"user_id": reading.ids()}
        as_of = reading.as_of()
        if as_of is not None and schema.as_of is not None:
            columns["as_of"] = as_of
            self._possible(reading, schema.as_of, as_of, ahead=False)
        label = reading.label() if self.label != "ignored" else None
        if label is not None:
            columns["label"] = label[0]
            self._labelled += len(label[0]) - label[0].null_count
            self._unlabelled += label[0].null_count
            self._churned += pc.sum(label[0]).as_py() or 0
            self._label_seen = list(dict.fromkeys((*self._label_seen, *label[1])))[:SHOWN_LABELS]
        features = reading.features()
        columns |= {FEATURE + name: features.column(name).chunk(0) for name in schema.feature_names}
        email = reading.optional("email", schema.email, cells.identifiers)
        if email is not None:
            columns["email"] = email
        return columns | self._contract(reading)

    def _contract(self, reading: Reading) -> dict[str, pa.Array]:
        columns = reading.subscription()
        names = self.schema.subscription
        for role, name in (("start", names.start), ("end", names.end), ("contract_end", names.contract_end)):
            if role in columns and name is not None:
                self._possible(reading, name, columns[role], ahead=role != "start")
        if "start" in columns and "end" in columns and names.end is not None:
            ends = columns["end"]
            before = pc.less(ends, columns["start"])
            reading.problems.add(names.end, before, lambda row: messages.before_start(ends[row]))
        return columns

    def _possible(self, reading: Reading, name: str, days: pa.Array, *, ahead: bool) -> None:
        early = pc.less(days, pa.scalar(EARLIEST))
        reading.problems.add(name, early, lambda row: messages.too_early(days[row]))
        if not ahead:
            late = pc.greater(days, pa.scalar(self.today))
            reading.problems.add(name, late, lambda row: messages.in_future(days[row], self.today))

    def _survey(self, problems: cells.CellProblems) -> None:
        """Once, when something can't be read: look at the whole file for how it is written."""
        about = set(unread_columns(self.schema))
        if self._surveyed or not any(field in about for _, field, _ in problems.cells()):
            return
        self._surveyed = True
        known = self.table.header()
        actual = {own: name for name in about if (own := known.actual(name)) is not None}
        batches = ({actual[own]: column for own, column in part.items()} for part in self.table.batches(list(actual)))
        recognised = recognise(batches, self.schema, delimiter=self.table.delimiter)
        if recognised != self.recognised:
            self.recognised = recognised
            raise _StartAgain

    def _reject(self, file: FileColumns, records: np.ndarray, row: int, field: str, message: str) -> Reject:
        actual = file.actual(field)
        value = None if actual is None else file.column(actual)[row].as_py()
        repeats = value is not None and actual is not None and str(value).strip().lower() == actual.strip().lower()
        shown = None if value is None else str(value)[: messages.MAX_QUOTED]
        return Reject(int(records[row]), field, shown, messages.HEADER_AGAIN if repeats else message)

    @property
    def label_is_blank(self) -> bool:
        """Return whether the file's label column is empty, and the label is optional."""
        return bool(self._label_seen) and not self._labelled and self.label != "required"

    @property
    def several(self) -> bool:
        """Return whether an id occurs in several rows."""
        return self._ids.several

    def repeated(self, identities: Identities) -> list[Reject]:
        """Rows whose id (and date) an earlier row has, after the last batch: the first stays.

        Raises
        ------
        InvalidTable
            Where they are so many that the column is no id.
        """
        schema, table = self.schema, self.table
        again = list(self._ids.repeated(identities, schema.id))
        places = table.lines_of(sorted({earlier for _, earlier, _ in again}))
        dated = schema.as_of is not None
        contracts = schema.subscription.start is not None or schema.subscription.end is not None
        return [
            Reject(
                record, schema.id, user_id[: messages.MAX_QUOTED],
                messages.repeated_id(user_id, table.place_name, places[earlier], dated=dated, contracts=contracts),
            )
            for record, earlier, user_id in again
        ]  # fmt: skip

    def notes(self, identities: Identities) -> list[str]:
        """Notes on what was recognised or left out, after the last batch."""
        notes = [*self.table.notes, *self.recognised.notes(), *self._notes]
        notes += [file_notes.missing_words(name, words) for name, words in self._missing_words.items()]
        name = self.schema.label or ""
        if self.label_is_blank:
            notes.append(file_notes.label_blank(name))
        elif self._labelled and not self._churned:
            seen = [value for value in self._label_seen if value is not None]
            notes.append(file_notes.nobody_churned(name, self.schema.positive, seen))
        if self._labelled and self._unlabelled:
            notes.append(file_notes.unlabelled(self._unlabelled, trained=self.label == "required"))
        for note, records in (
            (file_notes.blank_lines, self._blank),
            (file_notes.ended_and_stayed, self._contradicting),
        ):
            if records:
                lines = sorted(self.table.lines_of(records[:SHOWN_LINES]).values())
                notes.append(note(len(records), self.table.place_name, lines))
        return [*notes, *self._ids.case_note(identities)]


def located(table: OpenTable, rejects: Sequence[Reject]) -> list[Detail]:
    """Rejects as details of an error, with their lines in a CSV or their rows in a Parquet file."""
    places = table.lines_of(sorted({reject.record for reject in rejects}))
    return [reject.detail(places[reject.record]) for reject in rejects]
