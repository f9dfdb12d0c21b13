"""The columns of a batch are read as the schema says, and cells that don't fit are collected.

Law: a cell that does not fit is noted with its place and never changed to fit.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.contracts.arrow import feature_fields
from shared.errors import Detail, InvalidTable
from shared.schema.features import Feature, Schema
from shared.schema.units import is_never_negative
from shared.tables import cells, file_notes, messages, words
from shared.tables.columns import FileColumns
from shared.tables.value_formats import Recognised

#: Missing columns for which the nearest header is looked for, which is slow among thousands.
SHOWN_NEAREST = 10
SHOWN_LABELS = 5
#: Columns that the file of rejected rows adds: the reason, and the row's number in a table without ids.
REASON_COLUMN, ROW_COLUMN = "retainstream_reason", "retainstream_row"
OWN_COLUMNS = frozenset((REASON_COLUMN, ROW_COLUMN))


class Reading:
    """The columns of one batch, read as the schema says, and the cells that don't fit.

    Parameters
    ----------
    file
        The batch.
    records
        Record number of each row in the file (the header is 1).
    recognised
        How numbers and dates are written, as far as that is not as usual.
    """

    def __init__(
        self, file: FileColumns, schema: Schema, records: np.ndarray, recognised: Recognised | None = None
    ) -> None:
        self.file = file
        self.schema = schema
        self.records = records
        self.recognised = recognised or Recognised()
        self.problems = cells.CellProblems(len(records))
        self.notes: list[str] = []
        self._used: set[str] = set()
        self._numbers: dict[str, pa.Array] = {}

    def require(self, *, label: bool) -> None:
        """Raise InvalidTable where a column is missing that every file needs (`label`: the label is one of them)."""
        schema = self.schema
        if label and schema.label is None:
            raise InvalidTable(messages.NO_LABEL_IN_SCHEMA)
        roles = {"id": schema.id, "date": schema.as_of, "label": schema.label if label else None}
        wanted = {name: f" (the {role} of the schema)" for role, name in roles.items() if name}
        wanted |= dict.fromkeys(schema.feature_names, "")
        missing = [name for name in wanted if self.file.actual(name) is None]
        if not missing:
            return
        near = {name: self._nearest(name) for name in missing[:SHOWN_NEAREST]}
        described = [f"{name!r}{wanted[name]}{near.get(name, '')}" for name in missing]
        details: list[Detail] = [
            {"field": name, "message": messages.missing_column(text)}
            for name, text in zip(missing, described, strict=True)
        ]
        raise InvalidTable(messages.missing_columns(described, self.file.names), details=details)

    def _nearest(self, name: str) -> str:
        plain = {re.sub(r"[\W_]+", "", own.casefold()): own for own in self.file.names}
        near = difflib.get_close_matches(re.sub(r"[\W_]+", "", name.casefold()), plain, 1)
        return f" (is it {plain[near[0]]!r}?)" if near else ""

    def _column(self, name: str) -> pa.Array | None:
        actual = self.file.actual(name)
        if actual is None:
            return None
        self._used.add(actual)
        return self.file.column(actual)

    def _number(self, name: str) -> pa.Array:
        if name not in self._numbers:  # a price may be a feature too
            self._numbers[name] = cells.numbers(
                self._column(name),
                name,
                self.problems,
                written=self.recognised.numbers.get(name),
                truth=self.recognised.truth.get(name),
            )
        return self._numbers[name]

    def ids(self) -> pa.Array:
        """The id of each row; the row's number in the file where the schema has no id."""
        name = self.schema.id
        if name is None:
            return self._row_numbers()
        ids = cells.identifiers(self._column(name), name, self.problems)
        self.problems.add(name, pc.is_null(ids), lambda row: messages.ID_MISSING)
        cut = pc.match_substring_regex(ids, cells.SPREADSHEET_ID)
        self.problems.add(name, cut, lambda row: messages.spreadsheet_id(ids[row]))
        total = words.is_total(ids)
        self.problems.add(name, total, lambda row: messages.total(ids[row]))
        remark = pc.match_substring_regex(ids, words.REMARK)
        if pc.any(remark).as_py():
            alone = pc.and_(remark, self.only_in(self.file.actual(name)))
            self.problems.add(name, alone, lambda row: messages.remark(ids[row]))
        return ids

    def only_in(self, name: str | None) -> pa.Array:
        """Rows that are blank in every column but this one."""
        others = [c for own, c in zip(self.file.names, self.file.columns, strict=True) if own != name]
        return blank_rows(others, len(self.records))

    def header_again(self) -> None:
        """Note the rows that repeat the header in every column."""
        again: pa.Array | None = None
        for name, column in zip(self.file.names, self.file.columns, strict=True):
            if pa.types.is_string(column.type):
                same = pc.equal(pc.utf8_lower(pc.utf8_trim_whitespace(column)), name.strip().lower())
                again = same if again is None else pc.and_(again, same)
                if not pc.any(again).as_py():
                    return
        if again is not None and len(self.file.names) > 1:
            self.problems.add(self.schema.id or self.schema.feature_names[0], again, lambda row: messages.HEADER_AGAIN)

    def _row_numbers(self) -> pa.Array:
        given = self._column(ROW_COLUMN)
        if given is not None:  # rows that were rejected before: they keep the number they had
            return cells.identifiers(given, ROW_COLUMN, self.problems)
        return pa.array(self.records - 1).cast(pa.string())

    def as_of(self) -> pa.Array | None:
        """The date of each row, where the schema names the column."""
        name = self.schema.as_of
        if name is None:
            return None
        days = self._dates(self._column(name), name, self.problems)
        self.problems.add(name, pc.is_null(days), lambda row: messages.DATE_MISSING)
        return days

    def _dates(self, column: pa.Array, name: str, problems: cells.CellProblems) -> pa.Array:
        return cells.dates(column, name, problems, written=self.recognised.dates.get(name))

    def _ends(self, column: pa.Array, name: str, problems: cells.CellProblems) -> pa.Array:
        return cells.ends(column, name, problems, written=self.recognised.dates.get(name))

    def features(self) -> pa.Table:
        """The features in the schema's order and types."""
        columns = [self._feature(name, feature) for name, feature in self.schema.features.items()]
        return pa.table(columns, schema=pa.schema(feature_fields(self.schema)))

    def _feature(self, name: str, feature: Feature) -> pa.Array:
        if feature.kind == "number":
            values = self._number(name)
            if feature.whole:
                broken = pc.not_equal(pc.floor(values), values)
                self.problems.add(name, broken, lambda row: messages.not_whole(values[row]))
            if is_never_negative(feature.unit):
                self._refuse_negative(name, values, feature.unit or "")
        else:
            values = cells.categories(self._column(name), name, self.problems)
        if not feature.missing:
            self.problems.add(name, pc.is_null(values), lambda row: messages.VALUE_MISSING)
        return values

    def _refuse_negative(self, name: str, values: pa.Array, unit: str) -> None:
        self.problems.add(name, pc.less(values, 0), lambda row: messages.negative(values[row], unit))

    def label(self) -> tuple[pa.Array, list[str | None]] | None:
        """1, 0 or null for each row, and some of the values that stand there; None where the file has no label."""
        name = self.schema.label
        column = self._column(name) if name is not None else None
        if name is None or column is None:
            if name is not None:
                self.notes.append(file_notes.label_absent(name))
            return None
        texts = cells.categories(column, name, self.problems)
        if pa.types.is_string(texts.type):
            missing = words.MISSING - {value.lower() for value in self.schema.positive}
            texts = cells.without_missing_words(texts, name, self.problems, missing)
        churned = pc.if_else(pc.is_valid(texts), pc.is_in(texts, self._positive(column)), pa.scalar(None, pa.bool_()))
        return churned.cast(pa.int8()), pc.unique(texts).slice(0, SHOWN_LABELS).to_pylist()

    @staticmethod
    def contradictions(columns: Mapping[str, pa.Array], today: date) -> pa.Array | None:
        """Rows whose label says stayed and whose end has passed; None where the file lacks one of them."""
        if "label" not in columns or "end" not in columns:
            return None
        return pc.and_(pc.equal(columns["label"], 0), pc.less_equal(columns["end"], pa.scalar(today)))

    def _positive(self, column: pa.Array) -> pa.Array:
        positive = cells.normal_form(pa.array(self.schema.positive, pa.string()))
        if pa.types.is_boolean(column.type):  # true is what a CSV file would have written as 1
            words = {"1": "true", "0": "false"}
            positive = pa.array([words.get(value, value.lower()) for value in positive.to_pylist()])
        return positive

    def subscription(self) -> dict[str, pa.Array]:
        """The columns that speak of the contract, as far as the file has them."""
        readers: dict[str, Any] = {
            "start": self._dates, "end": self._ends, "contract_end": self._ends, "price": self._price,
        }  # fmt: skip
        roles = self.schema.subscription.fixed()
        if self.schema.contract_end_column is not None:
            roles["contract_end"] = self.schema.contract_end_column
        found = {}
        for role, name in roles.items():
            values = self.optional(f"subscription {role}", name, readers.get(role, cells.categories))
            if values is not None:
                found[role] = values
        return found

    def _price(self, _column: pa.Array, name: str, _problems: cells.CellProblems) -> pa.Array:
        values = self._number(name)
        self._refuse_negative(name, values, "a price")
        return values

    def optional(self, role: str, name: str | None, read: Any) -> pa.Array | None:
        """A column that may be absent: a note says so."""
        column = self._column(name) if name is not None else None
        if name is not None and column is None:
            self.notes.append(file_notes.column_absent(name, role))
        return read(column, name, self.problems) if column is not None else None

    def unused(self, names: Sequence[str]) -> list[str]:
        """Notes on the columns, of those called `names`, that were not read."""
        ignore = {name.strip() for name in self.schema.ignore}
        label = self.schema.label
        left = [n for n in names if n.strip() and n not in self._used and n.strip() not in OWN_COLUMNS]
        left = [n for n in left if label is None or n.strip() != label.strip()]
        ignored = [name for name in left if name.strip() in ignore]
        return file_notes.columns_left_out(ignored, [name for name in left if name.strip() not in ignore])


def blank_rows(columns: Sequence[pa.Array], rows: int) -> pa.Array:
    """Whether each row has nothing in any of some columns."""
    blank = pa.array([bool(columns)] * rows, pa.bool_())
    for column in columns:
        if not pc.any(blank).as_py():
            break
        nothing = pc.is_null(column)
        if pa.types.is_string(column.type):
            nothing = pc.or_(nothing, pc.fill_null(pc.equal(pc.utf8_trim_whitespace(column), ""), True))
        blank = pc.and_(blank, nothing)
    return blank


def without_blank_rows(
    columns: dict[str, pa.Array], records: np.ndarray
) -> tuple[dict[str, pa.Array], np.ndarray, list[int]]:
    """A batch without its blank rows, the record numbers of the others, and those of the blank ones."""
    blank = blank_rows(list(columns.values()), len(records)) if len(columns) > 1 else pa.array([False])
    if not pc.any(blank).as_py():
        return columns, records, []
    kept = pc.invert(blank)
    left = {name: column.filter(kept) for name, column in columns.items()}
    return left, records[np.asarray(kept)], records[np.asarray(blank)].tolist()
